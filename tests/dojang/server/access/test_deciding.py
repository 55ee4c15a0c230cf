"""The policy's votes, roles and requester between people with tokens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dojang.workspace import Workspace
from nodes.door import NotEntitled
from tests.dojang.server.access.people import People
from tests.dojang.server.conftest import decision, open_workspace
from tests.dojang.test_undo import QUORUM


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, postgres_server: str) -> Iterator[Workspace]:
    folder = tmp_path_factory.mktemp("quorum")
    policy: Path = folder / "policy.toml"
    policy.write_text(QUORUM, encoding="utf-8")
    with open_workspace(folder / "w", postgres_server, policy=policy) as opened:
        yield opened


def test_two_managers_vote_and_whoever_asked_is_none_of_them(workspace: Workspace) -> None:
    people = People(workspace)
    emma, lee, park = (people.client(people.token(name, "manager")) for name in ("Emma", "lee", "park"))
    twin, clerk = people.client(people.token("EMMA", "manager")), people.client(people.token("jo", "operator"))
    admin = people.client(people.token("root", "admin"))
    review = workspace.acting("Emma", ["manager"]).ask("refund BK-2031").reviews[0]
    url = f"/reviews/{review['id']}/decision"
    said = {"type": "approve", "digest": review["digest"]}
    for own in (emma, twin):
        refused = own.post(url, json=said)
        assert (refused.status_code, "somebody else has to approve it" in refused.json()["error"]) == (400, True)
    for other in (clerk, admin):
        refused = other.post(url, json=said)
        assert (refused.status_code, "decided by manager" in refused.json()["error"]) == (400, True)
    refused = clerk.post(url, json={**said, "role": "manager"})
    assert (refused.status_code, "does not have the role" in refused.json()["error"]) == (400, True)
    first = lee.post(url, json=said).json()
    assert (first["decision"]["by"], first["run"]["status"]) == ("lee", "paused")
    assert lee.post(url, json=said).json()["run"]["status"] == "paused"
    last = park.post(url, json={**said, "role": "manager"}).json()
    assert (last["decision"]["by"], last["decision"]["role"]) == ("park", "manager")
    assert last["run"]["outcomes"][0]["status"] == "done"


def test_a_person_who_is_known_cannot_decide_as_another(workspace: Workspace) -> None:
    review = workspace.acting("Emma", ["operator"]).ask("refund BK-2031").reviews[0]
    lee = workspace.acting("lee", ["manager"])
    said = {"type": "approve", "digest": review["digest"]}
    for another in ({**said, "by": "park"}, {"decision": "approve", "by": "park"}):
        with pytest.raises(NotEntitled, match="own name only"):
            lee.decide(review["id"], another)
    with pytest.raises(NotEntitled, match="own name only"):
        lee.decide(review["id"], said, by="park")
    with pytest.raises(NotEntitled, match="own name only"):
        lee.decide(review["id"], {**said, "by": "park"}, by="lee")
    with pytest.raises(NotEntitled, match="own name only"):
        lee.answer(review["thread_id"], {**said, "by": "park"})
    assert lee.show(review["id"]).progress["votes"] == []
    assert lee.decide(review["id"], {**said, "by": " LEE "}).decision["by"] == "lee"
    lee.undo(review["id"])
    assert lee.show(review["id"]).progress["votes"] == []


def test_the_console_decides_as_whoever_is_logged_in(workspace: Workspace) -> None:
    people = People(workspace)
    review = workspace.acting("Emma", ["operator"]).ask("refund BK-2031").reviews[0]
    browser = people.logged_in(people.token("lee", "manager"))
    form = decision(review, "approve", confirm="yes", by="park", user="park")
    assert browser.post(f"/reviews/{review['id']}/decision", data=form).status_code == 303
    assert [vote["by"] for vote in workspace.show(review["id"]).progress["votes"]] == ["lee"]
    page = browser.get(f"/reviews/{review['id']}").text
    assert '<span class="chip who">lee</span>' in page
    assert "not by Emma, who asked" in page


def test_nothing_is_done_under_another_name(workspace: Workspace) -> None:
    people = People(workspace)
    hana, lee = (people.client(people.token(name, "operator")) for name in ("hana", "lee"))
    acting = workspace.acting("hana", ["operator"])
    review = acting.ask("please book a room").reviews[0]
    assert review["requester"] == "hana"
    url = f"/reviews/{review['id']}"
    assert lee.get(url).status_code == 200
    assert review["id"] in [r["id"] for r in lee.get("/reviews").json()["items"]]
    claimed = lee.post(f"{url}/claim", json={}).json()
    assert claimed["by"] == "lee"
    lost = hana.post(f"{url}/decision", json={"type": "approve", "digest": review["digest"]})
    assert (lost.status_code, "lee has claimed" in lost.json()["error"]) == (409, True)
    claims = {"type": "approve", "digest": review["digest"], "by": "hana"}
    assert lee.post(f"{url}/decision", json=claims).status_code == 422
    done = lee.post(f"{url}/decision", json={"type": "approve", "digest": review["digest"]}).json()
    assert done["decision"]["by"] == "lee"
    noted = [(r["event"], r["actor"]) for r in workspace.parts.audit.records(review["thread_id"])]
    for event in ("review.shown", "review.claimed", "decision.recorded", "run.released"):
        assert (event, "lee") in noted
    assert {actor for _, actor in noted} == {"hana", "lee", "dojang"}
    listed = [r["actor"] for r in workspace.parts.audit.records(None) if r["event"] == "inbox.listed"]
    assert listed[-1] == "lee"
