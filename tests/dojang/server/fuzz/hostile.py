"""Values that nobody sends by mistake, put in place of each part of a body that is otherwise good."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

DEEP: Final = "[" * 600 + "]" * 600
"""Deep enough to be near the limits of whoever takes JSON apart or puts it together."""
VALUES: Final = {
    "half a character": '"\\ud800"',
    "NUL": '"a\\u0000b"',
    "infinite": "1e999",
    "no number": "NaN",
    "huge": "1" + "0" * 40,
    "negative": "-1",
    "deep": DEEP,
    "deep object": '{"a":' * 600 + "1" + "}" * 600,
    "null": "null",
    "text": '"x"',
    "list": "[1, [], {}, null]",
    "object": '{"": {"\\udfff": 1e999}, "id": [1]}',
    "true": "true",
}
_HERE: Final = "@@here@@"
MESSAGE: Final = {"messages": [{"id": "x", "role": "user", "content": "When is check-out?"}], "filters": {"a": "b"}}
RUN: Final = {
    "assistant_id": "dojang",
    "input": MESSAGE,
    "command": None,
    "stream_mode": ["updates"],
    "metadata": {"a": 1},
    "context": None,
    "checkpoint": None,
    "checkpoint_id": None,
    "interrupt_before": None,
    "multitask_strategy": "enqueue",
    "after_seconds": 0,
    "webhook": None,
}
RESUME: Final = {"assistant_id": "dojang", "command": {"resume": {"decisions": [{"type": "approve", "args": {}}]}}}
SEARCH: Final = {
    "metadata": {"a": 1},
    "values": {"question": "x"},
    "ids": ["x"],
    "limit": 5,
    "offset": 0,
    "select": ["values"],
}
BODIES: Final[tuple[tuple[str, str, Any], ...]] = (
    ("POST", "/assistants/search", {"metadata": {"created_by": "system"}, "graph_id": "dojang", "name": "d"}),
    ("POST", "/threads", {"thread_id": None, "metadata": {"a": 1}, "if_exists": "raise"}),
    ("PATCH", "/threads/{quiet}", {"metadata": {"a": 1}}),
    ("POST", "/threads/search", SEARCH),
    ("POST", "/threads/count", SEARCH),
    ("POST", "/threads/{quiet}/state", {"values": {"question": "x", "filters": {}, "messages": []}, "as_node": None}),
    ("POST", "/threads/{quiet}/state/checkpoint", {"checkpoint": {"checkpoint_id": "x"}}),
    (
        "POST",
        "/threads/{quiet}/history",
        {"before": {"checkpoint_id": "x"}, "metadata": {"a": 1}, "checkpoint": {"checkpoint_id": "x"}},
    ),
    ("POST", "/threads/{quiet}/runs", RUN),
    ("POST", "/threads/{waits}/runs/wait", RESUME),
    (
        "POST",
        "/threads/{quiet}/commands",
        {
            "id": 1,
            "method": "run.start",
            "params": {"assistant_id": "dojang", "input": MESSAGE, "config": {"configurable": {"checkpoint_id": None}}},
        },
    ),
    (
        "POST",
        "/threads/{waits}/commands",
        {
            "id": 1,
            "method": "input.respond",
            "params": {"responses": [{"interrupt_id": "x", "response": {"type": "approve"}}], "update": None},
        },
    ),
    (
        "POST",
        "/threads/{waits}/commands",
        {"id": 1, "method": "input.respond", "params": {"interrupt_id": "x", "response": {}}},
    ),
    ("POST", "/threads/{quiet}/commands", {"id": 1, "method": "state.get", "params": {"keys": ["question"]}}),
    (
        "POST",
        "/threads/{quiet}/commands",
        {"id": 1, "method": "state.listCheckpoints", "params": {"limit": 1, "before": None}},
    ),
    (
        "POST",
        "/runs/batch",
        [{"assistant_id": "dojang", "input": {"messages": [{"role": "user", "content": "x"}]}, "metadata": {"a": 1}}],
    ),
    ("POST", "/runs/cancel", {"thread_id": "x", "run_ids": ["x"], "status": None}),
    ("PUT", "/store/items", {"namespace": ["a", "b"], "key": "k", "value": {"a": 1}, "ttl": 5}),
    ("DELETE", "/store/items", {"namespace": ["a", "b"], "key": "k"}),
    ("POST", "/store/items/search", {"namespace_prefix": ["a"], "filter": {"a": {"$gt": 1}}, "limit": 5}),
    ("POST", "/store/namespaces", {"prefix": ["a"], "suffix": ["b"], "max_depth": 1, "limit": 5}),
    (
        "POST",
        "/reviews/{review}/decision",
        {
            "type": "edit",
            "digest": "x",
            "reason": "",
            "message": "",
            "edited_args": {"a": 1},
            "dwell_ms": 1,
            "role": "",
        },
    ),
)


def bodies_of(good: Any) -> Iterator[tuple[str, bytes]]:
    """(what is wrong, the body) for each part of a good body with each of the values in its place."""
    for path, marked in _marked(good):
        text = json.dumps(marked)
        for name, value in VALUES.items():
            yield f"{path}: {name}", text.replace(f'"{_HERE}"', value).encode()


def _marked(good: Any, path: str = "body") -> Iterator[tuple[str, Any]]:
    yield path, _HERE
    if isinstance(good, dict):
        for key, value in good.items():
            for inner, marked in _marked(value, f"{path}.{key}"):
                yield inner, {**good, key: marked}
    elif isinstance(good, list):
        for n, value in enumerate(good):
            for inner, marked in _marked(value, f"{path}.{n}"):
                yield inner, [*good[:n], marked, *good[n + 1 :]]
