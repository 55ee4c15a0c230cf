"""Adapters, audit and the shift report in the console: what they show, to whom, and that nothing happens by looking."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from adapters.dataset import folder
from dojang.server.console import charts
from dojang.shift import Said, shift_of
from dojang.workspace import Workspace
from tests.dojang.server.access.people import People
from tests.dojang.server.conftest import browser_of
from tests.flywheel.made import point
from tests.flywheel.promotions import adapters, crown, home, report
from tests.flywheel.test_dataset import made
from tests.sessions_in_postgres import changed_by_hand

HISTORY = [{"step": n, "loss": 1.5 / n, **({"eval_loss": 1.1} if n == 2 else {})} for n in (1, 2, 3)]


@pytest.fixture
def at(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def desk(at: Path) -> Iterator[Workspace]:
    with home(at) as opened:
        yield opened


@pytest.fixture
def page(desk: Workspace) -> TestClient:
    return browser_of(desk)


def test_an_adapter_is_looked_at_proposed_promoted_and_taken_back(page: TestClient, desk: Workspace, at: Path) -> None:
    first, second = adapters(at, 1, 2)
    crown(at, first)
    found = report(at, second, first)
    overview = page.get("/adapters").text
    assert (first[:8] in overview, found in overview, "the first" in overview) == (True, True, True)
    card = page.get(f"/adapters/{second[:8]}").text
    assert f'href="/adapters/reports/{found}"' in card
    shown = page.get(f"/adapters/reports/{found}").text
    assert ("Opens a review" in shown, shown.count("<svg") >= 2, "language ko" in shown) == (True, True, True)
    assert page.post("/adapters/promotions", data={"report": found, "reason": " "}).status_code == 400
    made = page.post("/adapters/promotions", data={"report": found, "reason": "it books as we want it"})
    assert (made.status_code, made.headers["location"][:12]) == (303, "/reviews/rv_")
    assert desk.threads()[0]["open_reviews"] == 1
    assert "Take the champion back" not in overview  # there is no previous one yet
    refused = page.post("/adapters/rollback", data={"reason": "<b>wrong</b> rooms"})
    assert (refused.status_code, "&lt;b&gt;wrong" in refused.text) == (400, False)
    crown(at, second, seen=first)
    assert page.post("/adapters/rollback", data={"reason": ""}).status_code == 400
    assert page.post("/adapters/rollback", data={"reason": "<b>wrong</b> rooms"}).status_code == 303
    log = page.get("/adapters").text
    assert ("&lt;b&gt;wrong&lt;/b&gt; rooms" in log, "taken back" in log) == (True, True)
    for path in ("/adapters/none", "/adapters/reports/none", "/datasets/none", "/adapters/compare/jb_0"):
        assert page.get(path).status_code == 404, path


def test_training_is_drawn_and_planned(page: TestClient, at: Path) -> None:
    from adapters.registry.aliases import Registry
    from tests.adapters.tiny import lora

    made = Registry(at / "registry").add(lora(at.parent / "a", 3, history=HISTORY, settings={"rank": 8}))["id"]
    card = page.get(f"/adapters/{made}").text
    assert (card.count("<polyline"), "1.1000" in card, "rank=8" in card) == (2, True, True)
    plan = page.get("/adapters/plan", params={"gpu": "4GiB", "base": "embedded"}).text
    assert ("fits" in plan, "<rect" in plan) == (True, True)
    assert page.get("/adapters/plan", params={"base": "/etc"}).status_code == 400
    assert page.get("/adapters/plan", params={"gpu": "much"}).status_code == 400


def test_a_dataset_says_how_it_is_balanced_and_what_was_left_out(page: TestClient, at: Path) -> None:
    points = [point(n) for n in range(1, 9)]
    name = folder.write(made(points), at / "datasets").name
    told = page.get(f"/datasets/{name}")
    assert told.status_code == 200, told.text
    assert all(word in told.text for word in ("held out", "training", "never trained on", "few decisions", "<svg"))
    assert f'href="/datasets/{name}"' in page.get("/adapters").text


def test_the_chain_is_narrowed_paged_checked_and_exported(page: TestClient, desk: Workspace, at: Path) -> None:
    for n in range(120):
        desk.parts.audit.note(None, "inbox.listed", f"<i>{n % 2}", "inbox", {"count": n})
    first = page.get("/audit", params={"actor": "<i>1", "event": "inbox.listed"}).text
    assert first.count('class="facts"') == 60
    assert "&lt;i&gt;1" in first
    newest = page.get("/audit", params={"event": "inbox.listed"}).text
    older = re.search(r'href="(/audit\?[^"]*cursor=[^"]+)"', newest)
    assert older is not None
    rest = page.get(older[1].replace("&amp;", "&")).text
    assert (newest.count('class="facts"'), rest.count('class="facts"')) == (100, 20)
    assert page.get("/audit", params={"since": "soon"}).status_code == 400
    today = datetime.now().astimezone().date().isoformat()
    asked = {"event": "inbox.listed", "since": today, "until": today}  # a day without a time is the whole of it
    assert page.get("/audit", params=asked).text.count('class="facts"') == 100
    assert len(page.get("/audit/export", params=asked).text.splitlines()) == 120
    assert page.get("/audit", params={"thread": "th_none"}).status_code == 404
    lines = page.get("/audit/export", params={"event": "inbox.listed"}).text.splitlines()
    assert [json.loads(line)["facts"]["count"] for line in lines] == list(range(120))
    assert page.get("/audit/export", params={"format": "csv", "actor": "<i>1"}).text.count("\r\n") == 61
    assert checked(page)[0] == "The chain is whole."
    changed_by_hand(desk.parts.backend, None, "audit", '"count":7}', '"count":8}')
    verdict, body = checked(page)
    assert verdict.startswith("Something was changed")
    assert body.index("PROBLEM") < body.index("record 9")


def checked(page: TestClient) -> tuple[str, str]:
    """The verdict of a check, and its page."""
    assert page.post("/audit/verify").status_code == 303
    page.app.state.jobs.wait()  # type: ignore[attr-defined]
    body = page.get("/audit/verify").text
    found = re.search(r'class="verdict [a-z]+">([^<]+)', body)
    assert found is not None, body
    return found[1].strip(), body


def test_places_are_for_those_whose_they_are(desk: Workspace) -> None:
    people = People(desk)
    operator = people.logged_in(people.token("olga", "operator"))
    manager = people.logged_in(people.token("mina", "manager"))
    assert [operator.get(path).status_code for path in ("/adapters", "/audit", "/audit/verify", "/shift")] == [
        403, 403, 403, 200,
    ]  # fmt: skip
    frame = operator.get("/shift").text
    assert ('href="/audit"' in frame, 'href="/adapters"' in frame, "your own figures" in frame) == (False, False, True)
    assert "your own figures" not in manager.get("/shift").text
    assert manager.get("/audit/export").status_code == 403


def said(minute: int, kind: str, dwell_s: float, **others: Any) -> Said:
    at = datetime(2026, 11, 22, 9, tzinfo=UTC) + timedelta(minutes=minute)
    fields = {"by": "Kim", "tool": "book", "tier": 1, "thread": f"t{minute}", "subject": "call:1", "bulk": False}
    return Said(at=at, type=kind, dwell_s=dwell_s, review=f"rv_{minute}", **{**fields, **others})


def test_tiredness_is_read_from_dwell_times_streaks_and_flips() -> None:
    long = [said(n, "approve", 20.0 if n < 6 else 4.0) for n in range(12)]
    flip = [
        said(20, "reject", 9.0, thread="t3", by="Lee"),
        said(21, "approve", 2.0, tier=3),
        said(22, "approve", 0, bulk=True),
    ]
    made = shift_of([*long, *flip], Counter({"kim": 2}), hourly=True)
    kim, lee = made.persons
    assert (kim.total, kim.streak, kim.streak_type, kim.undone, kim.otherwise, kim.bulk) == (14, 13, "approve", 2, 1, 1)
    assert kim.signs == ["streak", "faster", "quick_high"]
    assert (kim.first_dwell, kim.last_dwell, lee.signs, lee.streak) == (20.0, 4.0, [], 1)
    assert [sum(counts.values()) for counts in made.dwells] == [2, 7, 6, 0, 0]
    assert sum(total for _, _, total in made.rates) == 15


def test_a_chart_keeps_to_its_frame() -> None:
    chart = charts.intervals([("a", -0.2, 0.1, 0.4), ("b", None, None, None)], "told")
    assert all(charts.NAMES <= x <= charts.WIDE for x, _, _ in chart.dots)
    assert [dot[2] for dot in chart.dots] == ["none"]
    line = charts.curves([("one", "loss", [(1, 2.0), (2, 2.0)])], "told")
    assert all(charts.LEFT <= float(p.split(",")[0]) <= charts.WIDE for p in line.curves[0][0].split())
    stack = charts.bars([("x", [("good", 3), ("bad", 1)]), ("y", [])], "told")
    assert [round(r.width) for r in stack.rects] == [292, 98]
