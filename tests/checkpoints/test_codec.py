"""The allow-list of types: exact round trips, no import by name."""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import hypothesis.strategies as st
import pytest
from hypothesis import given
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, ChatMessage, HumanMessage, RemoveMessage, SystemMessage, ToolMessage
from langgraph.checkpoint.serde.types import _DeltaSnapshot
from langgraph.types import Command, Interrupt, Overwrite, Send

from checkpoints import StrictSerializer, UnknownType
from checkpoints.values.codec import freeze, thaw
from checkpoints.values.messages import MESSAGES

CALL = {"name": "book_room", "args": {"방": 2, "밤": [1, 2.5, None]}, "id": "c1", "type": "tool_call"}
USAGE = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}


def bare(tag: str) -> Any:
    """A message of each kind with nothing but what it needs."""
    needed = {"tool": {"tool_call_id": "1"}, "chat": {"role": "손님"}, "function": {"name": "n"}, "remove": {"id": "h"}}
    make: Any = MESSAGES[tag]
    fields = needed.get(tag.partition("_")[0], {})
    return make(**fields) if tag == "remove" else make(content="c", **fields)


VALUES: list[Any] = [
    HumanMessage("안녕하세요", id="h", name="김"),
    HumanMessage([{"type": "text", "text": "그림"}, {"type": "image", "base64": "AA=="}]),
    AIMessage("", tool_calls=[CALL], usage_metadata=USAGE, response_metadata={"model": "m"}, id="a"),
    AIMessage(
        "x", invalid_tool_calls=[{"name": "f", "args": "{", "id": "1", "error": "e", "type": "invalid_tool_call"}]
    ),
    ToolMessage("결과", tool_call_id="c1", artifact={"표": b"\x00\xff", "때": date(2026, 1, 1)}, status="error"),
    SystemMessage("규칙"),
    ChatMessage(content="x", role="손님"),
    RemoveMessage("h"),
    HumanMessage("e", extra_field={"a": (1,)}),
    *[bare(tag) for tag in MESSAGES],
    Interrupt({"q": "승인?"}, id="i", response_schema={"type": "object"}),
    Send("node", {"m": [HumanMessage("q")]}),
    Send("node", None, timeout=timedelta(seconds=3)),
    Overwrite([1]),
    Overwrite(None),
    _DeltaSnapshot(["x"]),
    Command(update={"a": 1}, goto=[Send("n", 1)], resume={"i": False}),
    Command(goto="node"),
    Document("본문", metadata={"쪽": 3}),
    datetime(2026, 1, 1, tzinfo=UTC),
    datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin")),
    datetime(2026, 1, 1),
    date(2026, 1, 1),
    time(1, 2, 3),
    timedelta(-1, 5, 7),
    UUID(int=5),
    Decimal("1.10"),
    {1: "a", None: "b", (1, 2): {3}},
    {"$": "ai"},
    {"$": [0, 0]},
    {"\ud800": "\udfff"},
    "\ud800",
    2**70,
    -(2**63),
    2**64,
    float("inf"),
    -0.0,
    1e308,
    b"",
    (),
    set(),
    frozenset({(1,)}),
    deque([1], maxlen=3),
    [[[]]],
    True,
    1,
    1.0,
    None,
]


class Color(Enum):
    RED = 1


@dataclass
class Point:
    x: int


@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
def test_exact(value: Any) -> None:
    serde = StrictSerializer()
    for found in (serde.loads_typed(serde.dumps_typed(value)), thaw(freeze(value))):
        assert type(found) is type(value)
        assert repr(found) == repr(value)
        assert found == value
    inner = serde.loads_typed(serde.dumps_typed({"a": [value]}))["a"][0]
    assert repr(inner) == repr(value)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.dates(),
        lambda v: st.lists(v) | st.tuples(v, v) | st.dictionaries(st.text(), v),
        max_leaves=12,
    )
)
def test_any_plain_value(value: Any) -> None:
    serde = StrictSerializer()
    assert repr(serde.loads_typed(serde.dumps_typed(value))) == repr(value)
    assert repr(thaw(freeze(value))) == repr(value)


@pytest.mark.parametrize(
    "value",
    [Color.RED, Point(1), OrderedDict(), Counter(), bytearray(b"x"), object(), print, int, 1j, memoryview(b"x")],
)
def test_unknown_types_fail_loudly(value: Any) -> None:
    for nested in (value, [value], {"a": {"b": (value,)}}, ToolMessage("x", tool_call_id="1", artifact=value)):
        with pytest.raises(UnknownType, match="cannot be stored"):
            StrictSerializer().dumps_typed(nested)


def test_too_deep_fails_loudly() -> None:
    value: Any = []
    for _ in range(5000):
        value = [value]
    with pytest.raises(UnknownType, match="nested"):
        StrictSerializer().dumps_typed(value)


@pytest.mark.parametrize("data", [b'{"$":"os.system","v":"x"}', b'{"$":"Point","x":1}', b'{"$":[5,0]}', b'{"$":1}'])
def test_a_file_cannot_name_a_class(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"tag|reference"):
        StrictSerializer().loads_typed(("dojang-json", data))
    with pytest.raises(ValueError, match="serialization type"):
        StrictSerializer().loads_typed(("pickle", data))


def test_copies_share_nothing() -> None:
    frozen = freeze(AIMessage("x", tool_calls=[CALL]))
    thaw(frozen).tool_calls[0]["args"]["방"] = 9
    assert thaw(frozen).tool_calls[0]["args"]["방"] == 2
