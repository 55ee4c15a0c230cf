"""A shift handed over to a colleague: the claims move, the record stays, the receiver sees it. Pages and commands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from checkpoints.audit.check import verify_audit
from checkpoints.errors import Claimed
from dojang.handover import HANDED, TAKEN, hand_over, handovers, take_over
from dojang.workspace import Workspace
from nodes.door import NotEntitled
from state import Conflict, UserError
from tests.dojang.conftest import Shell
from tests.dojang.server.access.people import People
from tests.dojang.server.conftest import decision, open_workspace

NOTE = "두 건은 손님이 다시 전화하기로 했습니다 <b>"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, postgres_server: str) -> Iterator[Workspace]:
    with open_workspace(tmp_path_factory.mktemp("handing"), postgres_server) as opened:
        yield opened


def test_the_claims_go_to_the_colleague_and_nobody_elses(workspace: Workspace) -> None:
    people = People(workspace)
    olga, ben = (people.token(name, "operator") for name in ("olga", "ben"))
    people.token("view", "viewer")
    mine, other, free = (workspace.ask("please book a room").reviews[0] for _ in range(3))
    workspace.claim(mine["id"], by="olga")
    workspace.claim(other["id"], by="kim")
    page = people.logged_in(olga)
    shown = page.get("/shift").text
    assert "You have claimed 1 reviews" in shown
    assert re.findall(r"<option>([^<]*)", shown) == ["ben"]  # no viewer, and not oneself
    for nobody in ("bne", "view", "olga", ""):
        assert page.post("/shift/handover", data={"to": nobody}).status_code == 400
    assert handovers(workspace) == []
    given = workspace.parts.standing.allow(
        by="Olga", tool="book_room", condition="args.guests <= 2", max_uses=3, lasts=timedelta(hours=8)
    )
    workspace.hand_up(free["id"], "manager")
    assert page.post("/shift/handover", data={"to": "ben", "note": NOTE}).status_code == 303

    [made] = handovers(workspace)
    assert (made.by, made.to, made.note, made.reviews, made.open) == ("olga", "ben", NOTE, [mine["id"]], 3)
    assert (made.handed_up, made.standing) == (1, [given.id]), "what goes on by itself is the receiver's to look at"
    claims = [workspace.show(one["id"]).progress["claim"] for one in (mine, other, free)]
    assert [claim and (claim["by"], claim.get("handed_by")) for claim in claims] == [
        ("ben", "olga"), ("kim", None), None,
    ]  # fmt: skip
    late = page.post(f"/reviews/{mine['id']}/decision", data=decision(mine, "approve"))
    assert (late.status_code, "ben has claimed" in late.text) == (409, True)

    his = people.logged_in(ben)
    assert "handed over by olga" in his.get(f"/reviews/{mine['id']}").text
    assert mine["id"] in his.get("/?view=mine").text
    shown = his.get("/shift").text
    assert f"<code>{given.id}</code>" in shown
    assert "전화하기로 했습니다 &lt;b&gt;" in shown
    take = f"/shift/handover/{made.id}/taken"
    assert take in shown
    assert take not in page.get("/shift").text, "whoever handed over does not take over"
    assert page.post(take).status_code == 400
    assert his.post(take).status_code == 303
    assert his.post(take).status_code == 409
    assert handovers(workspace)[0].taken_at
    assert take not in his.get("/shift").text
    assert his.post(f"/reviews/{mine['id']}/decision", data=decision(mine, "approve")).status_code == 303

    home = [(r["event"], r["actor"], r["subject"]) for r in workspace.parts.audit.records(None)]
    assert [one for one in home if one[0] in (HANDED, TAKEN)] == [(HANDED, "olga", made.id), (TAKEN, "ben", made.id)]
    noted = [(r["event"], r["actor"], r["facts"].get("to")) for r in workspace.parts.audit.records(mine["thread_id"])]
    assert ("review.handed_over", "olga", "ben") in noted
    assert verify_audit(workspace.settings.home, backend=workspace.parts.backend)["problems"] == 0


def test_others_see_no_handover_that_is_not_theirs(workspace: Workspace) -> None:
    people = People(workspace)
    secret = "on leave from tomorrow"
    hand_over(workspace.acting("ida", ["operator"]), "jan", secret)
    operator, manager = people.token("curious", "operator"), people.token("mina", "manager")
    assert secret not in people.logged_in(operator).get("/shift").text
    assert secret in people.logged_in(manager).get("/shift").text


def test_a_claim_that_was_lost_meanwhile_stays_where_it_is(
    tmp_path: Path, postgres_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_workspace(tmp_path, postgres_server) as workspace:
        kept, lost = (workspace.ask("please book a room").reviews[0] for _ in range(2))
        for one in (kept, lost):
            workspace.claim(one["id"])
        decisions, now = workspace.parts.decisions, workspace.parts.clock.now()
        real = decisions.hand_over

        def raced(thread: str, review: str, *rest: object) -> object:
            if review == lost["id"]:
                decisions.unclaim(thread, review, "kim", now)
                decisions.claim(thread, review, "lee", now)
            return real(thread, review, *rest)  # type: ignore[arg-type]

        monkeypatch.setattr(decisions, "hand_over", raced)
        made, left = hand_over(workspace, "ben")
        assert made.reviews == [kept["id"]]
        assert [(one, "lee has claimed" in why) for one, why in left] == [(lost["id"], True)]
        with pytest.raises(Claimed):
            workspace.claim(lost["id"])
        with pytest.raises(NotEntitled):
            take_over(workspace, made.id)
        with pytest.raises(UserError, match="there is no handover"):
            take_over(workspace, "ho_0")
        with pytest.raises(NotEntitled, match="no role that decides"):
            hand_over(workspace.acting("dev", ["developer"], decides=False), "ben")
        ben = workspace.acting("ben", ["operator"])
        assert take_over(ben, made.id).taken_at
        with pytest.raises(Conflict, match="has taken over"):
            take_over(ben, made.id)


def test_the_same_on_the_command_line(shell: Shell) -> None:
    _thread, review = shell.paused()
    assert shell("claim", review).code == 0
    made = shell("shift", "hand-over", "이과장", "--note", "조용했음", "--json").json
    assert (made["reviews"], made["open"], made["left"]) == ([review], 1, [])
    assert shell("approve", review).code == 4
    listed = shell("shift", "list", "--user", "이과장", "--lang", "ko")
    assert "조용했음" in listed.out
    assert shell("shift", "list", "--user", "somebody", "--json").json == []
    assert len(shell("shift", "list", "--user", "somebody", "--all", "--json").json) == 1
    assert shell("shift", "take-over", made["id"]).code == 2
    assert shell("shift", "take-over", made["id"], "--user", "이과장").code == 0
    assert shell("shift", "hand-over", "kim").code == 2  # oneself
    assert shell("shift", "hand-over", "lee", "--note", "x" * 1_001).code == 2
    assert shell("shift", "hand-over", "lee", "--json").json["reviews"] == [], "it is another's by now"
    assert shell("audit", "verify").code == 0
