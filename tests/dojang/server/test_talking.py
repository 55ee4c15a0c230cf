"""The conversation side without a browser: forms that come twice, refusals, the time line, forks, streams."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from types import SimpleNamespace

import pytest
from fastapi.testclient import TestClient
from langchain_core.messages import AIMessage
from starlette.requests import Request

from dojang.server.access.callers import Caller
from dojang.server.access.tokens import BadToken
from dojang.server.console import beats
from dojang.server.console.following import Told, after_of, words_of
from dojang.server.console.spoken import SHOWN, line_of
from dojang.server.live import Live
from dojang.server.wording import sayer
from dojang.server.work.events import Event
from dojang.server.work.plain import dumps
from dojang.workspace import Workspace
from tests.dojang.server.conftest import Ask, decision, settled
from tests.sessions_in_postgres import kept_of


def once(page: str) -> str:
    return page.split('name="once" value="')[1].split('"')[0]


def test_a_form_that_comes_twice_is_one_message(client: TestClient, workspace: Workspace) -> None:
    key = once(client.get("/threads").text)
    sent = [client.post("/threads", data={"text": "When is check-out?", "once": key}) for _ in range(2)]
    assert len({answer.headers["location"] for answer in sent}) == 1
    thread = sent[0].headers["location"].partition("#")[0]
    again = {"text": "And refunds?", "once": once(settled(client, thread))}
    for _ in range(2):
        assert client.post(f"{thread}/messages", data=again).status_code == 303
    settled(client, thread)
    assert client.post(f"{thread}/messages", data=again).status_code == 303  # after its end as well
    said = [line["text"] for line in workspace.conversation(thread.rpartition("/")[2]) if line["role"] == "user"]
    assert said == ["When is check-out?", "And refunds?"]


def test_a_message_is_refused_while_the_thread_waits_and_the_card_is_there(client: TestClient, paused: Ask) -> None:
    review = paused("please book a room")
    thread = f"/threads/{review['thread_id']}"
    page = client.get(thread).text
    assert f'data-review="{review["id"]}"' in page
    assert f'action="/reviews/{review["id"]}/decision"' in page
    assert "messages" not in page.split('id="speak"')[1]
    refused = client.post(f"{thread}/messages", data={"text": "wait <b>please</b>"})
    assert refused.status_code == 409
    assert "wait &lt;b&gt;please&lt;/b&gt;" in refused.text
    assert f'href="/reviews/{review["id"]}"' in refused.text.split('id="speak"')[1]


def test_a_decision_in_the_thread_goes_on_by_the_workers(
    client: TestClient, paused: Ask, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    review = paused("please book a room")
    monkeypatch.setattr(Workspace, "decide", None)  # it would run the graph while the form waits
    answer = client.post(f"/reviews/{review['id']}/decision", data=decision(review, "approve", next="thread"))
    assert answer.headers["location"] == f"/threads/{review['thread_id']}?said={review['id']}#now"
    assert "is confirmed" in settled(client, f"/threads/{review['thread_id']}")
    assert [o["status"] for o in workspace.thread(review["thread_id"]).outcomes] == ["done"]


def test_too_long_and_empty_messages(client: TestClient) -> None:
    for text in ("", " \r\n ", "가" * 20_001):
        answer = client.post("/threads", data={"text": text})
        assert answer.status_code == 400
    assert "20,001 characters" in answer.text


def test_the_list_is_narrowed_by_its_address(client: TestClient, paused: Ask, workspace: Workspace) -> None:
    review = paused("please book a room at the 등대 hotel")
    rest = workspace.ask("When is check-out? 등대").thread_id

    def listed(query: str) -> set[str]:
        return set(re.findall(r'class="thread \w+" href="/threads/([^"]+)"', client.get(f"/threads?{query}").text))

    assert listed("q=등대") == {review["thread_id"], rest}
    assert listed("q=등대&status=waits") == {review["thread_id"]}
    assert listed("q=등대&status=done") == {rest}
    assert listed(f"q={rest}") == {rest}
    assert listed("q=%25") == set()
    page = client.get("/threads?q=등대&status=waits").text
    assert "waits at: review" in page
    assert "nobody has it" in page


def test_the_time_line_says_what_each_step_changed(client: TestClient, workspace: Workspace) -> None:
    thread_id = workspace.ask("When is check-out?").thread_id
    page = client.get(f"/threads/{thread_id}/history").text
    newest = workspace.history(thread_id)[0]
    assert f'<li id="{newest.checkpoint_id}" class="newest">' in page
    last = page.split('class="newest"')[1].split("</li>")[0]
    assert "Check-out is at 11:00." in last
    assert "changed: answer" in last
    assert "→ end" in page  # the drawing in words


def test_a_fork_in_a_copy_and_a_refused_one_here(client: TestClient, workspace: Workspace) -> None:
    asked = workspace.ask("please book a room")
    workspace.decide(asked.reviews[0]["id"], "approve")
    early = next(s for s in workspace.history(asked.thread_id) if s.next == ["retrieve"])
    form = {"checkpoint": early.checkpoint_id}
    refused = client.post(f"/threads/{asked.thread_id}/fork", data={**form, "how": "here"})
    assert refused.status_code == 409
    assert "cannot go back" in refused.text
    copied = client.post(f"/threads/{asked.thread_id}/fork", data={**form, "how": "copy"})
    target = copied.headers["location"].partition("#")[0].rpartition("/")[2]
    assert target != asked.thread_id
    assert [line["text"] for line in workspace.conversation(target)] == ["please book a room"]
    assert workspace.parts.audit.records(target)[0]["event"] == "thread.copied"
    kept = b"".join(kept_of(workspace.parts.backend, target).values())
    assert b"is confirmed" not in kept
    on_its_way = next(s for s in workspace.history(asked.thread_id) if s.next == ["act"])
    for checkpoint_id, status in ((on_its_way.checkpoint_id, 409), ("none", 404)):
        form = {"checkpoint": checkpoint_id, "how": "copy"}
        assert client.post(f"/threads/{asked.thread_id}/fork", data=form).status_code == status
    client.post(f"/threads/{target}/resume", data={})  # in the copy somebody is asked anew
    assert 'name="next" value="thread"' in settled(client, f"/threads/{target}")
    assert workspace.thread(target).outcomes == []


def test_a_thread_is_kept_out_and_deleted_by_its_name(client: TestClient, paused: Ask, workspace: Workspace) -> None:
    thread_id = workspace.ask("When is check-out?").thread_id
    client.post(f"/threads/{thread_id}/training", data={"out": "yes"})
    assert workspace.parts.prompts.read(thread_id).out
    assert client.post(f"/threads/{thread_id}/delete", data={"typed": "yes"}).status_code == 400
    assert client.post(f"/threads/{thread_id}/delete", data={"typed": thread_id}).status_code == 303
    assert client.get(f"/threads/{thread_id}").status_code == 404
    waits = paused("please book a room")["thread_id"]
    assert client.post(f"/threads/{waits}/delete", data={"typed": waits}).status_code == 409


def test_a_reader_goes_on_after_what_it_has_seen() -> None:
    assert after_of("r1:7", "r1", 9) == 7
    assert after_of("r1:7", "r1", 3) == 0  # the server began the run anew
    assert [after_of(given, "r1", 9) for given in (None, "", "r2:7", "r1:", "r1:²", "r1:-1")] == [0] * 6


def test_a_megabyte_of_arguments_is_cut_and_what_is_markup_stays_text() -> None:
    call = {"id": "c1", "name": "<b>", "args": {"text": "<script>" * 131_072}}
    line = line_of(AIMessage(content="x" * 30_000 + "[1](javascript:alert(1))", id="a", tool_calls=[call]))
    assert len(line.calls[0].arguments) < SHOWN + 20
    assert (len(line.segments[0].text), line.more) == (SHOWN, 10_024)
    cited = line_of(AIMessage(content="[1](javascript:alert(1)) [2]", id="a"))
    assert [segment.href for segment in cited.segments if segment.href] == []


def test_what_a_model_says_is_cleaned_on_its_way_to_the_page() -> None:
    told = Told("r1", sayer("ko"))
    chunk = {"type": "AIMessageChunk", "content": "a\x1b[31m\u202e<b>"}
    event = Event(1, "messages", dumps([chunk, {"langgraph_node": "generate"}]))
    assert told.take(event) == ("words", {"text": "a[31m⟨U+202E⟩<b>"})
    assert told.take(Event(2, "messages", dumps([chunk, {"langgraph_node": "act"}]))) == ("", {})
    begun = Event(3, "tasks", dumps({"id": "1", "name": "retrieve", "input": {}, "triggers": []}))
    assert told.take(begun) == ("steps", {"steps": ["검색"]})


def test_only_words_of_the_model_are_a_draft() -> None:
    assert words_of({"type": "AIMessageChunk", "content": [{"type": "text", "text": "a"}, {"type": "image"}]}) == "a"
    assert words_of({"type": "ai", "content": "whole"}) == ""


async def test_changes_are_told_once_for_all_pages(workspace: Workspace, paused: Ask) -> None:
    hub = Live(workspace)
    hub.look()
    review = paused("please book a room")
    hub.look()
    workspace.claim(review["id"])
    hub.look()
    workspace.decide(review["id"], "reject")
    hub.look()
    told = [change for change in hub.since(0)[0] if change.review["id"] == review["id"]]
    assert [(c.new, bool(c.progress["claim"]), c.decided) for c in told] == [
        (True, False, False),
        (False, True, False),
        (False, True, True),
    ]
    assert hub.look() is False
    assert hub.since(hub.last) == ([], False)
    hub.last += 3
    assert hub.since(hub.last - 1) == ([], True)  # a page that was away for longer than is kept


async def test_who_looks_is_known_as_long_as_they_do(workspace: Workspace) -> None:
    hub = Live(workspace)
    with hub.listening("kim", "rv_1") as woken:
        await asyncio.sleep(0)
        woken.clear()
        with hub.listening("lee", "rv_1"):
            assert hub.here("rv_1") == ["kim", "lee"]
            await asyncio.wait_for(woken.wait(), 10)
    assert hub.here("rv_1") == []


async def test_counts_are_made_once_for_all_pages_of_a_person(workspace: Workspace) -> None:
    hub, asked = Live(workspace), []

    def count() -> dict[str, int]:
        asked.append(1)
        return {"": len(asked)}

    assert [hub.counts("kim", count), hub.counts("kim", count), hub.counts("lee", count)] == [{"": 1}, {"": 1}, {"": 2}]


async def test_a_stream_with_much_to_say_ends_with_its_log_in_too(workspace: Workspace) -> None:
    """It is looked at before anything is said, not only while nothing happens."""

    class Over:
        async def good(self) -> bool:
            return False

    class Many:
        def follow(self, row: object, after: int) -> AsyncIterator[Event]:
            async def events() -> AsyncIterator[Event]:
                for n in range(1, 100):
                    yield Event(n, "tasks", b'{"name": "generate"}')

            return events()

    told = Told("run", sayer("en")).all(Many(), None, 0, Over())  # type: ignore[arg-type]
    said = [part.split(b"event: ")[1].split(b"\n")[0] async for part in told]
    assert said == [b"begin", b"bye"]


@pytest.mark.parametrize(("now", "good"), [("same", True), ("other", False), ("nobody", False), ("over", False)])
async def test_a_stream_ends_with_its_log_in(monkeypatch: pytest.MonkeyPatch, now: str, good: bool) -> None:
    monkeypatch.setattr(beats, "BEAT_S", 0.0)
    kim = Caller("kim", ("operator",), "session")

    class Doorkeeper:
        def caller(self, headers: object, address: str) -> Caller | None:
            if now == "over":
                raise BadToken("it is over")
            return {"same": kim, "other": Caller("kim", ("viewer",), "session")}.get(now)

    app = SimpleNamespace(state=SimpleNamespace(doorkeeper=Doorkeeper()))
    request = Request({"type": "http", "app": app, "headers": [], "client": None, "state": {"caller": kim}})
    assert await beats.Beats(request).good() is good
