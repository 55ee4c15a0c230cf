"""What an adapter says of its training: hashes of every row, and held-out decisions found among them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from adapters.gate.leaks import late, training_of
from adapters.gate.rules import Noted
from adapters.prompt import CHAT_TEMPLATE, EOT
from adapters.serving import EMBEDDED_ADAPTER, WEIGHTS
from adapters.training import learned, sft
from adapters.training.rows import Dialect
from tests.adapters.gate.held import held
from tests.adapters.tiny import lora
from tests.adapters.training.test_decided import NUMBERED, READING, rows
from tests.flywheel.made import ARGS, point

TOLD = "Breakfast is from 7 to 10."
TOKENIZER = SimpleNamespace(chat_template=CHAT_TEMPLATE, eos_token=EOT)
AT = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


def taught_on(folder: Path, *points: Any, dialect: Dialect = READING, start: Path | None = None, **how: Any) -> Path:
    adapter = lora(folder, 1)
    learned.write(adapter, [row for given in points for row in rows(dialect, given, **how)], start)
    return adapter


def leaked(adapter: Path, *points: Any, tokenizer: Any = None) -> int:
    return training_of(adapter, points, {}, tokenizer).leaked


def test_what_was_held_out_is_found_among_the_rows(tmp_path: Path) -> None:
    adapter = taught_on(tmp_path / "a", point(1), point(2), point(3, text=f"{TOLD} [1]"))
    assert leaked(adapter, held(1), held(3, text=f"{TOLD} [1]"), held(4)) == 2
    assert leaked(adapter, held(4), held(5)) == 0
    told = training_of(adapter, [held(4)], {}, None)
    assert (told.known, told.leaked, told.late) == (True, 0, "")
    assert "Guest1" not in (adapter / learned.FILE).read_text(encoding="utf-8")


@pytest.mark.parametrize("method", ["sft", "dpo", "kto"])
@pytest.mark.parametrize("dialect", [READING, NUMBERED])
def test_every_method_and_every_kind_of_base_leaves_traces(method: str, dialect: Dialect, tmp_path: Path) -> None:
    tokenizer = None if dialect is READING else TOKENIZER
    edited = point(1, "edit", edited={**ARGS, "guests": 1, "hotel": "Han River"})
    adapter = taught_on(tmp_path / "a", edited, dialect=dialect, method=method)
    assert leaked(adapter, held(1), tokenizer=tokenizer) == 1
    assert leaked(adapter, held(2), tokenizer=tokenizer) == 0


def test_the_request_alone_is_enough_in_whatever_order_its_words_stand(tmp_path: Path) -> None:
    """As a row of a file, with another prompt around it."""
    adapter = taught_on(tmp_path / "a", point(1, request="A quiet room at Namsan Stay, please"))
    asked = held(9, request="please: a QUIET room at Namsan stay")
    assert leaked(adapter, asked) == 1
    raw = {"prompt": [{"role": "user", "content": "quiet room please at Namsan Stay, a"}], "completion": "Yes."}
    other = lora(tmp_path / "b", 2)
    learned.write(other, READING.rows(raw, "sft"), None)
    assert leaked(other, asked) == 1


def test_a_word_or_two_are_nobodys(tmp_path: Path) -> None:
    talk = [*point(1)["messages"], {"role": "assistant", "content": "It is booked."}]
    short: Any = {**point(1), "messages": [*talk, {"role": "user", "content": "yes please"}]}
    adapter = taught_on(tmp_path / "a", short)
    other = [*held(2)["prompt"], talk[1], {"role": "user", "content": "yes please"}]
    assert leaked(adapter, {**held(2), "prompt": other}) == 0
    assert leaked(adapter, {**held(2), "prompt": short["messages"]}) == 1


def test_what_an_adapter_went_on_from_counts_too(tmp_path: Path) -> None:
    first = taught_on(tmp_path / "a", point(1), point(5, request="A quiet room for 5 at Namsan Stay"))
    second = taught_on(tmp_path / "b", point(2), start=first)
    assert leaked(second, held(1), held(2), held(3)) == 2
    assert leaked(second, held(6, request="at namsan stay, a quiet room for 5")) == 1
    unknown = lora(tmp_path / "c", 2)
    third = taught_on(tmp_path / "d", point(2), start=unknown)
    assert [training_of(folder, [], {}, None).known for folder in (second, unknown, third)] == [True, False, False]
    shipped = taught_on(tmp_path / "e", point(2), start=WEIGHTS / EMBEDDED_ADAPTER)
    assert training_of(shipped, [held(2)], {}, None).known


@pytest.mark.parametrize("content", ["", "no json", '{"format": 2, "whole": true}', '{"format": 1}', "[]"])
def test_a_file_that_says_nothing_is_unknown_training(content: str, tmp_path: Path) -> None:
    adapter = lora(tmp_path / "a", 1)
    (adapter / learned.FILE).write_text(content, encoding="utf-8")
    assert not training_of(adapter, [held(1)], {}, None).known


def test_the_same_rows_are_the_same_bytes_and_made_up_ones_are_left_out(tmp_path: Path) -> None:
    one = taught_on(tmp_path / "a", point(1), point(2))
    two = taught_on(tmp_path / "b", point(2), point(1), point(1))
    assert (one / learned.FILE).read_bytes() == (two / learned.FILE).read_bytes()
    made = lora(tmp_path / "c", 1)
    learned.write(made, [sft.row_of(said) for said in sft.generated(3, 0)], None)
    assert len((made / learned.FILE).read_text(encoding="utf-8").splitlines()) == 1


# ------------------------------------------------------------------------------------------------------- rules first


def at(seconds: float) -> Noted:
    return Noted(dataset="", at=(AT + timedelta(seconds=seconds)).isoformat(timespec="seconds"), values={}, digest="")


def manifest(*datasets: str, seconds: float = 600, begun: float | None = None) -> Any:
    sources = [{"dataset": name} for name in datasets]
    told = {"trained_at": AT.isoformat(timespec="seconds"), "duration_s": seconds, "data": {"sources": sources}}
    return told if begun is None else told | {"begun_at": (AT + timedelta(seconds=begun)).isoformat()}


@pytest.mark.parametrize(
    ("noted", "told", "wanted"),
    [
        ({"a": at(-700)}, manifest("a"), ""),
        ({"a": at(-600)}, manifest("a"), ""),  # in the same second
        ({"a": at(-500)}, manifest("a"), "a"),  # while it was trained
        ({"a": at(60)}, manifest("a"), "a"),
        ({"a": None}, manifest("a"), "a"),
        ({"a": at(-700), "b": at(60)}, manifest("a"), ""),  # compared on a newer one
        ({"a": at(-700), "b": None}, manifest("a"), "b"),
        ({"a": at(60), "b": at(-700)}, manifest("a"), "a"),
        ({"b": at(60)}, manifest(), "b"),  # rows of a file
        ({"b": at(-700)}, manifest(), ""),
        ({"a": at(-700)}, manifest("a", begun=-650), ""),  # interrupted: the last leg is not all of it
        ({"a": at(-640)}, manifest("a", begun=-650), "a"),
        ({"a": at(-650)}, manifest("a", begun=-649.9), ""),  # in the same second
        ({"a": at(-700)}, manifest("a") | {"begun_at": "then"}, "a"),
        ({"a": at(-700)}, {}, "a"),
        ({"a": at(-700)}, {"trained_at": "then", "duration_s": 1}, "a"),
    ],
)
def test_rules_are_noted_before_training_begins(noted: Any, told: Any, wanted: str) -> None:
    assert late(json.loads(json.dumps(told)), noted) == wanted
