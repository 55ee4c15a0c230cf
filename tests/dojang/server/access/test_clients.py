"""LangGraph's SDK with tokens: as whoever the token says, with what their role opens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from langgraph_sdk import get_sync_client
from langgraph_sdk.client import SyncLangGraphClient

from dojang.server.opening import tokens_of
from dojang.workspace import Workspace
from tests.dojang.server.conftest import open_workspace
from tests.dojang.server.langgraph.conftest import refused, says, served

Enter = Callable[..., SyncLangGraphClient]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, postgres_server: str) -> Iterator[Workspace]:
    with open_workspace(tmp_path_factory.mktemp("clients"), postgres_server) as opened:
        yield opened


@pytest.fixture(scope="module")
def enter(workspace: Workspace) -> Iterator[Enter]:
    parts = workspace.parts
    tokens = tokens_of(parts.settings, parts.sessions, parts.audit)
    with served(workspace) as (url, _work), ExitStack() as opened:

        def client(name: str, *roles: str) -> SyncLangGraphClient:
            secret = tokens.make(name, roles, days=1, by="kim")[0] if roles else name
            return opened.enter_context(get_sync_client(url=url, api_key=secret))

        yield client


def asked(client: SyncLangGraphClient, thread: str) -> Any:
    """The review that a booking waits for."""
    paused: Any = client.runs.wait(thread, "dojang", input=says("please book a room"))
    return paused["__interrupt__"][0]["value"]["review"]


def test_runs_and_resumes_bear_the_name_of_the_token(enter: Enter, workspace: Workspace) -> None:
    hana, park = enter("hana", "operator"), enter("park", "manager")
    thread = hana.threads.create()["thread_id"]
    review = asked(hana, thread)
    assert review["requester"] == "hana"
    claims = {"type": "approve", "digest": review["digest"], "by": "hana"}
    status, why = refused(park.runs.wait, thread, "dojang", command={"resume": claims})
    assert (status, "under their own name only" in why) == (400, True)
    park.runs.wait(thread, "dojang", command={"resume": {"type": "approve", "digest": review["digest"]}})
    card = workspace.show(review["id"])
    assert card.decision is not None
    assert card.decision["by"] == "park"
    noted = {(r["event"], r["actor"]) for r in workspace.parts.audit.records(thread)}
    assert {("decision.recorded", "park"), ("run.released", "park")} <= noted


def test_a_developer_changes_threads_and_has_no_say(enter: Enter, workspace: Workspace) -> None:
    hana, lee = enter("hana", "operator"), enter("lee", "developer")
    thread = hana.threads.create()["thread_id"]
    review = asked(hana, thread)
    said = {"type": "approve", "digest": review["digest"]}
    status, why = refused(lee.runs.wait, thread, "dojang", command={"resume": said})
    assert (status, "no role that decides" in why) == (400, True)
    assert workspace.show(review["id"]).status == "open"
    assert refused(hana.threads.copy, thread)[0] == 403
    assert refused(hana.threads.update_state, thread, {"language": "ko"})[0] == 403
    assert refused(hana.threads.delete, thread)[0] == 403
    status, why = refused(lee.threads.copy, thread)  # they may, but nobody could decide in the copy what waits here
    assert (status, "somebody is being asked there" in why) == (409, True)
    assert refused(lee.threads.copy, hana.threads.create()["thread_id"])[0] == 200
    assert refused(enter("jo", "viewer").runs.wait, None, "dojang", input=says("hello"))[0] == 403


def test_the_threads_of_others_are_not_there(enter: Enter) -> None:
    hana, lee, park = enter("hana", "operator"), enter("lee", "operator"), enter("park", "manager")
    thread = hana.threads.create()["thread_id"]
    hana.runs.wait(thread, "dojang", input=says("When is check-out?"))
    nowhere = "00000000-0000-4000-8000-000000000000"
    for call in (lee.threads.get, lee.threads.get_state, lee.threads.get_history, lee.runs.list):
        status, why = refused(call, thread)
        assert (status, why.replace(thread, nowhere)) == refused(call, nowhere)
        assert status == 404
    assert refused(lee.runs.wait, thread, "dojang", input=says("And check-in?"))[0] == 404
    assert refused(lee.threads.create, thread_id=thread, if_exists="do_nothing")[0] == 404
    assert thread not in [found["thread_id"] for found in lee.threads.search(limit=100)]
    for sees in (hana, park):
        assert thread in [found["thread_id"] for found in sees.threads.search(limit=100)]
    assert refused(enter("no token").threads.search)[0] == 401
