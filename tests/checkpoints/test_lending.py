"""Messages of a long list are handed out again once nobody else holds them; no two callers ever share one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from checkpoints import FileSaver
from checkpoints.values.copies import Items
from checkpoints.values.lending import LEND_MIN, LENDS, LOANS_MAX
from tests.checkpoints.cases import checkpoint, config, metadata

CALL = {"name": "f", "args": {"n": [1, {"a": 1}]}, "id": "c", "type": "tool_call"}

only_where_counted = pytest.mark.skipif(not LENDS, reason="holders are not counted here")


def conversation() -> list[Any]:
    """Texts alone, and what real models send beside them."""
    said: list[Any] = [HumanMessage(f"말 {i}", id=f"h{i}") for i in range(LEND_MIN)]
    said[3] = AIMessage("둘", id="a", tool_calls=[CALL], response_metadata={"usage": {"tokens": 3}})
    said[4] = ToolMessage("답", tool_call_id="c", id="t")
    said[5] = HumanMessage("더", id="e", extra_field={"a": [1]})
    return said


CHANGES: list[Callable[[list[Any]], Any]] = [
    lambda m: setattr(m[0], "content", "다른"),
    lambda m: m[1].additional_kwargs.update(a=1),
    lambda m: m[1].__pydantic_extra__.update(a=1),
    lambda m: setattr(m[2], "more", 1),
    lambda m: m[3].tool_calls[0]["args"]["n"][1].update(a=True),
    lambda m: m[3].tool_calls[0]["args"]["n"].append(2),
    lambda m: m[3].response_metadata["usage"].update(tokens=3.0),
    lambda m: m[3].tool_calls.clear(),
    lambda m: setattr(m[4], "status", "error"),
    lambda m: m[5].__pydantic_extra__["extra_field"]["a"].append(2),
    lambda m: vars(m[LEND_MIN - 1]).pop("name"),
    lambda m: setattr(m[6], "__class__", AIMessage),
    lambda m: m.pop(),
    lambda m: m.reverse(),
]
PARTS: list[Callable[[list[Any]], Any]] = [
    lambda m: m,
    lambda m: m[0],
    lambda m: vars(m[0]),
    lambda m: m[1].additional_kwargs,
    lambda m: m[1].__pydantic_extra__,
    lambda m: m[3].tool_calls,
    lambda m: m[3].tool_calls[0]["args"]["n"][1],
    lambda m: m[5].__pydantic_extra__["extra_field"]["a"],
]
"""What a caller may keep of a list."""


@only_where_counted
def test_what_has_come_back_is_handed_out_again() -> None:
    items = Items(conversation())
    first = items.fresh()
    places = list(map(id, first))
    del first
    assert list(map(id, items.fresh())) == places
    longer = Items([AIMessage("다음", id="z")]).after(items, len(items))
    again = longer.fresh()
    assert list(map(id, again))[:-1] == places
    assert again == [*conversation(), AIMessage("다음", id="z")]
    assert items.fresh() == conversation()


@only_where_counted
def test_a_caller_who_keeps_the_last_turn_gets_the_one_before_it() -> None:
    items = Items(conversation())
    lists = [items.fresh() for _ in range(LOANS_MAX)]
    places = [set(map(id, made)) for made in lists]
    for turn in range(6):
        lists[turn % LOANS_MAX].clear()
        lists[turn % LOANS_MAX] = items.fresh()
        assert set(map(id, lists[turn % LOANS_MAX])) == places[turn % LOANS_MAX]


@pytest.mark.parametrize("change", CHANGES)
def test_what_a_caller_did_to_it_is_gone(change: Callable[[list[Any]], Any]) -> None:
    items = Items(conversation())
    spoilt = items.fresh()
    change(spoilt)
    del spoilt
    for _ in range(3):
        assert items.fresh() == conversation()
        assert list(map(type, items.fresh())) == list(map(type, conversation()))


@pytest.mark.parametrize("part", PARTS)
def test_what_somebody_holds_is_not_handed_out(part: Callable[[list[Any]], Any]) -> None:
    items = Items(conversation())
    for _ in range(2):
        made = items.fresh()
        held = part(made)
        del made
        given = items.fresh()
        assert part(given) is not held
        assert given == conversation()
        if isinstance(held, dict):
            held["spoilt"] = 1
        elif isinstance(held, list):
            held.append(held[0] if held else 1)
        else:
            held.content = "망침"
        assert given == conversation()
        assert items.fresh() == conversation()
        del held, given


def test_no_message_is_in_two_hands(tmp_path: Path) -> None:
    """Through the saver, with a list that grows, shrinks and changes, and callers who keep what they get."""
    saver, said = FileSaver(tmp_path, durability="os"), conversation()
    kept: list[Any] = []
    for turn in range(12):
        made = checkpoint({"m": said}, {"m": turn + 1}, f"{turn:02}")
        saver.put(config(cp=f"{turn - 1:02}" if turn else None), made, metadata(turn), {"m": turn + 1})
        found = [saver.get_tuple(config()) for _ in range(3)]
        lists = [f.checkpoint["channel_values"]["m"] for f in found if f is not None]
        assert lists == [said] * 3
        taken = [id(m) for held in [*kept, *lists] for m in held]
        assert len(set(taken)) == len(taken)
        kept = lists[: turn % 3]
        lists[2][turn].content = "망침"
        said = [*lists[1][: -(turn % 2) or None], HumanMessage(f"말 {turn}", id=f"n{turn}")]
        del found, lists
