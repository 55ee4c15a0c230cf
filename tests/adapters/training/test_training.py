"""Tokenizer, pretraining and QLoRA at toy size, and a floor under the weights that ship."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.loading import load_local, read_note
from adapters.prompt import CHAT_TEMPLATE, EOT, MARKERS, SPECIAL_TOKENS, Turn, asked, chat, lead, render
from adapters.serving import EMBEDDED_ADAPTER, WEIGHTS, load_generator
from adapters.training import frontdesk, heads, pretrain, sft, tokenizer
from adapters.training.corpus import example_at
from adapters.training.episodes import Reading
from adapters.training.evaluate import evaluate, tuned
from state import UserError

BASE = WEIGHTS / "base"
TINY = pretrain.Plan(30_000, width=128, layers=5, window=24, rate=3e-3, step_tokens=1_024, micro_tokens=1_024)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def tok() -> Any:
    return tokenizer.load(BASE)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=80))
@settings(deadline=None, max_examples=150)
def test_any_text_comes_back_from_the_tokenizer(text: str) -> None:
    tok = tokenizer.load(BASE) if not hasattr(test_any_text_comes_back_from_the_tokenizer, "tok") else _tok()
    test_any_text_comes_back_from_the_tokenizer.tok = tok  # type: ignore[attr-defined]
    assert tok.decode(tok(text, add_special_tokens=False).input_ids) == text


def _tok() -> Any:
    return test_any_text_comes_back_from_the_tokenizer.tok  # type: ignore[attr-defined]


def test_a_name_is_the_same_tokens_wherever_it_stands(tok: Any) -> None:
    for name in ("Olivia Zarwick", "한빛 게스트하우스", "BK-20417", "12월 3일"):
        inner = tok(name, add_special_tokens=False).input_ids
        for around in ('"{}"', " {} ", "({}),", "{}에서"):
            whole = tok(around.format(name), add_special_tokens=False).input_ids
            assert any(whole[i : i + len(inner)] == inner for i in range(len(whole))), around


def test_special_tokens_and_evidence_numbers_are_one_token_each(tok: Any) -> None:
    for token in (*SPECIAL_TOKENS, *MARKERS):
        assert len(tok(token, add_special_tokens=False).input_ids) == 1
    assert len(tok) == tokenizer.VOCABULARY


def test_the_chat_template_writes_what_render_writes(tok: Any) -> None:
    turns = [Turn("user", "강남에 <|eot_id|> 호텔 [3]"), Turn("assistant", "네"), Turn("user", "언제?")]
    evidence = ["아침은 7시부터.", "Parking is free."]
    rows = [t._asdict() for t in chat(turns, frontdesk.TOOLS, evidence, "ko", "2026-11-22")]
    made = tok.apply_chat_template(rows, tokenize=False, add_generation_prompt=True)
    assert made == render(turns, frontdesk.TOOLS, evidence, "ko", "2026-11-22")
    assert made.count("<|eot_id|>") == len(rows)
    assert tok.chat_template == CHAT_TEMPLATE


def test_the_initial_weights_copy() -> None:
    config = heads.configuration(512, bos=0, eos=[1], pad=2, context=512)
    model = heads.initial(config, 0)
    assert heads.copy_accuracy(model) > 0.8
    again = heads.initial(config, 0)
    assert torch.equal(model.model.embed_tokens.weight, again.model.embed_tokens.weight)


def _seeded(folder: Path) -> Path:
    folder.mkdir()
    for file in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        if (BASE / file).exists():
            shutil.copy(BASE / file, folder)
    return folder


def test_pretraining_lowers_the_loss_and_resumes_to_the_same_weights(tmp_path: Path) -> None:
    whole, parts = _seeded(tmp_path / "whole"), _seeded(tmp_path / "parts")
    losses: list[float] = []
    pretrain.pretrain(whole, tokens=0, plan=TINY, on_progress=lambda told: losses.append(told["loss"]))
    assert losses[-1] < losses[0] * 0.95
    pretrain.pretrain(parts, tokens=0, plan=TINY, stop_after=3)
    assert not (parts / "model.safetensors").exists()
    with pytest.raises(ValueError, match="another plan"):
        pretrain.pretrain(parts, tokens=0, plan=pretrain.Plan(1))
    pretrain.pretrain(parts, tokens=0, plan=TINY)
    assert (whole / "model.safetensors").read_bytes() == (parts / "model.safetensors").read_bytes()
    assert not (parts / "checkpoint.pt").exists()


def test_an_adapter_trains_saves_and_speaks_the_same_after_reloading(tmp_path: Path) -> None:
    base = _seeded(tmp_path / "base")
    pretrain.pretrain(base, tokens=0, plan=pretrain.Plan(2_000, width=128, layers=5, window=8))
    out = tmp_path / "adapter"
    rows = [*sft.generated(14, 0), sft.Row("x " * 3_000, "y")]
    report = sft.train_adapter(base, out, rows, rank=4, alpha=8, batch=8, replay=0.2)
    assert report.dropped_too_long == 1
    assert (report.rows, report.replayed) == (18, 4)
    assert read_note(out)["base_fingerprint"] == report.base_fingerprint
    assert str(tmp_path) not in "".join(f.read_text() for f in out.glob("*.json"))
    ids = torch.tensor([tokenizer.load(base)(rows[0].prompt).input_ids])
    logits = []
    for adapters in ({}, {"a": out}, {"a": out}):
        local = load_local(base, adapters=adapters, device="cpu")
        with torch.no_grad():
            logits.append(local.model(input_ids=ids).logits)
    assert torch.equal(logits[1], logits[2])
    assert not torch.equal(logits[0], logits[1])


def test_training_on_nothing_that_fits_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no row fits"):
        sft.train_adapter(BASE, tmp_path, [sft.Row("a " * 3_000, "b")], replay=0.0)


def test_the_number_is_all_that_is_learned_of_a_chosen_sentence(tok: Any) -> None:
    row = sft._encode(tok, sft.Row("question", "[2] the pool opens"))
    assert [label for label in row["labels"] if label != -100] == [tok.convert_tokens_to_ids("[2]")]
    call = sft._encode(tok, sft.Row("question", '{"name": "x", "parameters": {}}'))
    assert call["labels"][-1] == tok.eos_token_id


def test_a_question_is_scored_whole_after_its_sentence(tok: Any) -> None:
    import random

    row = pretrain.encode(tok, Reading("The Pool opens at 7.", "When does the Pool open?"), random.Random(0))
    told = tok.decode(row.ids)
    assert told == lead("The Pool opens at 7.") + asked("When does the Pool open?")
    assert "[1] the pool opens at 7." in told
    assert [w for w in row.weights if w == pretrain.ASKED] == [1.0] * len(
        tok(asked("when does the pool open?")).input_ids
    )


def test_the_margin_weighs_false_abstentions_and_invented_answers() -> None:
    assert 0.2 < tuned([0.6, 0.9, 0.95], [0.0, 0.1, 0.2]) <= 0.6
    assert tuned([0.6, 0.9], [0.1, 0.7], weight=5.0) > 0.7


def test_scores_weigh_the_number_most_and_the_prompt_least(tok: Any) -> None:
    import random

    example = next(e for i in range(99) if (e := example_at(0, i, "adapter")).kind == "choose")
    row = pretrain.encode(tok, [example, example], random.Random(0))
    start = len(tok(example.prompt(), add_special_tokens=False).input_ids)
    assert row.weights[start] == pretrain.CHOSEN
    assert max(row.weights[:start]) == pretrain.PLAIN
    once = len(tok(example.target() + EOT, add_special_tokens=False).input_ids)
    assert set(row.weights[start + 1 : start + once]) == {pretrain.COPIED}
    assert row.weights[-2:] == [pretrain.CHOSEN, 0.0]


def test_the_shipped_weights_stay_above_a_floor_and_under_their_size() -> None:
    size = sum(f.stat().st_size for f in WEIGHTS.rglob("*") if f.is_file())
    assert size <= 20 * 2**20
    generator = load_generator(adapter=EMBEDDED_ADAPTER, today="2026-11-22", device="cpu")
    names = ["call, unseen names and dates", "question, sentence chosen", "missing argument asked"]
    report = evaluate(generator, n=4, seed=77, names=names)
    right = sum(t.right for name in names for t in report.tallies[name].values())
    assert right >= 2, report.table()  # of 24: a weak model; what was measured stands in MODEL_CARD.md
