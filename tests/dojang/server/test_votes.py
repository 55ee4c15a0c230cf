"""Votes, claims, undo and look-ups as the console shows them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from dojang.server.keeping import Keeper
from dojang.workspace import Workspace
from state import PassingFault
from tests.dojang.server.conftest import browser_of, decision, open_workspace
from tests.dojang.test_expiry import Turned
from tests.dojang.test_undo import QUORUM


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy.toml"
    path.write_text(QUORUM, encoding="utf-8")
    return path


@pytest.fixture
def quorum(tmp_path: Path, postgres_server: str, policy: Path) -> Iterator[Workspace]:
    with open_workspace(tmp_path / "w", postgres_server, policy=policy, user="kim", roles=["manager"]) as opened:
        yield opened


def test_a_vote_is_counted_shown_and_taken_back(quorum: Workspace) -> None:
    review = quorum.ask("refund BK-2031").reviews[0]
    url = f"/reviews/{review['id']}"
    with browser_of(quorum) as client:
        own = client.post(f"{url}/decision", data=decision(review, "approve", confirm="yes"))
        assert (own.status_code, "somebody else has to approve it" in own.text) == (400, True)
        page = client.get(url).text
        assert "votes 0/2" in page
        assert "Decided by: manager" in page
        assert "not by kim, who asked" in page
        for by in ("lee", "park"):
            quorum.decide(review["id"], "approve", by=by)
            if by == "lee":
                page = client.get(url).text
                assert "votes 1/2" in page
                assert "lee ·" in page
                assert "votes 1/2" in client.get("/").text
        assert quorum.show(review["id"]).status == "decided"


def test_a_clerk_is_refused(tmp_path: Path, postgres_server: str, policy: Path) -> None:
    with open_workspace(tmp_path / "w", postgres_server, policy=policy, user="jo", roles=["clerk"]) as workspace:
        review = workspace.ask("refund BK-2031").reviews[0]
        with browser_of(workspace) as client:
            refused = client.post(f"/reviews/{review['id']}/decision", data=decision(review, "approve", confirm="yes"))
            assert refused.status_code == 400
            assert "decided by manager" in refused.text
            said = {"type": "approve", "digest": review["digest"]}
            api = client.post(f"/reviews/{review['id']}/decision", json=said, headers={"accept": "*/*"})
            assert (api.status_code, "decided by manager" in api.json()["error"]) == (400, True)


def test_a_claim_is_shown_and_given_back(workspace: Workspace) -> None:
    review = workspace.ask("please book a room").reviews[0]
    url = f"/reviews/{review['id']}"
    with browser_of(workspace) as client:
        assert client.post(f"{url}/claim", data={}).status_code == 303
        assert "claimed by kim" in client.get(url).text
        assert "claimed by kim" in client.get("/").text
        assert client.post(f"{url}/claim", data={"give_back": "yes"}).status_code == 303
        assert "claimed by" not in client.get(url).text
        workspace.claim(review["id"], by="lee")
        assert client.post(f"{url}/claim", data={}).status_code == 409
        kept = client.post(f"{url}/decision", data=decision(review, "approve"))
        assert (kept.status_code, "lee has claimed" in kept.text) == (409, True)
        assert client.post(f"{url}/claim", headers={"accept": "*/*"}).status_code == 409


def test_a_decision_on_the_console_can_be_taken_back_for_five_seconds(tmp_path: Path, postgres_server: str) -> None:
    with open_workspace(tmp_path / "w", postgres_server, undo_s=None, clock=Turned()) as workspace:
        review = workspace.ask("please book a room").reviews[0]
        url = f"/reviews/{review['id']}"
        with browser_of(workspace) as client:
            assert client.post(f"{url}/decision", data=decision(review, "approve")).status_code == 303
            page = client.get(url).text
            assert "Take it back" in page
            assert ">Go on<" not in page
            assert workspace.show(review["id"]).status == "recorded"
            assert client.post(f"{url}/undo", data={}).status_code == 303
            assert workspace.show(review["id"]).status == "open"
            workspace.decide(review["id"], "approve", channel="cli")
            late = client.post(f"{url}/undo", data={})
            assert (late.status_code, "cannot be taken back any more" in late.text) == (409, True)
            assert client.post(f"{url}/undo", headers={"accept": "*/*"}).status_code == 409


def test_the_keeper_releases_what_was_held(tmp_path: Path, postgres_server: str) -> None:
    clock = Turned()
    with open_workspace(tmp_path / "w", postgres_server, undo_s=0.2, clock=clock) as workspace:
        review = workspace.ask("please book a room").reviews[0]
        seen = threading.Event()

        class Watched(Keeper):
            def look(self) -> None:
                super().look()
                if workspace.show(review["id"]).status == "decided":
                    seen.set()

        with Watched(workspace) as keeper:
            held = workspace.decide(review["id"], "approve", channel="console")
            assert held.run.status == "paused"
            clock.at += timedelta(seconds=1)
            keeper.remind(held.decision)
            assert seen.wait(60)
        assert workspace.thread(review["thread_id"]).outcomes[0]["status"] == "done"


def test_a_server_with_rules_that_it_cannot_read_does_not_start(tmp_path: Path, postgres_server: str) -> None:
    from dojang.server.app import serve
    from tools.rules import BrokenPolicy

    broken = tmp_path / "policy.toml"
    broken.write_text('[[rule]]\nid = "a"\ntext = "x"\non = "call"\noutcome = "maybe"\n', encoding="utf-8")
    ready: list[str] = []
    with open_workspace(tmp_path / "w", postgres_server) as workspace:
        settings = workspace.settings.model_copy(update={"policy": broken, "port": 0})
        with (
            Workspace(settings) as opened,
            pytest.raises(BrokenPolicy, match=r"policy.toml:5: rule 'a', field 'outcome'"),
        ):
            serve(settings, workspace=opened, on_ready=ready.append)
    assert ready == []


def test_an_effect_in_doubt_is_looked_up_with_a_button(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    toolbox, real = workspace.parts.toolbox, workspace.parts.toolbox.run

    def broken(*args: object, **keys: object) -> object:
        real(*args, **keys)  # type: ignore[arg-type]
        raise PassingFault("the line went dead after it was sent")

    run = workspace.ask("send a message")
    with monkeypatch.context() as line:
        line.setattr(toolbox, "run", broken)
        with pytest.raises(PassingFault):
            workspace.decide(run.reviews[0]["id"], "approve")
    [review] = workspace.resume(run.thread_id).reviews
    assert review["kind"] == "in_doubt"
    with browser_of(workspace) as client:
        page = client.get(f"/reviews/{review['id']}?lang=ko").text
        for words in ("실행되었음", "실행되지 않았음", ">조회<"):
            assert words in page
        form = decision(review, "answer", message="look it up")
        assert client.post(f"/reviews/{review['id']}/decision", data=form).status_code == 303
        [outcome] = workspace.thread(run.thread_id).outcomes
        assert (outcome["status"], outcome["result"]["to"]) == ("done", "Emma Lee")
