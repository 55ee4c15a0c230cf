"""Old text is held to what the adapter said that a run goes on from, and a run's small steps arrive."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from adapters.local.engine import Engine
from adapters.training import holding, keeping, sft
from adapters.training.rows import Row
from adapters.training.run import Base, open_base, train
from tests.adapters.training.runs import SMALL

WEIGHTS = "adapter_model.safetensors"


@pytest.fixture
def ours(base: Path, monkeypatch: pytest.MonkeyPatch) -> Base:
    monkeypatch.setattr(holding, "ITEMS", 2)
    return replace(open_base(base, "nf4"), reading=True)


@pytest.fixture
def batch() -> dict[str, torch.Tensor]:
    """A new row of two learned tokens above an old one of three, padded."""
    ids = torch.tensor([[5, 6, 7, 8, 0, 0], [9, 10, 11, 12, 13, 14]])
    labels = torch.tensor([[-100, -100, 7, 8, -100, -100], [-100, -100, -100, 12, 13, 14]])
    mask = torch.tensor([[1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1]])
    return {"input_ids": ids, "labels": labels, "attention_mask": mask, "old": torch.tensor([False, True])}


def test_a_new_row_costs_its_surprise_and_an_old_one_its_distance_from_the_start(
    engine: Engine, batch: dict[str, torch.Tensor]
) -> None:
    model = engine.local.model
    engine.read([5], adapter="red")  # another test may have had the base speak alone
    for name, p in model.named_parameters():
        p.requires_grad_("lora_" in name and ".red." in name)
    start = holding.matrices(model)

    def said() -> torch.Tensor:
        with torch.no_grad():
            logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        return torch.log_softmax(logits.float(), -1)

    def costs() -> float:
        return float(keeping._loss(model, batch, start, 2.0, half=False).detach())

    def surprise(now: torch.Tensor) -> float:
        return -float(now[0, 1, 7] + now[0, 2, 8])

    before = said()
    assert costs() == pytest.approx(surprise(before), rel=1e-4)  # nothing has moved: old text costs nothing
    try:
        with torch.no_grad():
            for name, p in model.named_parameters():
                if name in start:
                    p.add_(0.05 * torch.sign(p))
        now = said()
        apart = float((before[1, 2:5].exp() * (before[1, 2:5] - now[1, 2:5])).sum())
        assert apart > 0.01
        assert costs() == pytest.approx(surprise(now) + 2.0 * apart, rel=1e-3)
        assert torch.equal(said(), now)  # the trained matrices are back
        with torch.autocast("cpu", torch.bfloat16):  # which remembers matrices under their names
            assert float(keeping._loss(model, batch, start, 2.0, half=True).detach()) == pytest.approx(
                costs(), rel=0.05
            )
            assert 2.0 * apart > 0.2 * costs()
    finally:
        with torch.no_grad():
            for name, p in model.named_parameters():
                if name in start:
                    p.copy_(start[name])
                p.requires_grad_(False)


def test_marks_of_old_rows_reach_the_loss_and_nothing_else() -> None:
    seen: list[Any] = []

    def collate(rows: list[Any]) -> dict[str, Any]:
        seen.extend(rows)
        return {"ids": len(rows)}

    made = keeping._marking(collate)([{"input_ids": [1], "old": True}, {"input_ids": [2], "old": False}])
    assert (made["ids"], made["old"].tolist(), seen) == (2, [True, False], [{"input_ids": [1]}, {"input_ids": [2]}])


def test_old_text_is_kept_where_new_rows_pull(ours: Base, adapter_folders: dict[str, Path], tmp_path: Path) -> None:
    """Old rows whose words are nonsense: by their words they are learned, held to the start they are not."""
    new = [Row(f"say {n}", ([(" yes yes", True)],)) for n in range(8)]
    old = [Row(f"read {n}", ([(" no no", True)],), once=True) for n in range(8)]
    red, recipe = adapter_folders["red"], replace(SMALL, epochs=1, heldout=0.0, forgetting=None)
    lost, learned = {}, {}
    for name, weight in (("kept", 4.0), ("words", 0.0)):
        told = train(ours, tmp_path / name, [*new, *old], replace(recipe, keeping=weight), sources=[], start=red)
        assert told["settings"]["keeping"] == weight
        model = _model(ours, tmp_path / name)
        lost[name] = _surprise(model, ours, old)
        learned[name] = _surprise(model, ours, new)
    start = _model(ours, red)
    before = _surprise(start, ours, old)
    assert lost["words"] < 0.8 * before
    assert abs(lost["kept"] - before) < 0.5 * abs(lost["words"] - before)
    assert learned["kept"] < 0.8 * _surprise(start, ours, new)


def test_small_steps_arrive(ours: Base, adapter_folders: dict[str, Path], tmp_path: Path) -> None:
    """At this rate bfloat16 would round nearly every step away."""
    red, recipe = adapter_folders["red"], replace(SMALL, rate=2e-6, epochs=1, heldout=0.0, forgetting=None, warmup=0)
    train(ours, tmp_path / "out", [sft.row_of(one) for one in sft.generated(4, 3)], replace(recipe, seq=512),
          sources=[], start=red)  # fmt: skip
    start, end = load_file(red / WEIGHTS), load_file(tmp_path / "out" / WEIGHTS)
    moved = torch.cat([(end[name].float() - start[name].float()).abs().flatten() for name in start])
    assert float((moved > 0).float().mean()) > 0.9
    assert float(moved.max()) < 1e-4


def _model(base: Base, adapter: Path) -> Any:
    from adapters.local.loading import load_local

    return load_local(base.path, adapters={"a": adapter}, quantization="nf4", device="cpu").model


def _surprise(model: Any, base: Base, rows: list[Row]) -> float:
    from adapters.training.encoding import encode

    total = 0.0
    for row in rows:
        made = encode(base.tokenizer, row)
        ids = torch.tensor([made.prompt + made.answers[0]])
        with torch.no_grad():
            now = torch.log_softmax(model(input_ids=ids).logits.float(), -1)[0]
        total -= sum(float(now[len(made.prompt) + at - 1, token]) for at, token in enumerate(made.answers[0]))
    return total / len(rows)
