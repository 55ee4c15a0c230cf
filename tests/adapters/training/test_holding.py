"""Between start and end of a run: the farthest place where old text is hardly read worse, and how that is measured."""

from __future__ import annotations

import json
import math
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from adapters.decoding import Decoding
from adapters.local.chat import ChatLlama
from adapters.local.engine import Engine
from adapters.serving import WEIGHTS
from adapters.speakers.reading import ReadingSpeaker
from adapters.training import holding, sft
from adapters.training.corpus import SHORT_FIRST, item_at
from adapters.training.encoding import prepare
from adapters.training.examples import Choice
from adapters.training.feeding import encode
from adapters.training.holding import FACTORS, placed
from adapters.training.material import DECIDED_REPLAY, Wanted, gathered
from adapters.training.recipe import Recipe
from adapters.training.rows import Row
from adapters.training.run import Base, open_base, train
from tests.adapters.training.runs import SMALL, raw


class Line(torch.nn.Module):
    """A model of one number, whose old text is the worse read the farther it is from 1."""

    def __init__(self) -> None:
        super().__init__()
        self.at = torch.nn.Parameter(torch.tensor([1.0]))
        self.frozen = torch.nn.Parameter(torch.tensor([5.0]), requires_grad=False)

    def measured(self) -> dict[str, float]:
        gone = float(self.at.detach()) - 1.0
        return {"calls": 2.0 + gone, "choices": 1.0 - gone}


@pytest.mark.parametrize(
    ("forgetting", "factor", "within"),
    [(0.5, 1.0, True), (0.3, 0.55, True), (0.2, 0.4, True), (0.01, FACTORS[-1], False)],
)
def test_the_farthest_place_is_kept_that_is_within_what_may_be_lost(
    forgetting: float, factor: float, within: bool
) -> None:
    model = Line()
    start = holding.matrices(model)
    assert set(start) == {"at"}
    model.at.data.fill_(2.0)
    held = placed(model, start, model.measured, forgetting)
    assert (held.factor, held.within, held.start) == (factor, within, {"calls": 2.0, "choices": 1.0})
    assert float(model.at.detach()) == pytest.approx(1.0 + factor)
    assert held.kept["calls"] == pytest.approx(2.0 + factor)
    assert held.end == {"calls": 3.0, "choices": 0.0}
    assert (model.training, float(model.frozen)) == (True, 5.0)


@pytest.mark.parametrize(("forgetting", "factor"), [(0.1, 1.0), (0.05, 0.55), (0.0, FACTORS[-1])])
def test_of_what_is_read_nearly_without_a_loss_no_tenth_is_asked_for(forgetting: float, factor: float) -> None:
    model = Line()
    start = holding.matrices(model)
    model.at.data.fill_(1.036)  # .02 becomes .056: nearly three times as much of next to nothing
    known = lambda: {"calls": model.measured()["calls"] - 1.98, "choices": 1.0}  # noqa: E731
    assert placed(model, start, known, forgetting).factor == factor


def test_one_kind_is_not_paid_for_with_the_other() -> None:
    model = Line()
    start = holding.matrices(model)
    model.at.data.fill_(0.0)  # choices are read worse, calls better
    assert placed(model, start, model.measured, 0.5).factor == 0.4


def test_calls_are_measured_by_what_is_written_and_choices_as_the_decoder_weighs_them(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "autocast", lambda *_: nullcontext())  # the engine here computes in float32
    local = engine.local
    engine.read([5], adapter="red")  # another test may have had the base speak alone
    calls, choices = (
        [item_at(holding.SEED, SHORT_FIRST + i, holding.KINDS[kind]) for i in range(3)] for kind in ("calls", "choices")
    )
    learned = [row for said in calls if (row := encode(local.tokenizer, said))]
    losses = []
    for row in learned:
        ids = torch.tensor(row.ids)
        labels = torch.where(torch.tensor(row.weights) > 0, ids, -100)
        with torch.no_grad():
            mean = local.model(input_ids=ids, labels=labels).loss
        losses.append(float(mean) * int((labels[:, 1:] != -100).sum()))
    assert holding.loss(local.model, learned, 0.5) == pytest.approx(sum(losses) / 3, rel=1e-3)
    speaker = ReadingSpeaker(ChatLlama(engine=engine, adapter="red"), Decoding("reading", verdict_weight=0.5))
    wanted = 0.0
    for choice in choices:
        assert isinstance(choice, Choice)
        worth = [0.0, *speaker.margins(choice.request, choice.candidates)]
        wanted += math.log(math.fsum(math.exp(w - max(worth)) for w in worth)) + max(worth) - worth[choice.right]
    rows = [encode(local.tokenizer, choice) for choice in choices]
    assert holding.loss(local.model, rows, 0.5) == pytest.approx(wanted / 3, rel=1e-3)


@pytest.fixture
def ours(base: Path, monkeypatch: pytest.MonkeyPatch) -> Base:
    monkeypatch.setattr(holding, "ITEMS", 2)
    return replace(open_base(base, "nf4"), reading=True)


def test_a_run_that_goes_on_says_where_it_was_held_and_is_there(
    ours: Base, adapter_folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said, red = [sft.row_of(one) for one in sft.generated(4, 3)], adapter_folders["red"]
    recipe, read = replace(SMALL, epochs=1, heldout=0.0, seq=512), iter([1.0, 1.0, 1.2, 0.9, 1.0, 1.2, 1.0, 1.05])
    monkeypatch.setattr(holding, "loss", lambda *_: next(read))  # calls and choices: before, at 1, at .85, at .7
    told = {
        name: train(ours, tmp_path / name, said, replace(recipe, forgetting=limit), sources=[], start=red)
        for name, limit in (("free", None), ("held", 0.1))
    }
    assert told["free"]["held"] is None
    held = json.loads((tmp_path / "held" / "manifest.json").read_text())["held"]
    assert (held["factor"], held["end"]) == (0.7, {"calls": 1.2, "choices": 0.9})

    def weights(folder: Path) -> dict[str, torch.Tensor]:
        return load_file(folder / "adapter_model.safetensors")

    start, end = weights(red), weights(tmp_path / "free")
    for name, at in weights(tmp_path / "held").items():
        assert torch.allclose(at.float(), torch.lerp(start[name], end[name].float(), held["factor"]), atol=0.02)


def test_a_run_on_rows_of_people_gets_old_text_of_its_own_for_every_pass(base: Path, tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in raw("sft", 6)), encoding="utf-8")
    opened, recipe = replace(open_base(base, "nf4"), reading=True), Recipe(epochs=2.5, heldout=0.0)
    rows, sources = gathered(opened, recipe, Wanted(file, start=WEIGHTS / "frontdesk"))
    assert DECIDED_REPLAY == 0.5
    assert [(source.name, source.rows) for source in sources] == [
        ("rows.jsonl", 6), (sft.DESK, 9), ("replayed", 9),
    ]  # fmt: skip
    old = [row for row in rows if row.once]
    assert len({row.prompt + str(row.answers) for row in old}) == len(old) == 18
    alone, elsewhere = gathered(opened, recipe, Wanted(file)), gathered(opened, recipe, Wanted(file, start=tmp_path))
    assert [len(found[0]) for found in (alone, elsewhere)] == [6, 24]
    assert [source.name for source in elsewhere[1]] == ["rows.jsonl", "replayed"]
    foreign, _ = gathered(replace(opened, reading=False), recipe, Wanted(file, start=WEIGHTS / "frontdesk"))
    assert len(foreign) == 6


def test_what_is_read_once_stands_once_in_all_passes(base: Path) -> None:
    tokenizer = open_base(base, "nf4").tokenizer
    rows = [Row(f"say {n}", ([(f" {n}", True)],), once=n > 2) for n in range(9)]
    prepared = prepare(tokenizer, rows, Recipe(epochs=2.5, heldout=0.0))
    assert (len(prepared.train), prepared.passes, len(prepared.stream)) == (9, 3, 3 * 3 + 6)
    assert sorted(prepared.stream.count(row) for row in prepared.train) == [1] * 6 + [3] * 3
    assert prepared.stream == prepared.stream
    usual = prepare(tokenizer, [replace(row, once=False) for row in rows], Recipe(epochs=2.5, heldout=0.0))
    assert (usual.passes, usual.stream) == (1, usual.train)
