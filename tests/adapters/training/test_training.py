"""Tokenizer, pretraining and QLoRA at toy size, and a floor under the weights that ship."""

import contextlib
import itertools
import json
import math
import random
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from transformers import AutoConfig

from adapters.local.loading import load_local, read_note
from adapters.prompt import CHAT_TEMPLATE, FITS, MARKERS, SPECIAL_TOKENS, Turn, asked, lead, render, shown, spaced
from adapters.serving import EMBEDDED_ADAPTER, WEIGHTS, load_generator
from adapters.training import corpus, feeding, heads, pretrain, sft, tokenizer
from adapters.training.batches import WHOLE, Batch, pack
from adapters.training.evaluate import (
    DECIDED,
    Readings,
    Wanting,
    Weighed,
    evaluate,
    judged,
    parted,
    tuned,
    weighted,
)
from adapters.training.examples import Choice, Said
from state import UserError

BASE = WEIGHTS / "base"
TINY = pretrain.Plan(30_000, width=128, window=24, rate=3e-3, step_tokens=1_024)
SHORT = replace(TINY, tokens=5_000, window=6)


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
    for name in ("Olivia Zarwick", "한빛 게스트하우스", "BK-20417", "12월3일", "2026-12-03"):
        inner = tok(spaced(name), add_special_tokens=False).input_ids
        for around in ("{}", 'called "{}"', "at {} ", "({}),", "{}에서"):
            whole = tok(spaced(around.format(name)), add_special_tokens=False).input_ids
            assert any(whole[i : i + len(inner)] == inner for i in range(len(whole))), around


def test_special_tokens_and_evidence_numbers_are_one_token_each(tok: Any) -> None:
    for token in (*SPECIAL_TOKENS, *MARKERS):
        assert len(tok(token, add_special_tokens=False).input_ids) == 1
    assert len(tok) == AutoConfig.from_pretrained(BASE).vocab_size


def test_the_chat_template_writes_what_render_writes(tok: Any) -> None:
    call = '{"name": "book_room", "parameters": {"hotel": "남산 [3]"}}'
    turns = [
        Turn("user", "강남에 <|eot_id|> 호텔 [3]"),
        Turn("assistant", call),
        Turn("ipython", "네"),
        Turn("user", "언제?"),
    ]
    rows = [{"role": turn.role, "content": shown(turn)} for turn in turns]
    made = tok.apply_chat_template(rows, tokenize=False, add_generation_prompt=True)
    assert made == render(turns)
    assert "book_room\nhotel: 남산 ( 3)\n" in made
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


def test_pretraining_lowers_the_loss(tmp_path: Path) -> None:
    losses: list[float] = []
    out = _seeded(tmp_path / "base")
    pretrain.pretrain(out, tokens=0, plan=TINY, on_progress=lambda told: losses.append(told["loss"]))
    assert losses[-1] < losses[0] * 0.9  # of 8,192 tokens, most of which 30,000 tokens of text never show
    made = json.loads((out / "pretraining.json").read_text(encoding="utf-8"))
    assert made["tokens"] >= TINY.tokens
    assert made["examples"] >= 4 * TINY.window


def test_pretraining_resumes_to_the_same_weights(tmp_path: Path) -> None:
    whole, parts = _seeded(tmp_path / "whole"), _seeded(tmp_path / "parts")
    seen: list[float] = []
    pretrain.pretrain(whole, tokens=0, plan=SHORT, on_progress=lambda told: seen.append(told["tokens"]))
    assert len(seen) >= 3, "too few windows: nothing would come after the one that it stops at"
    pretrain.pretrain(parts, tokens=0, plan=SHORT, stop_after=1)
    assert not (parts / "model.safetensors").exists()
    with pytest.raises(UserError, match=r"other settings \(tokens 5000, not 1, .*another folder"):
        pretrain.pretrain(parts, tokens=0, plan=pretrain.Plan(1))
    pretrain.pretrain(parts, tokens=0, plan=SHORT)
    assert (whole / "model.safetensors").read_bytes() == (parts / "model.safetensors").read_bytes()
    assert not (parts / "checkpoint.pt").exists()
    made = [(folder / "pretraining.json").read_bytes() for folder in (whole, parts)]
    assert made[0] == made[1]


def test_a_run_of_minutes_ends_by_the_clock_and_its_rate_falls_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = itertools.count()
    monkeypatch.setattr(pretrain, "time", SimpleNamespace(monotonic=lambda: float(next(ticks))))  # a second a look
    told = list[dict[str, float]]()
    out = pretrain.pretrain(_seeded(tmp_path / "base"), tokens=0, plan=SHORT, minutes=0.25, on_progress=told.append)
    made = json.loads((out / pretrain.MADE_FILE).read_text())
    seen, totals = [news["tokens"] for news in told], [news["total"] for news in told]
    known = next(i for i, total in enumerate(totals) if total)
    assert 0 < known < len(told) - 1, "nobody knew at first, and something was read with a falling rate"
    assert set(totals[known:]) == {int(seen[known] / (1 - SHORT.cooling))} == {made["plan"]["tokens"]}
    assert seen[-2] < totals[-1] <= seen[-1] == made["tokens"]


def test_a_run_of_minutes_that_was_cut_off_keeps_the_end_that_it_was_told(tmp_path: Path) -> None:
    pretrain.pretrain(_seeded(tmp_path / "base"), tokens=0, plan=SHORT, minutes=1e-6, stop_after=1)
    kept = torch.load(tmp_path / "base" / pretrain.CHECKPOINT, weights_only=True)
    assert kept["plan"]["tokens"] == int(kept["state"]["seen"] / (1 - SHORT.cooling))
    out = pretrain.pretrain(tmp_path / "base", tokens=0, plan=SHORT, minutes=1_000)
    assert json.loads((out / pretrain.MADE_FILE).read_text())["plan"]["tokens"] == kept["plan"]["tokens"]


def test_a_base_is_cooled_off_from_a_run_that_goes_on(tmp_path: Path) -> None:
    run, cooled = _seeded(tmp_path / "run"), tmp_path / "cooled"
    seen: list[float] = []
    pretrain.pretrain(run, tokens=0, plan=TINY, stop_after=1, on_progress=lambda told: seen.append(told["tokens"]))
    before = (run / "checkpoint.pt").read_bytes()
    pretrain.cool(run, cooled, tokens=3_000, on_progress=lambda told: seen.append(told["tokens"]))
    assert len(seen) >= 2
    assert seen[-1] >= seen[0] + 3_000, "it goes on where the run is"
    assert (cooled / "model.safetensors").exists()
    assert (run / "checkpoint.pt").read_bytes() == before
    with pytest.raises(UserError, match="no checkpoint"):
        pretrain.cool(cooled, tmp_path / "again", tokens=3_000)


def test_a_finished_base_is_read_on(tmp_path: Path) -> None:
    base, longer = _seeded(tmp_path / "base"), tmp_path / "longer"
    pretrain.pretrain(base, tokens=0, plan=SHORT)
    made = json.loads((base / "pretraining.json").read_text(encoding="utf-8"))
    seen: list[dict[str, float]] = []
    pretrain.extend(base, longer, tokens=2_000, on_progress=seen.append)
    again = json.loads((longer / "pretraining.json").read_text(encoding="utf-8"))
    assert seen[0]["tokens"] > made["tokens"]
    assert seen[0]["examples"] == made["examples"] + SHORT.window, "the stream goes on where the base's ended"
    assert again["tokens"] >= made["tokens"] + 2_000
    assert again["plan"]["begun"] == made["tokens"]
    assert again["plan"]["rate"] == pytest.approx(pretrain.EXTENDING * SHORT.rate)
    pretrain.extend(longer, tmp_path / "longest", tokens=500)
    third = json.loads((tmp_path / "longest" / "pretraining.json").read_text(encoding="utf-8"))
    assert third["plan"]["rate"] == again["plan"]["rate"], "as high as the last time, and no lower each time"
    one, other = (load_file(folder / "model.safetensors") for folder in (base, longer))
    assert one.keys() == other.keys()
    far = max(float((one[name].float() - other[name].float()).abs().max()) for name in one)
    assert 0 < far < 0.05, "its weights, a little further; weights of its own would be far from them"
    (base / "pretraining.json").unlink()
    with pytest.raises(UserError, match="pretraining"):
        pretrain.extend(base, tmp_path / "again", tokens=2_000)
    assert not (tmp_path / "again").exists()


def test_the_rate_rises_stays_and_falls_to_nothing() -> None:
    plan = pretrain.Plan(1_000, rate=1.0, warmup=100, cooling=0.2)
    rates = [pretrain.rate_at(plan, seen) for seen in (0, 50, 100, 500, 800, 801, 900, 1_000)]
    assert rates[:3] == sorted(rates[:3])
    assert rates[2:5] == [1.0, 1.0, 1.0]
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert rates[-1] == 0.0
    again = pretrain.Plan(2_000, rate=1.0, warmup=100, cooling=0.5, begun=1_000)
    rates = [pretrain.rate_at(again, seen) for seen in (1_001, 1_050, 1_100, 1_500, 2_000)]
    assert rates[0] < 0.05
    assert max(rates) == rates[2] < 1.0
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert rates[-1] == 0.0


def test_an_adapter_trains_saves_and_speaks_the_same_after_reloading(tmp_path: Path) -> None:
    base = _seeded(tmp_path / "base")
    pretrain.pretrain(base, tokens=0, plan=pretrain.Plan(2_000, width=128, window=8))
    out = tmp_path / "adapter"
    rows = [*sft.generated(14, 0), Said("x " * 3_000, [("y", True)])]
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


def test_a_report_of_a_run_without_a_loss_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = {"counts": {"trained": 1, "dropped_too_long": 0}, "steps": 1, "duration_s": 1.0, "loss": {"last": None}}
    monkeypatch.setattr(sft, "train", lambda *given, **how: told | {"base": {"fingerprint": "f"}})
    assert sft.train_adapter(BASE, tmp_path, [], replay=0.0).loss is None


def test_training_on_nothing_that_fits_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no row fits"):
        sft.train_adapter(BASE, tmp_path, [Said("a " * 3_000, [("b", True)])], replay=0.0)


def test_only_the_models_own_words_are_learned(tok: Any) -> None:
    row = Said("question", [("cancel_booking\n", False), ("booking_id:", False), (" BK-7\n", True)])
    encoded = sft._encode(tok, row)
    assert tok.decode([label for label in encoded["labels"] if label != -100]) == ("cancel_booking\n BK-7\n")
    told = sft._encode(tok, Said("question", [(" Booked.", True)]))
    assert told["labels"][-1] == tok.eos_token_id
    rows = feeding.encode(tok, row)
    assert rows.ids == [encoded["input_ids"]]
    scored = [i for i, w in zip(rows.ids[0], rows.weights[0], strict=True) if w]
    assert tok.decode(scored) == " BK-7\n", "the base learns no names of tools by heart"
    assert max(rows.weights[0]) == feeding.FIRST


def test_a_request_is_scored_whole_after_each_candidate_and_after_nothing(tok: Any) -> None:
    choice = Choice("When does the Pool open?", [("The Pool opens at 7.", False), ("book room: Book.", True)], 1)
    rows = feeding.encode(tok, choice)
    assert rows.right == 1
    leads = [lead(), lead("The Pool opens at 7."), lead("book room: Book.", tool=True)]
    read = [before + asked("When does the Pool open?") + FITS for before in leads]
    assert [tok.decode(ids) for ids in rows.ids] == read
    assert "\n the pool opens at 7." in leads[1]
    words = len(tok(asked(choice.request), add_special_tokens=False).input_ids)
    assert [sum(weights) for weights in rows.weights] == [words] * 3


def test_a_step_of_choices_is_lost_where_the_right_reading_is_the_least_likely(tok: Any) -> None:
    config = heads.configuration(len(tok), bos=0, eos=[1], pad=2, context=512, width=128)
    model = heads.initial(config, 0)
    choice = Choice("Zarwick Dunmore?", [("Zarwick Dunmore Zarwick Dunmore.", False), ("Breakfast is at 7.", False)], 1)
    right, norm = pretrain.loss_of(model, pack([feeding.encode(tok, choice)], 0))
    wrong, _ = pretrain.loss_of(model, pack([feeding.encode(tok, choice._replace(right=2))], 0))
    assert right.item() < wrong.item()
    assert norm > pretrain.CHOSEN + pretrain.JUDGED


def test_choices_of_different_lengths_are_lost_as_each_alone(tok: Any) -> None:
    lines = [("The pool opens at 7.", False), ("Breakfast is at 8.", False), ("book room: Book.", True)]
    rows = [
        feeding.encode(tok, Choice("When does it open?", lines[:n], right)) for n, right in ((3, 1), (1, 0), (2, 2))
    ]
    numbers = torch.Generator().manual_seed(3)
    read = (torch.rand(9, generator=numbers) * 20).requires_grad_()
    judged = (torch.randn(9, generator=numbers)).requires_grad_()
    at, alone, norms = 0, torch.zeros(()), 0.0
    for row in rows:
        some, odds = read[at : at + len(row.ids)], judged[at : at + len(row.ids)]
        odds = torch.cat([torch.zeros(1), odds[1:]])
        assert row.right is not None
        alone = alone + pretrain.READ * some[row.right]
        alone = alone - pretrain.CHOSEN * torch.log_softmax(-some, 0)[row.right]
        alone = alone - pretrain.JUDGED * torch.log_softmax(odds, 0)[row.right]
        norms += pretrain.CHOSEN + pretrain.JUDGED + pretrain.READ * sum(w > 0 for w in row.weights[row.right])
        at += len(row.ids)
    batch = pack(rows, 0)
    together, norm = pretrain.chosen_loss(batch, batch.on(read.device), read, judged)
    assert together.item() == pytest.approx(alone.item(), rel=1e-5)
    assert norm == pytest.approx(norms)
    wanted = torch.autograd.grad(alone, [read, judged])
    for one, other in zip(torch.autograd.grad(together, [read, judged]), wanted, strict=True):
        assert torch.allclose(one, other, atol=1e-5)
        assert one.isfinite().all()


def test_a_packed_step_scores_each_token_where_it_is_predicted_and_links_copies_to_their_source(tok: Any) -> None:
    said = [item for i in range(60) if isinstance(item := corpus.item_at(5, 4_000 + i), Said)]
    rows = [feeding.encode(tok, item) for item in said]
    batch = pack(rows, tok.pad_token_id)
    assert len({len(r.ids[0]) for r in rows}) > 3, "rows of several lengths"
    flat = batch.ids.reshape(-1)
    scored = [(i, at, w) for i, r in enumerate(rows) for at, w in enumerate(r.weights[0]) if w]
    assert (
        [int(flat[at + 1]) for at in batch.at] == batch.wanted.tolist() == [rows[i].ids[0][at] for i, at, _ in scored]
    )
    assert list(zip(batch.row.tolist(), batch.weight.tolist(), strict=True)) == [(i, w) for i, _, w in scored]
    assert batch.tokens == sum(len(r.ids[0]) for r in rows)
    assert not batch.choices
    assert batch.norm == pytest.approx(sum(w for *_, w in scored))
    assert batch.ids.shape[1] % WHOLE == 0
    row, to, source = batch.links
    assert len(row) == sum(len(r.links) for r in rows) > 50
    assert np.array_equal(batch.ids[row, to + 1], batch.ids[row, source]), "what is copied is the token of its source"


def test_windows_are_the_same_whoever_makes_them(tmp_path: Path) -> None:
    def told(batch: Batch) -> dict[str, Any]:
        return {name: x.tolist() if hasattr(x, "tolist") else x for name, x in vars(batch).items()}

    cut = feeding.Cut(seed=5, window=8, step_tokens=512)
    drawn = []
    for workers in (0, 2):
        with contextlib.closing(feeding.windows(BASE, cut, 4_000, workers=workers)) as some:
            drawn.append([next(some) for _ in range(6)])
    for (some_here, at), (some_there, there) in zip(*drawn, strict=True):
        assert at == there
        assert list(map(told, some_here)) == list(map(told, some_there))
    assert [index for _, index in drawn[0]] == [4_008 + 8 * i for i in range(6)]


def test_a_plan_says_what_does_not_fit() -> None:
    with pytest.raises(UserError, match="320"):
        pretrain.plan_of(1_000, 0, width=330)
    with pytest.raises(UserError, match="CUDA"):
        pretrain.plan_of(1_000, 0, device="cuda:7")
    wide = pretrain.plan_of(1_000, 0, device="cpu", step=8_192)
    assert (wide.step_tokens, wide.window) == (8_192, 4 * pretrain.Plan.window)
    assert (wide.rate, wide.warmup) == (2 * pretrain.Plan.rate, 4 * pretrain.Plan.warmup)
    widest = pretrain.plan_of(1_000, 0, device="cpu", step=131_072)
    assert widest.rate == pretrain.FASTER * pretrain.Plan.rate
    assert widest.frozen == pretrain.FROZEN_STEPS * 131_072


def test_a_verdict_is_judged_among_all_candidates_and_nothing_is_worth_zero(
    tok: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pretrain.verdict(torch.tensor([0.5]).log()).item() == pytest.approx(0.0, abs=1e-5)
    lines = [("The pool opens at 7.", False), ("Breakfast is at 8.", False)]

    def lost(right: int, odds: list[float]) -> float:
        batch = pack([feeding.encode(tok, Choice("pool?", lines, right))], 0)

        def given(*_: Any) -> tuple[torch.Tensor, torch.Tensor]:
            likely = torch.sigmoid(torch.tensor([9.0, *odds])).log()  # what is said after no candidate counts nothing
            return torch.zeros(len(batch.at)), -likely

        monkeypatch.setattr(pretrain, "losses_of", given)
        total, _ = pretrain.loss_of(SimpleNamespace(device=torch.device("cpu")), batch)
        return total.item() - pretrain.CHOSEN * math.log(3)

    for right, odds in ((1, [5.0, -5.0]), (2, [-5.0, 5.0]), (0, [-5.0, -5.0])):
        assert lost(right, odds) < 0.1
        assert all(lost(wrong, odds) > 10 for wrong in {0, 1, 2} - {right})


def test_the_weights_of_names_and_verdicts_are_the_smallest_that_choose_best() -> None:
    named = [Wanting([2.0, 1.0], [-1.0, 1.0], 1), Wanting([2.0, 1.0], [1.0, -1.0], 0)]
    assert weighted(named) == 1.0
    assert weighted([Wanting([2.0, 1.0], [0.0, 0.0], 0)]) == 0.0
    assert judged([Readings([(1.0, -2.0), (0.5, 2.0)], 2)]) == 0.5
    assert judged([Readings([(1.0, -2.0), (0.5, 2.0)], 1)]) == 0.0


def test_the_base_learns_the_names_of_the_desks_tools_and_of_invented_ones_but_of_no_disguise() -> None:
    for language in ("en", "ko"):
        for draw, taught in ((corpus.desk, True), (corpus.disguised, False), (corpus.invented, True)):
            made = [draw(random.Random(i), language) for i in range(40)]
            calls = [said for said in made if isinstance(said, Said) and said.pieces[0][0].endswith("\n")]
            assert len(calls) > 10
            assert {said.pieces[0][1] for said in calls if len(said.pieces) > 2} == {taught}


def test_the_overlap_and_the_margin_are_chosen_by_what_they_cost() -> None:
    lexical = Weighed([0.0, 1.0, 3.0], [1.0, 0.0], [0.0, 0.0], 1, 2)
    weight, likeness, _ = tuned([lexical])
    assert weight > 0, "the model alone would take the wrong sentence"
    assert likeness == 0.0, "a base without it gets no weight for it"
    weight, likeness, _ = tuned([lexical._replace(shared=[0.0, 0.0], alike=[1.5, -1.5])])
    assert (weight, likeness) == (0.0, 1.0)
    answered, unanswered = Weighed([-9.0, 4.5], [0.0], [0.0], 1, 2), Weighed([-9.0, 2.5], [0.0], [0.0], 1, 0)
    assert tuned([answered, unanswered]) == (0.0, 0.0, 3.0)
    assert tuned([answered]) == (0.0, 0.0, 0.0)
    assert tuned([answered._replace(margins=[-9.0, -1.0])])[2] < 0, "a right sentence may be worth less than nothing"


def test_the_margin_is_chosen_with_the_lead_counted_in() -> None:
    answered = Weighed([-9.0, -6.0, -16.0], [0.0, 0.0], [0.0, 0.0], 1, 2)
    unanswered = Weighed([-9.0, -6.0, -6.0], [0.0, 0.0], [0.0, 0.0], 1, 0)
    assert tuned([answered, unanswered], lead=0.5)[2] == -2.0, "-6 and half of 8"
    assert tuned([answered, unanswered])[2] != -2.0, "nothing tells them apart"


def test_calls_are_parted_from_questions_in_the_middle_of_the_gap() -> None:
    assert parted([12.0, 15.0, 30.0], [-3.0, 8.0]) == 10.5
    assert parted([12.0, 5.0, 30.0], [-3.0]) == 2.5


FLOORS = {  # of 8 each: somewhat under what was measured (MODEL_CARD.md), well over a model that guesses
    "call, unseen names and dates": 5,
    "call after a question was answered": 4,
    "missing argument asked": 4,
    "tool result told": 7,
    "question, sentence chosen": 4,
}


@pytest.fixture(scope="module")
def shipped() -> Any:
    return load_generator(adapter=EMBEDDED_ADAPTER, today="2026-11-22", device="cpu")


@pytest.mark.parametrize("name", FLOORS)
def test_the_shipped_weights_stay_above_a_floor(shipped: Any, name: str) -> None:
    report = evaluate(shipped, n=4, seed=77, names=[name])
    right, decided = (sum(tally.right for tally in report.tallies.get(row, {}).values()) for row in (name, DECIDED))
    assert right >= FLOORS[name], report.table()
    if name != "tool result told":
        assert decided >= 7, report.table()  # of 8


def test_the_shipped_weights_stay_under_their_size() -> None:
    assert sum(f.stat().st_size for f in WEIGHTS.rglob("*") if f.is_file()) <= 60 * 2**20
