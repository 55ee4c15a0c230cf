"""Adapters over HTTP: listed, shown, proposed in the name of whoever asks, taken back. No weights are loaded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from dojang.server import create_app
from dojang.workspace import Workspace
from tests.dojang.server.access.people import People
from tests.dojang.server.conftest import BASE
from tests.flywheel.promotions import adapters, crown, home, report


@pytest.fixture
def at(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def desk(at: Path) -> Iterator[Workspace]:
    with home(at) as opened:
        yield opened


@pytest.fixture
def program(desk: Workspace) -> TestClient:
    return TestClient(create_app(desk), base_url=BASE)


def test_adapters_and_their_reports_are_shown(program: TestClient, at: Path) -> None:
    first, second = adapters(at, 1, 2)
    crown(at, first)
    found = report(at, second, first)
    rows = {row["adapter"]: row for row in program.get("/adapters").json()}
    assert (rows[first]["aliases"], rows[second]["registered"]) == (["champion"], True)
    assert program.get("/adapters/aliases").json() == {"champion": first, "candidate": "", "previous": ""}
    card = program.get(f"/adapters/{second[:8]}").json()
    assert (card["adapter"]["adapter"], card["reports"]) == (second, [found])
    assert program.get("/adapters/champion/curve").json() == {"points": []}
    assert [line["id"] for line in program.get("/adapters/reports").json()] == [found]
    assert program.get(f"/adapters/reports/{found[:6]}").json()["figures"]["match"]["low"] == 0.31
    assert [row["reason"] for row in program.get("/adapters/promotions").json()["items"]] == ["the first"]
    (at / "gates" / f"{found}.json").chmod(0o600)
    (at / "gates" / f"{found}.json").write_text("{}")
    assert program.get("/adapters/reports").json()[0]["problem"]
    assert program.get(f"/adapters/reports/{found}").status_code == 500


def test_a_promotion_is_proposed_by_whoever_asks_and_decided_by_a_person(desk: Workspace, at: Path) -> None:
    first, second = adapters(at, 1, 2)
    crown(at, first)
    found = report(at, second, first)
    people = People(desk)
    developer = people.client(people.token("dana", "developer"))
    manager = people.client(people.token("mina", "manager"))
    body = {"adapter": second, "report": found, "reason": "it books as we want it"}
    assert manager.post("/adapters/promotions", json=body).status_code == 403
    made = developer.post("/adapters/promotions", json=body)
    assert made.status_code == 202, made.text
    [review] = made.json()["reviews"]
    assert (review["requester"], review["tier"]) == ("dana", 3)
    said = {"type": "approve", "digest": review["digest"]}
    assert developer.post(f"/reviews/{review['id']}/decision", json=said).status_code == 403
    assert manager.post(f"/reviews/{review['id']}/decision", json=said).status_code == 200
    assert manager.get("/adapters/aliases").json()["champion"] == second
    assert developer.post("/adapters/rollback", json={"reason": "no"}).status_code == 403
    back = manager.post("/adapters/rollback", json={"reason": "it books the wrong rooms"}).json()
    assert (back["by"], back["rollback"], back["set"]["champion"]) == ("mina", True, first)
    assert [r["actor"] for r in desk.parts.audit.records(None) if r["event"] == "champion.rolled_back"] == ["mina"]
    page = manager.get("/adapters/promotions", params={"limit": 2}).json()
    rest = manager.get("/adapters/promotions", params={"limit": 2, "cursor": page["next"]}).json()
    assert [row["n"] for row in [*page["items"], *rest["items"]]] == [3, 2, 1]
    stolen = developer.get("/adapters/promotions", params={"limit": 2, "cursor": page["next"]})
    assert (stolen.status_code, "another question or person" in stolen.json()["error"]) == (400, True)


def test_what_cannot_be_promoted_opens_nothing(program: TestClient, desk: Workspace, at: Path) -> None:
    first, second = adapters(at, 1, 2)
    crown(at, first)
    failed = report(at, second, first, verdict="failed")
    good = report(at, second, first)
    for body, status in (
        ({"adapter": "none", "report": good, "reason": "x"}, 404),
        ({"adapter": second, "report": "none", "reason": "x"}, 404),
        ({"adapter": second, "report": failed, "reason": "x"}, 400),
        ({"adapter": second, "report": good, "reason": "  "}, 400),
        ({"adapter": second, "report": good}, 422),
        ({"adapter": "a\x00", "report": good, "reason": "x"}, 422),
    ):
        answer = program.post("/adapters/promotions", json=body)
        assert (answer.status_code, bool(answer.json()["error"])) == (status, True), body
    assert program.post("/adapters/rollback", json={"reason": "x"}).status_code == 400
    assert desk.threads() == []
    for path in ("/adapters/none", "/adapters/none/curve", "/adapters/reports/none", "/datasets/none"):
        assert program.get(path).status_code == 404, path
    assert program.get("/datasets").json() == []
