"""Promotion is a review: proposed by a program, decided by a person, carried out once, whoever races or dies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.registry.aliases import Registry
from dojang.flywheel.promoting import propose
from dojang.workspace import Workspace
from tests.flywheel.promotions import adapters, crown, home, report


@pytest.fixture
def at(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def desk(at: Path) -> Iterator[Workspace]:
    with home(at) as workspace:
        yield workspace


@pytest.fixture
def two(at: Path) -> tuple[str, str]:
    """The champion and who wants to be."""
    first, second = adapters(at, 1, 2)
    crown(at, first)
    return first, second


def champion(at: Path) -> str | None:
    return Registry(at / "registry").aliases().get("champion")


def test_an_approved_promotion_changes_the_champion_once_and_says_by_whom(
    desk: Workspace, at: Path, two: tuple[str, str]
) -> None:
    first, second = two
    told = report(at, second, first)
    run = propose(desk, second, told, "better on the decisions of November")
    assert (run.status, run.adapter) == ("paused", "program:promotion")
    [review] = run.reviews
    args = {"adapter": second, "champion": first, "report": told, "reason": "better on the decisions of November"}
    assert (review["action"]["tool"], review["action"]["args"], review["tier"]) == ("promote_adapter", args, 3)
    assert review["requester"] == "kim"
    assert champion(at) == first
    done = desk.decide(review["id"], "approve", by="lee").run
    assert (done.status, [o["status"] for o in done.outcomes]) == ("done", ["done"])
    assert champion(at) == second
    last = Registry(at / "registry").log.read()[-1]
    assert (last["by"], last["reason"], last["report"]) == ("lee", args["reason"], told)
    assert last["key"] == done.outcomes[0]["key"]
    assert done.answer is not None
    assert (done.answer["speaker"], second in done.answer["text"]) == ("program:promotion", True)
