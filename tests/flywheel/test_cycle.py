"""One turn of the flywheel: cut off anywhere and taken up, nothing done twice, nothing promoted by itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from adapters.dataset.building import Choices
from adapters.registry.aliases import CANDIDATE, CHAMPION, Registry
from adapters.serving import EMBEDDED, base_fingerprint
from adapters.training.recipe import Recipe
from dojang.cli.exits import Exit
from dojang.flywheel.cycle import FILE, Cycle, Plan, Turn
from dojang.workspace import Workspace
from state import BrokenInvariant, Conflict, UserError
from tests.adapters.tiny import lora
from tests.dojang.conftest import Shell
from tests.flywheel import promotions
from tests.flywheel.test_dataset_commands import lived, shell, taken_over

__all__ = ["lived", "shell"]
PLAN = Plan(Choices(), Recipe(epochs=1), replay=0.3, old_items=0)
STAGES = ["dataset", "train", "register", "evaluate", "propose"]


class Turned(Exception):
    """Somebody pulled the plug."""


@pytest.fixture
def opened(lived: Path, tmp_path: Path) -> Iterator[Workspace]:
    with promotions.home(taken_over(lived, tmp_path / "home")) as workspace:
        yield workspace


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A training and a gate that cost nothing; who was trained and compared."""
    done: list[str] = []

    def train(base: Any, out: Path, rows: Any, *_: Any, **__: Any) -> None:
        done.append(f"train {len(list(rows))}")
        lora(out, len(done), base=base.fingerprint)

    def evaluate(parts: Any, candidate: str, dataset: str, **_: Any) -> Path:
        done.append(f"evaluate {candidate}")
        champion = Registry(parts.settings.home / "registry").aliases().get(CHAMPION, "")
        report = promotions.report(parts.settings.home, candidate, champion, dataset=dataset)
        return Path(parts.settings.home / "gates" / f"{report}.json")

    monkeypatch.setattr("adapters.training.run.train", train)
    monkeypatch.setattr("dojang.flywheel.cycle.evaluate_against", evaluate)
    return done


def turn(workspace: Workspace, plan: Plan = PLAN, at: Callable[[str], None] = lambda stage: None, **how: Any) -> Turn:
    return Cycle(workspace, plan, on_stage=at, on_progress=lambda news: None).turn(**how)


def test_what_passed_waits_for_a_person_and_serves_when_approved(opened: Workspace, cheap: list[str]) -> None:
    told = turn(opened)
    registry = Registry(opened.settings.home / "registry")
    assert (told["verdict"], told["ended"], registry.aliases()) == ("passed", True, {CANDIDATE: told["adapter"]})
    [review] = opened.thread(told["thread_id"]).reviews
    opened.decide(review["id"], "approve", by="choi")
    assert registry.aliases()[CHAMPION] == told["adapter"]
    assert not list((opened.settings.home / "models").glob("*"))  # the registry has it


@pytest.mark.parametrize("stage", STAGES)
def test_cut_off_at_any_stage_it_goes_on_and_does_nothing_twice(
    stage: str, opened: Workspace, cheap: list[str]
) -> None:
    def cut(now: str) -> None:
        if now == stage:
            raise Turned

    with pytest.raises(Turned):
        turn(opened, at=cut)
    told = turn(opened)
    assert told["ended"]
    assert told["thread_id"]
    assert [line.split()[0] for line in cheap] == ["train", "evaluate"]
    assert len(opened.threads()) == 8 + 1


def test_where_nothing_was_decided_since_nothing_is_done(opened: Workspace, cheap: list[str]) -> None:
    told, stages = turn(opened), list[str]()
    assert turn(opened, at=stages.append) == told
    assert (stages, len(cheap)) == (["dataset"], 2)
    again = turn(opened, fresh=True)
    assert again["dataset"] == told["dataset"]
    assert len(cheap) == 4


def test_a_gate_that_lets_nothing_through_asks_nobody(
    opened: Workspace, cheap: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(parts: Any, candidate: str, dataset: str, **_: Any) -> Path:
        report = promotions.report(parts.settings.home, candidate, dataset=dataset, verdict="failed")
        return Path(parts.settings.home / "gates" / f"{report}.json")

    monkeypatch.setattr("dojang.flywheel.cycle.evaluate_against", refuse)
    told = turn(opened)
    assert (told["verdict"], told["thread_id"], told["ended"]) == ("failed", "", True)
    assert len(opened.threads()) == 8


def test_other_settings_another_process_or_a_spoilt_file(opened: Workspace, cheap: list[str]) -> None:
    def cut(now: str) -> None:
        if now == "evaluate":
            raise Turned

    with pytest.raises(Turned):
        turn(opened, at=cut)
    with pytest.raises(UserError, match="--fresh"):
        turn(opened, Plan(Choices(), Recipe(epochs=2)))
    file = opened.settings.home / FILE
    with FileLock(file.with_suffix(".lock")), pytest.raises(Conflict, match="another process"):
        turn(opened)
    file.write_text(json.dumps({"format": 99}), encoding="utf-8")
    with pytest.raises(BrokenInvariant, match="move it away"):
        turn(opened)


def test_begun_anew_with_other_settings_it_takes_nothing_over(opened: Workspace, cheap: list[str]) -> None:
    def cut(now: str) -> None:
        if now == "register":
            raise Turned

    with pytest.raises(Turned):
        turn(opened, at=cut)
    told = turn(opened, Plan(Choices(), Recipe(epochs=2), replay=0.3, old_items=0), fresh=True)
    assert told["plan"]["recipe"]["epochs"] == 2
    assert [line.split()[0] for line in cheap] == ["train", "train", "evaluate"]


def test_from_the_champion_on(opened: Workspace, cheap: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Path | None] = []
    real: Any = __import__("adapters.training.run", fromlist=["train"]).train

    def train(*args: Any, start: Path | None, **how: Any) -> None:
        started.append(start)
        real(*args, **how)

    monkeypatch.setattr("adapters.training.run.train", train)
    home = opened.settings.home
    [champion] = promotions.adapters(home, 77, base=base_fingerprint(EMBEDDED))
    promotions.crown(home, champion)
    turn(opened)
    assert started == [home / "registry" / "adapters" / champion]


def test_an_endpoints_model_is_trained_where_it_lives(tmp_path: Path) -> None:
    elsewhere = {"model": "openai:gpt", "model_base_url": "http://127.0.0.1:1/v1"}
    with promotions.home(tmp_path / "home", **elsewhere) as w, pytest.raises(UserError, match="dataset export"):
        turn(w)


def test_the_whole_turn_with_the_model_that_ships(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.training.holding.ITEMS", 2)
    done = shell("adapters", "cycle", "--old", "0", "--epochs", "1", "--json")
    assert (done.code, done.json["verdict"], done.json["ended"]) == (Exit.PROBLEM, "cannot_tell", True)
    shown = shell("adapters", "report", done.json["report"])
    assert "too few decisions" in shown.out
    again = shell("adapters", "cycle", "--old", "0", "--epochs", "1", "--lang", "ko")
    assert (again.code, done.json["report"] in again.out) == (Exit.PROBLEM, True)
