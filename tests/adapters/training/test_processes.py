"""A run in several processes: what one would have made, once a seed, resumed, and ended together.

Processes that train are forks of the test's own here, which has imported torch and trl already: 6 CPU-seconds each.
What they are given goes through pickle all the same, and processes that are begun anew do a smaller thing.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import select
import signal
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from adapters.training import curves
from adapters.training import run as runs_module
from adapters.training.processes import Place, Progress, RunBrokeOff, together
from adapters.training.recipe import Recipe
from adapters.training.rows import Row
from adapters.training.run import Base, newest_checkpoint, open_base, staging_of, train
from adapters.training.trainers import steps_of
from state import BrokenInvariant, UserError
from tests.adapters.training.doing import breaks, complains, summed, waits
from tests.adapters.training.runs import SMALL, run
from tests.adapters.training.test_keeping import ours
from tests.adapters.training.test_runs import lasting, left

__all__ = ["ours"]  # a fixture

WEIGHTS = "adapter_model.safetensors"
TWO = replace(SMALL, processes=2, batch=2)
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked")


def anew(work: Any, place: Place, told: Progress | None) -> Any:
    """A fork has what its parent knew of being alone."""
    import accelerate.state as known  # type: ignore[import-untyped, unused-ignore]

    for state in (known.AcceleratorState, known.GradientState, known.PartialState):
        state._reset_state()
    return work(place, told)


@pytest.fixture
def forked(monkeypatch: pytest.MonkeyPatch) -> None:
    def begin(work: Any, *args: Any, **how: Any) -> Any:
        return together(partial(anew, pickle.loads(pickle.dumps(work))), *args, **how, start="fork")

    monkeypatch.setattr(runs_module, "together", begin)


def rows(base: Base, n: int, *, once: bool = False) -> list[Row]:
    """Rows of one length, so that batches are drawn in the same order however many belong together."""
    word, found = "no" if once else "yes", list[Row]()
    lengths = {i: len(base.tokenizer(f"say {i} {word} {i}").input_ids) for i in range(10, 100)}
    for i, length in lengths.items():
        if length == lengths[99]:
            found.append(Row(f"say {i}", ([(f" {word} {i} {word}", True)],), once=once))
    assert len(found) >= n
    return found[:n]


def made(base: Base, out: Path, recipe: Recipe, listed: list[Row], start: Path | None = None) -> dict[str, Any]:
    return train(base, out, listed, recipe, sources=[], start=start)


def alike(one: Path, other: Path) -> bool:
    """Whether two adapters differ by rounding alone."""
    a, b = load_file(one / WEIGHTS), load_file(other / WEIGHTS)
    return set(a) == set(b) and all(torch.allclose(a[name], b[name], rtol=1e-2, atol=1e-3) for name in a)


def test_two_processes_make_what_one_makes_with_twice_the_passes(base: Path, tmp_path: Path, forked: None) -> None:
    opened, both = open_base(base, "fp32"), replace(TWO, quantization="fp32", heldout=0.0, epochs=1)
    told = made(opened, tmp_path / "two", both, rows(opened, 24))
    alone = made(opened, tmp_path / "one", replace(both, processes=1, accumulate=2), rows(opened, 24))
    assert (told["processes"], alone["processes"], told["steps"]) == (2, 1, alone["steps"])
    assert told["steps"] == steps_of(both, 24)
    assert told["loss"]["last"] < told["loss"]["first"]
    assert (told["loss"]["first"], told["loss"]["last"]) == pytest.approx(
        (alone["loss"]["first"], alone["loss"]["last"]), rel=1e-3
    )
    assert alike(tmp_path / "two", tmp_path / "one"), "the rows of both have moved it, and both have it"


def test_old_text_is_kept_by_both(ours: Base, adapter_folders: dict[str, Path], tmp_path: Path, forked: None) -> None:
    listed = [row for pair in zip(rows(ours, 8), rows(ours, 8, once=True), strict=True) for row in pair]
    both = replace(TWO, epochs=1, heldout=0.0, forgetting=None, quantization="fp32")
    red = adapter_folders["red"]
    told = made(ours, tmp_path / "two", both, listed, red)
    alone = made(ours, tmp_path / "one", replace(both, processes=1, accumulate=2), listed, red)
    assert told["loss"]["last"] == pytest.approx(alone["loss"]["last"], rel=1e-3)
    assert alike(tmp_path / "two", tmp_path / "one")
    assert not alike(tmp_path / "two", red)


def test_a_process_that_is_killed_ends_the_run_which_then_goes_on_to_the_same_adapter(
    base: Path, tmp_path: Path, forked: None
) -> None:
    news: list[dict[str, float]] = []
    told = run(base, tmp_path / "whole", TWO, told=news.append)
    assert (told["processes"], told["settings"]["processes"], told["device"]) == (2, 2, "cpu")
    assert [n["step"] for n in news if "eval_loss" in n] == list(range(2, told["steps"] + 1, 2))
    points = curves.read_lines(tmp_path / "whole" / curves.LINES)
    assert len(points) == len({(p["step"], "eval_loss" in p) for p in points}), "one process keeps the curves"
    out = tmp_path / "adapter"

    def kill_the_second(news: dict[str, float]) -> None:
        if news["step"] >= 7:
            _, second = sorted(int(process.pid or 0) for process in multiprocessing.active_children())
            os.kill(second, signal.SIGKILL)

    with pytest.raises(RunBrokeOff, match=r"process 1 .* \(exit code -9\).* start the same command again"):
        run(base, out, TWO, told=kill_the_second)
    assert not out.exists()
    newest = newest_checkpoint(staging_of(out) / "checkpoints", 2)
    assert newest is not None
    (newest / "rng_state_1.pth").unlink()  # as a kill leaves it before the second has written its part
    with pytest.raises(UserError, match="processes 2 instead of 1"):
        run(base, out, replace(TWO, processes=1))
    again = run(base, out, TWO)
    assert 0 < again["resumed_from_step"] < int(newest.name.rsplit("-", 1)[1])
    assert lasting(out) == lasting(tmp_path / "whole")
    assert left(tmp_path) == ["adapter", "whole"], "whatever they met by is gone"


# ------------------------------------------------------------------------------------------ processes, whatever they do


def test_processes_that_are_begun_anew_find_each_other_and_the_first_is_heard(tmp_path: Path) -> None:
    heard: list[dict[str, float]] = []
    found = together(summed, 2, cuda=False, meet=tmp_path / "meeting", told=heard.append)
    assert (found, heard, list(tmp_path.iterdir())) == ((3, 2, 1, True), [{"step": 3.0}], [])


@pytest.mark.parametrize(
    ("work", "error", "why"),
    [(complains, UserError, "^the second has no card"), (breaks, BrokenInvariant, "(?s)process 1 .*ZeroDivisionError")],
)
def test_what_one_of_them_cannot_ends_all_and_is_said(
    work: Any, error: type[Exception], why: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=why):
        together(work, 2, cuda=False, meet=tmp_path / "meeting", told=None, start="fork")
    assert multiprocessing.active_children() == []


def test_they_end_with_whoever_began_them_however_that_is_killed(tmp_path: Path) -> None:
    read, write = os.pipe()
    whoever = os.fork()
    if whoever == 0:
        say = partial(_say, write)
        try:
            together(waits, 2, cuda=False, meet=tmp_path / "meeting", told=say, start="fork")
        finally:
            os._exit(1)
    os.close(write)
    with os.fdopen(read) as said:
        assert said.readline().strip().isdigit()  # the first is at work
        os.kill(whoever, signal.SIGKILL)
        os.waitpid(whoever, 0)
        assert select.select([said], [], [], 30)[0], "the line has ended: none that has it open is left"
        assert said.read() == ""


def _say(line: int, news: dict[str, float]) -> None:
    os.write(line, f"{news['step']:.0f}\n".encode())


def test_what_cannot_be_shared_out_is_refused_before_anything_is_begun(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="unsloth trains in one process"):
        replace(TWO, backend="unsloth").checked()
    with pytest.raises(UserError, match="processes is 0"):
        replace(TWO, processes=0).checked()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    for device, why in (("cuda", "2 processes need as many cards, and this machine has 1"), ("cuda:1", "say cuda")):
        with pytest.raises(UserError, match=why):
            run(base, tmp_path / "out", replace(TWO, device=device))
    assert left(tmp_path) == []
