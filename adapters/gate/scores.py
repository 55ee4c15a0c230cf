"""One reply against what a person made of the point: matches, distance, what is said again, validity, grounds. Pure.

No model judges here. How dates and numbers in words are read, the caller says.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from rapidfuzz.distance import Levenshtein

from adapters.dataset.points import arguments_of
from adapters.forms.datewords import date_words
from adapters.gate.replies import Reply
from adapters.prompt import ASK_USER, integers_in
from state import JSON

Point = Mapping[str, Any]
Reads = Callable[[str, str], JSON]
"""A value in words on a day (ISO), read: a date as ISO, a number as a number; the words themselves where nobody can."""
METRICS: Final = ("match", "match_exact", "distance", "repeated", "valid", "grounded", "abstention", "seconds")
SMALLER: Final = frozenset({"distance", "repeated", "seconds"})
"""Metrics of which less is better."""
_NUMBER: Final = re.compile(r"\d+(?:[.,:]\d+)*")
_MARK: Final = re.compile(r"\[\d{1,2}\]")


def scores(point: Point, reply: Reply, reads: Reads) -> dict[str, float | None]:
    """Every metric of a reply, as a number; None where the decision says nothing of it.

    ``match``: the same call or words, whatever their case, spacing, Unicode form, and forms of dates and numbers; of a
    question what it is about. ``match_exact``: the very same. ``distance``: edits to what the person wanted, as a
    share, 0 to 1. ``repeated``: what was rejected or edited away is said again. ``valid``: a call of an offered tool
    with arguments of its schema, or words. ``grounded``: citations are of passages at hand and say what stands there,
    and every number was said or read. ``abstention``: it abstains exactly where it should.
    """
    wanted, said = decided(point), reply_of(point["said"])
    same = wanted is not None and alike(reply, wanted, point, reads)
    return {
        "match": None if wanted is None else float(same),
        "match_exact": None if wanted is None else float(_key(reply) == _key(wanted)),
        "distance": None if wanted is None else distance(reply, wanted, point, reads),
        "repeated": None if point["verdict"] == "good" else float(not same and alike(reply, said, point, reads)),
        "valid": float(valid(point, reply)),
        "grounded": None if reply["error"] or reply["abstained"] else float(grounded(point, reply, reads)),
        "abstention": _abstention(point, reply, wanted, said),
        "seconds": None if reply["error"] else reply["seconds"],
    }


def decided(point: Point) -> Reply | None:
    """What a person said would have been right; None of what was only rejected."""
    return None if point["decided"] is None else reply_of(point["decided"])


def reply_of(message: Mapping[str, Any]) -> Reply:
    """A message of a held-out point as a reply."""
    calls = message.get("tool_calls") or []
    function: dict[str, Any] = calls[0]["function"] if calls else {"name": "", "arguments": {}}
    return Reply(
        tool=str(function["name"]), args=arguments_of(function), text=str(message.get("content") or ""),
        cited=list(message.get("cited") or []), sources=list(message.get("sources") or []),
        abstained=bool(message.get("abstained")), error="", seconds=0.0,
    )  # fmt: skip


# ---------------------------------------------------------------------------------------------------------- the same


def alike(one: Reply, other: Reply, point: Point, reads: Reads) -> bool:
    """Whether two replies do the same."""
    if one["error"] or other["error"] or one["tool"] != other["tool"] or one["abstained"] != other["abstained"]:
        return False
    if one["tool"] == ASK_USER:
        return _plain(str(one["args"].get("about"))) == _plain(str(other["args"].get("about")))
    if one["tool"]:
        day = day_of(point)
        return bool(_read(one["args"], day, reads) == _read(other["args"], day, reads))
    return one["abstained"] or _plain(one["text"]) == _plain(other["text"])


def day_of(point: Point) -> str:
    """The ISO date that dates in words are counted from; "" where nobody knows."""
    return str(point.get("day") or point["today"])


def _key(reply: Reply) -> str:
    """What has to be the same, to the sign."""
    told = [reply["tool"], reply["args"], reply["text"], reply["abstained"], reply["error"]]
    return json.dumps(told, sort_keys=True, ensure_ascii=False)


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold()).split())


def _read(value: JSON, day: str, reads: Reads) -> JSON:
    """A value in one form; an argument that says nothing is none."""
    if isinstance(value, dict):
        found = {_plain(str(key)): _read(inner, day, reads) for key, inner in value.items()}
        return {key: inner for key, inner in found.items() if inner not in (None, "")}
    if isinstance(value, list):
        return [_read(inner, day, reads) for inner in value]
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float):
        return float(value)
    told = reads(str(value), day)
    return _plain(told) if isinstance(told, str) else _read(told, day, reads)


# ---------------------------------------------------------------------------------------------------------- distance


def distance(one: Reply, other: Reply, point: Point, reads: Reads) -> float:
    """Edits between two replies as a share: of the texts, or the mean over the arguments of one tool; else 1."""
    if one["error"] or one["tool"] != other["tool"] or one["abstained"] != other["abstained"]:
        return 1.0
    if not one["tool"]:
        return 0.0 if one["abstained"] else _apart(_plain(one["text"]), _plain(other["text"]))
    day = day_of(point)
    ours, theirs = (dict(_worded(_read(reply["args"], day, reads))) for reply in (one, other))
    names = ours.keys() | theirs.keys()
    if not names:
        return 0.0
    return sum(_apart(ours.get(name, ""), theirs.get(name, "")) for name in names) / len(names)


def _worded(args: Mapping[str, JSON]) -> Iterator[tuple[str, str]]:
    for name, value in args.items():
        yield name, value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)


def _apart(one: str, other: str) -> float:
    return float(Levenshtein.normalized_distance(one, other))


# ---------------------------------------------------------------------------------------------------------- validity


def valid(point: Point, reply: Reply) -> bool:
    """Whether a reply is words, or a call of an offered tool whose arguments its schema takes."""
    if reply["error"]:
        return False
    if not reply["tool"]:
        return bool(reply["text"].strip())
    offered = {tool["function"]["name"]: tool["function"]["parameters"] for tool in point["tools"]}
    if reply["tool"] == ASK_USER:
        tool, _, argument = str(reply["args"].get("about") or "").partition(".")
        asked = str(reply["args"].get("question") or "").strip()
        return bool(asked) and argument in offered.get(tool, {}).get("properties", {})
    if reply["tool"] not in offered:
        return False
    try:
        return bool(Draft202012Validator(offered[reply["tool"]]).is_valid(reply["args"]))
    except SchemaError:
        return False


# ----------------------------------------------------------------------------------------------------------- grounds


def grounded(point: Point, reply: Reply, reads: Reads) -> bool:
    """Whether everything that can be looked up without a judge stands in the evidence or the conversation."""
    texts = {str(passage["id"]): str(passage["text"]) for passage in point["passages"]}
    told = {f"tool:{m['tool_call_id']}": str(m["content"]) for m in point["prompt"] if m["role"] == "tool"}
    if not all(
        _stands(quote, texts | told, source) for quote, source in zip(reply["cited"], reply["sources"], strict=True)
    ):
        return False
    said = [*texts.values(), *_conversation(point["prompt"])]
    known = {number for text in said for number in _numbers(text)} | {
        str(n) for text in said for n in integers_in(text)
    }
    day = day_of(point)
    dates = {reads(words, day) for text in said for words in date_words(text)} | {day}
    if not reply["tool"]:
        return all(number in known for number in _numbers(_MARK.sub(" ", reply["text"])))
    return all(
        reads(value, day) in dates or all(number in known for number in _numbers(value))
        for value in _values({} if reply["tool"] == ASK_USER else reply["args"])
    )


def _stands(quote: str, texts: Mapping[str, str], source: str) -> bool:
    """Whether a quote stands in its source; a line of a result that was put together of JSON has its words there."""
    if source not in texts:
        return False
    within = " ".join(texts[source].split())
    if " ".join(quote.split()) in within:
        return True
    return source.startswith("tool:") and set(re.findall(r"\w+", quote)) <= set(re.findall(r"\w+", within))


def _conversation(messages: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for message in messages:
        yield str(message["content"] or "")
        for call in message.get("tool_calls") or []:
            yield " ".join(_values(arguments_of(call["function"])))


def _values(value: JSON) -> Iterator[str]:
    """Every plain value within, as words."""
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _values(inner)
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def _numbers(text: str) -> Iterator[str]:
    for found in _NUMBER.findall(text):
        yield found.replace(",", "").lstrip("0") or "0"


# -------------------------------------------------------------------------------------------------------- abstention


def _abstention(point: Point, reply: Reply, wanted: Reply | None, said: Reply) -> float | None:
    """Whether it abstains exactly where it should; None where words were neither said nor wanted, or nobody knows."""
    if (wanted or said)["tool"]:
        return None
    if wanted is not None:
        return float(reply["abstained"] == wanted["abstained"])
    return float(not reply["abstained"]) if said["abstained"] else None


__all__ = ["METRICS", "SMALLER", "Point", "Reads", "alike", "day_of", "decided", "distance", "grounded", "reply_of",
           "scores", "valid"]  # fmt: skip
