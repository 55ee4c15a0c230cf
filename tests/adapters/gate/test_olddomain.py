"""The old domain is the same items for everybody, asked once and kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from adapters.errors import PromptTooLong
from adapters.gate.olddomain import ask_old, items
from adapters.gate.replies import Kept, Speaker
from adapters.training.evaluate import ELSEWHERE, SLICES
from adapters.training.examples import Example
from state import Generation
from tests.adapters.gate.held import Answers, books
from tests.graph.parts import calls

ITEMS = items(1, 0)


def right(example: Example) -> Generation:
    """What is right of a call; else the same booking."""
    return calls((example.name, example.arguments)) if example.kind == "call" else books("")


def test_the_items_follow_from_the_seed() -> None:
    assert len(ITEMS) == 2 * (len(SLICES) - len(ELSEWHERE)), "tools and documents of others are not the old domain"
    assert [key for key, _ in items(1, 0)] == [key for key, _ in ITEMS]
    assert not {key for key, _ in items(1, 1)} & {key for key, _ in ITEMS}
    assert {key for key, _ in ITEMS} <= {key for key, _ in items(2, 0)}


def test_each_item_is_asked_once_and_judged(tmp_path: Path) -> None:
    wanted = iter(example for _, example in ITEMS)
    speaker, days = Answers(lambda text: right(next(wanted))), list[str]()
    got = ask_old(Speaker("s", speaker, days.append), ITEMS, Kept(tmp_path / "a.jsonl"))
    assert got == {key: float(example.kind == "call") for key, example in ITEMS}
    assert 0 < sum(got.values()) < len(got)
    assert set(days) == {"2026-11-22"}
    counted: list[Any] = []
    again = ask_old(Speaker("s", Answers(books)), ITEMS, Kept(tmp_path / "a.jsonl"), on_reply=lambda: counted.append(1))
    assert (again, len(counted)) == (got, len(ITEMS))


def test_what_cannot_be_said_is_wrong(tmp_path: Path) -> None:
    def refuses(text: str) -> Generation:
        raise PromptTooLong("too long")

    got = ask_old(Speaker("s", Answers(refuses)), ITEMS[:2], Kept(tmp_path / "a.jsonl"))
    assert list(got.values()) == [0.0, 0.0]
