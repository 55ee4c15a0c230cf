"""What the graph streams and keeps, as JSON that LangGraph's clients read."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from datetime import date
from typing import Any, Final, cast

import orjson
from langchain_core.messages import BaseMessage
from langgraph.types import Interrupt
from pydantic import BaseModel

GRAPH: Final = "dojang"
ASSISTANT_ID: Final = str(uuid.uuid5(uuid.NAMESPACE_URL, "urn:dojang:assistant:dojang"))
"""The one assistant's id, the same everywhere and for ever."""
_OPTIONS = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_NON_STR_KEYS


def dumps(value: Any) -> bytes:
    """JSON in UTF-8. Messages and pauses in their libraries' own forms; what has none is named by its type."""
    try:
        return orjson.dumps(value, _plain, _OPTIONS)
    except TypeError:  # a lone surrogate, or a number beyond 64 bits
        text = json.dumps(value, default=_plain)
        if "NaN" in text or "Infinity" in text:  # which JSON cannot say: null, as above
            text = json.dumps(json.loads(text, parse_constant=lambda _: None))
        return text.encode()


def plain(value: Any) -> Any:
    """The same as Python values."""
    return orjson.loads(dumps(value))


def interrupt_form(interrupt: Interrupt[Any]) -> dict[str, Any]:
    """A pause on the wire. Its schema is the door's own, not a client's, so it is left out."""
    return {"value": interrupt.value, "id": interrupt.id}


def public_config(config: Any) -> Any:
    """A RunnableConfig without what only the process that runs it can use."""
    if not isinstance(config, Mapping):
        return None
    inner = config.get("configurable") or {}
    kept = {k: v for k, v in inner.items() if not str(k).startswith("__")}
    return {"configurable": kept, "metadata": dict(config.get("metadata") or {})}


def public_checkpoint(payload: Any) -> Any:
    """A payload of the modes ``checkpoints`` and ``debug`` with public configs."""
    if not isinstance(payload, Mapping):
        return payload
    found = dict(payload)
    if "payload" in found:
        return {**found, "payload": public_checkpoint(found["payload"])}
    for key in ("config", "parent_config"):
        if key in found:
            found[key] = public_config(found[key])
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, Interrupt):
        return interrupt_form(value)
    if isinstance(value, BaseMessage | BaseModel):
        return value.model_dump(mode="json" if not isinstance(value, BaseMessage) else "python")
    if is_dataclass(value) and not isinstance(value, type) and type(value).__module__.startswith("langgraph"):
        return asdict(cast(Any, value))
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, BaseException):
        return str(value)
    return f"<{type(value).__name__}>"
