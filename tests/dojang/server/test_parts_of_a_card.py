"""The pure parts of the console: filters, the drawing of the graph, where arguments stand, what was decided before."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from checkpoints.index import Listed
from dojang.server.console.drawing import drawing_of
from dojang.server.console.filters import Chosen, Person
from dojang.server.console.similar import similar_to
from dojang.server.console.sources import days_of, sources_of
from dojang.server.console.taking import seconds_until
from dojang.server.wording import sayer
from dojang.snoozes import Snoozes
from graph.build import build_graph
from state import Decision, Review, UserError, untouched

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
KIM = Person("kim", ("manager",), ("rv_1",))
EN = sayer("en")


def review(number: int, **args: Any) -> Review:
    action = {"tool": "book_room", "args": args, "effect_class": "write", "reversible": True, "schema_version": "1"}
    return cast(Review, {"id": f"rv_{number}", "action": action, "summary": f"booking {number}", "subject": "call:1"})


def before(number: int, said: str, **args: Any) -> Listed:
    decision = {"type": said, "by": "lee", "at": NOW.isoformat(), "reason": "wrong data: one night", "message": ""}
    return {
        "review": review(number, **args),
        "progress": {**untouched(), "decision": cast(Decision, decision)},
        "key": ("", f"rv_{number}"),
    }


def test_an_address_says_what_a_list_shows() -> None:
    query = {"view": "high", "kind": "tool", "q": "tool:issue_refund  risk:high 'Namsan Stay'"}
    chosen = Chosen.of(query)
    wanted = chosen.wanted(KIM, NOW)
    assert (wanted.kind, wanted.tool, wanted.tier_from, wanted.text) == ("tool", "issue_refund", 2, "Namsan Stay")
    assert [text for text, _ in chosen.chips()] == ["tool:issue_refund", "risk:high", "Namsan Stay"]
    without = dict(chosen.chips())["risk:high"]
    assert (without.view, without.words()) == ("high", ({"tool": "issue_refund"}, "Namsan Stay"))
    assert Chosen.of(dict(_pairs(chosen.query))) == chosen
    assert chosen.href() == "/?" + chosen.query
    assert Chosen().href() == "/"


def _pairs(query: str) -> list[tuple[str, str]]:
    from urllib.parse import parse_qsl

    return parse_qsl(query)


def test_what_an_address_cannot_mean_is_passed_over() -> None:
    assert (
        Chosen.of({"view": "all'; --", "kind": "nope", "q": '"lone risk:huge'}).wanted(KIM, NOW).text
        == '"lone risk:huge'
    )
    assert Chosen.of({"after": "~"}).key() is None


@pytest.mark.parametrize(
    ("view", "field", "value"),
    [
        ("mine", "assignee", "kim"),
        ("mine", "roles", ("manager",)),
        ("unassigned", "unclaimed", True),
        ("soon", "due_before", (NOW + timedelta(hours=1)).isoformat()),
        ("high", "tier_from", 2),
        ("later", "only", ("rv_1",)),
        ("done", "status", "decided"),
        ("", "without", ("rv_1",)),
        ("soon", "without", ()),
    ],
)
def test_views(view: str, field: str, value: object) -> None:
    assert getattr(Chosen.of({"view": view}).wanted(KIM, NOW), field) == value


def test_the_drawing_has_every_edge_of_the_compiled_graph() -> None:
    graph = build_graph(InMemorySaver()).get_graph()
    edges = [(edge.source, edge.target) for edge in graph.edges]
    drawn = drawing_of(edges, graph.nodes, ["intake", "generate", "review"], EN)
    within = [edge for edge in edges if not any(name.startswith("__") for name in edge)]
    assert len(drawn.lines) == len(drawn.heads) == len(within)
    assert [box.name for box in drawn.boxes if box.passed] == ["request", "generate", "review"]
    assert [box.name for box in drawn.boxes if box.current] == ["review"]
    assert all(0 <= box.x and box.x + box.width <= drawn.width for box in drawn.boxes)
    assert drawn.told == "request → generate → review"


def test_where_arguments_stand() -> None:
    said = [
        {"role": "user", "text": "Book Namsan Stay from 3 December"},
        {"role": "assistant", "text": "for Emma Lee"},
        {"role": "tool", "text": "free rooms: 180,000 KRW"},
    ]
    passages: Any = [{"text": "A child under 12 has breakfast.", "title": "Breakfast", "document": "d"}]
    args: dict[str, Any] = {
        "hotel": "Namsan Stay",
        "check_in": "2026-12-03",
        "check_out": "2026-12-05",
        "guest": "Emma Lee",
        "price": 180000,
        "meal": "breakfast",
        "room": "deluxe",
        "n": 2,
    }
    assert sources_of(args, said, passages, ["room"], EN) == {
        "hotel": "Guest, message 1",
        "check_in": "Guest, message 1",
        "check_out": "",  # a day may be said in many ways
        "guest": "not said, not read",  # only the model itself said it
        "price": "Tool, message 3",
        "meal": "Breakfast",
        "room": "",  # a choice of a few
        "n": "",  # would be found anywhere
    }
    assert "12월 3일" in days_of("2026-12-03")
    assert days_of("soon") == days_of(3) == []


def test_past_decisions_are_counted_and_the_nearest_shown_first() -> None:
    now = review(9, guests=2, hotel="Namsan Stay")
    others = [before(1, "approve", guests=3), before(2, "reject", guests=2, hotel="Namsan Stay"), before(3, "approve")]
    found = similar_to(now, [*others, before(9, "approve", guests=2)], EN)
    assert found is not None
    assert (found.total, found.counted) == (3, [("Approved", 2), ("Rejected", 1)])
    assert (found.nearest[0].summary, found.nearest[0].shared) == ("booking 2", ["guests", "hotel"])
    assert found.nearest[0].why == "wrong data: one night"
    assert similar_to(now, [], EN) is None


def test_what_is_put_off_is_back_in_time(tmp_path: Path) -> None:
    snoozes = Snoozes(tmp_path / "snoozed")
    due = cast(Review, {"id": "rv_1", "due_at": (NOW + timedelta(hours=1)).isoformat()})
    back = snoozes.put_off("Kim", due, NOW + timedelta(hours=2), NOW)
    assert back == NOW + timedelta(minutes=45)
    assert list(snoozes.of(" kim ", NOW)) == ["rv_1"]
    assert snoozes.of("lee", NOW) == snoozes.of("kim", back) == {}
    with pytest.raises(UserError, match="too soon"):
        snoozes.put_off("kim", due, NOW + timedelta(hours=2), NOW + timedelta(minutes=50))
    snoozes.take_back("kim", "rv_1", NOW)
    assert snoozes.of("kim", NOW) == {}
    assert [path.stat().st_mode & 0o777 for path in (tmp_path / "snoozed").glob("*.json")] == [0o600]


def test_tomorrow_is_nine_on_the_clock_here() -> None:
    assert seconds_until("two", NOW) == 7200
    back = (NOW + timedelta(seconds=seconds_until("morning", NOW))).astimezone()
    assert (back.hour, back.minute, back.date() - NOW.astimezone().date()) == (9, 0, timedelta(days=1))
