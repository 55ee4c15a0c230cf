"""What docs/http.md promises LangGraph's clients: each scenario once, driven by the synchronous SDK and the other.

The edges of each (races, kills, what is refused and why) are beside this file, with whichever client is handier.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, get_args

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.pregel.remote import RemoteGraph
from langgraph.types import Command
from langgraph_sdk import get_client, get_sync_client
from langgraph_sdk.errors import APIStatusError, ConflictError, NotFoundError
from tenacity import Retrying, stop_after_attempt, wait_none

from dojang.server.hooks import telling
from dojang.server.work.streaming import StreamMode
from dojang.workspace import Workspace
from tests.dojang.server.langgraph.both import RESOURCES, Awaited
from tests.dojang.server.langgraph.conftest import SECRET, Held, says
from tests.dojang.server.receiver import receiving, verified

MODES: tuple[str, ...] = get_args(StreamMode)
TOLD_AS: dict[str, set[str]] = {
    "messages": {"messages/metadata", "messages/complete"},
    "messages-tuple": {"messages"},
    "custom": set(),  # no node of ours writes any
}
"""Stream mode to the names of its events, where they are not its own."""
ASKED, BOOKS = "When is check-out?", "please book a room"
APPROVED: dict[str, Any] = {"resume": {"decisions": [{"type": "approve"}]}}
NOT_SERVED = {"threads.prune", "assistants.create", "assistants.update", "assistants.delete", "assistants.set_latest"}
ELSEWHERE = {"threads.stream"}
"""Methods with tests of their own: test_commands.py."""


@pytest.fixture(params=["synchronous", "asynchronous"])
async def client(request: pytest.FixtureRequest, url: str) -> AsyncIterator[Any]:
    """Either client; every call is awaited."""
    if request.param == "asynchronous":
        async with get_client(url=url, api_key=None) as opened:
            yield opened
    else:
        with get_sync_client(url=url, api_key=None) as opened:
            yield Awaited(opened)


@pytest.fixture
async def thread_id(client: Any) -> str:
    return str((await client.threads.create())["thread_id"])


async def test_threads(client: Any) -> None:
    thread = await client.threads.create(metadata={"customer": "c-17"})
    thread_id = thread["thread_id"]
    assert (thread["status"], thread["values"]) == ("idle", None)
    assert (await client.threads.create(thread_id=thread_id, if_exists="do_nothing"))["metadata"] == thread["metadata"]
    with pytest.raises(ConflictError, match="if_exists"):
        await client.threads.create(thread_id=thread_id)
    values = await client.runs.wait(thread_id, "dojang", input=says(ASKED))
    await client.threads.update(thread_id, metadata={"seen": True})
    assert await client.threads.update(thread_id, metadata={"seen": 2}, return_minimal=True) is None
    found = await client.threads.get(thread_id)
    assert (found["metadata"]["customer"], found["metadata"]["seen"]) == ("c-17", 2)
    assert found["values"]["answer"] == values["answer"]
    copy = (await client.threads.copy(thread_id))["thread_id"]
    both = {"ids": [thread_id, copy], "metadata": {"customer": "c-17"}}
    assert (await client.threads.get_state(copy))["values"]["messages"] == values["messages"]
    rows = await client.threads.search(**both, sort_by="thread_id", sort_order="asc", select=["thread_id"])
    assert rows == [{"thread_id": one} for one in sorted([thread_id, copy])]
    pages = [await client.threads.search(**both, limit=1, offset=n) for n in (0, 1, 2)]
    assert sorted(row["thread_id"] for page in pages for row in page) == sorted([thread_id, copy])
    assert await client.threads.search(**both, status="interrupted") == []
    assert len(await client.threads.search(**both, values={"question": values["question"]})) == 2
    assert await client.threads.count(metadata={"seen": 2}, values={"question": "nobody asked this"}) == 0
    await client.threads.delete(copy)
    with pytest.raises(NotFoundError):
        await client.threads.get(copy)
    assert await client.threads.count(metadata={"customer": "c-17"}, status="idle") >= 1


async def test_runs(client: Any, thread_id: str) -> None:
    run = await client.runs.create(thread_id, "dojang", input=says(ASKED), metadata={"n": 1})
    joined = await client.runs.join(thread_id, run["run_id"])
    assert joined["answer"]["text"]
    found = await client.runs.get(thread_id, run["run_id"])
    assert (found["status"], found["metadata"], found["thread_id"]) == ("success", {"n": 1}, thread_id)
    later = await client.runs.create(thread_id, "dojang", input=says(ASKED), after_seconds=3600)
    assert [r["run_id"] for r in await client.runs.list(thread_id)] == [later["run_id"], run["run_id"]]
    assert [r["status"] for r in await client.runs.list(thread_id, status="pending", limit=1)] == ["pending"]
    await client.runs.cancel(thread_id, later["run_id"], wait=True)
    assert (await client.runs.get(thread_id, later["run_id"]))["status"] == "interrupted"
    await client.runs.delete(thread_id, later["run_id"])
    with pytest.raises(NotFoundError):
        await client.runs.get(thread_id, later["run_id"])
    with pytest.raises(NotFoundError):
        await client.runs.create("nowhere-to-be", "dojang", input=says(ASKED))
    made = f"made-by-{run['run_id']}"
    assert (await client.runs.wait(made, "dojang", input=says(ASKED), if_not_exists="create"))["answer"]


@pytest.mark.parametrize("mode", [*MODES, "all"])
async def test_stream_modes(client: Any, thread_id: str, mode: str) -> None:
    wanted = list(MODES) if mode == "all" else [mode]
    stream = client.runs.stream(thread_id, "dojang", input=says(ASKED), stream_mode=wanted, stream_subgraphs=True)
    parts = [part async for part in stream]
    assert [part.id for part in parts] == [str(n) for n in range(1, len(parts) + 1)]
    assert (parts[0].event, parts[-1].event) == ("metadata", "end")
    assert {part.event for part in parts[1:-1]} == set().union(*(TOLD_AS.get(one, {one}) for one in wanted))


async def test_a_stream_in_the_sdks_second_form(client: Any, thread_id: str) -> None:
    created: list[Any] = []
    stream = client.runs.stream(
        thread_id, "dojang", input=says("please send a welcome"), version="v2", on_run_created=created.append
    )
    parts = [part async for part in stream]
    assert parts[-1]["interrupts"][0]["value"]["action_requests"][0]["name"] == "send_message"
    assert (await client.runs.get(thread_id, created[0]["run_id"]))["status"] == "interrupted"


async def test_joins(client: Any, thread_id: str) -> None:
    stream = client.runs.stream(thread_id, "dojang", input=says(ASKED), stream_resumable=True)
    parts = [part async for part in stream]
    run_id = parts[0].data["run_id"]
    assert [part async for part in client.runs.join_stream(thread_id, run_id, last_event_id=parts[2].id)] == parts[3:]
    none = client.runs.join_stream(thread_id, run_id, stream_mode="updates", cancel_on_disconnect=True)
    assert {part.event async for part in none} == {"metadata", "end"}
    of_thread = [part async for part in await client.threads.join_stream(thread_id)]  # numbered over all of its runs
    assert [(part.event, part.data) for part in of_thread] == [(part.event, part.data) for part in parts]
    assert (await client.runs.join(thread_id, run_id))["answer"]["text"]


async def test_a_pause_and_its_answer(client: Any, thread_id: str, house: Workspace) -> None:
    stream = client.runs.stream(thread_id, "dojang", input=says(BOOKS), stream_mode="updates")
    parts = [part async for part in stream]
    (pause,) = parts[-2].data["__interrupt__"]
    state = await client.threads.get_state(thread_id)
    assert (state["next"], [one["id"] for one in state["interrupts"]]) == (["review"], [pause["id"]])
    waiting = await client.threads.get(thread_id)
    assert waiting["status"] == "interrupted"
    assert next(iter(waiting["interrupts"].values()))[0]["value"]["action_requests"][0]["name"] == "book_room"
    assert thread_id in [row["thread_id"] for row in await client.threads.search(status="interrupted", limit=1000)]
    with pytest.raises(ConflictError, match="waits for a decision"):
        await client.runs.create(thread_id, "dojang", input=says("never mind"))
    with pytest.raises(ConflictError):
        await client.threads.delete(thread_id)
    with pytest.raises(APIStatusError) as wrong:
        await client.runs.create(thread_id, "dojang", command={"resume": {"decisions": [{"type": "wave"}]}})
    assert wrong.value.status_code == 400
    ended = await client.runs.wait(thread_id, "dojang", command={"resume": {pause["id"]: {"type": "approve"}}})
    assert ended["answer"]["text"]
    assert [outcome["status"] for outcome in ended["outcomes"].values()] == ["done"]
    with pytest.raises(ConflictError, match="decided already"):
        await client.runs.create(thread_id, "dojang", command=APPROVED)
    assert (await client.threads.get(thread_id))["status"] == "idle"
    assert house.parts.decisions.of(thread_id).popitem()[1]["by"] == "kim"
    assert [run["status"] for run in await client.runs.list(thread_id)] == ["success", "interrupted"]


async def test_a_stop_before_and_after_a_step(client: Any, thread_id: str) -> None:
    await client.runs.wait(thread_id, "dojang", input=says(ASKED), interrupt_before=["generate"])
    assert (await client.threads.get_state(thread_id))["next"] == ["generate"]
    await client.runs.wait(thread_id, "dojang", input=None, interrupt_after=["generate"])
    assert (await client.threads.get_state(thread_id))["next"] == ["comply"]
    assert (await client.runs.wait(thread_id, "dojang", input=None))["answer"]["text"]


async def test_states_history_and_forks(client: Any, thread_id: str, house: Workspace) -> None:
    await client.runs.wait(thread_id, "dojang", input=says(ASKED))
    await client.runs.wait(thread_id, "dojang", input=says("Is there parking?"))
    states = await client.threads.get_history(thread_id, limit=100)
    assert len(states) == len(house.history(thread_id))
    older = next(state for state in states if len(said(state)) == 1)
    named = older["checkpoint"]["checkpoint_id"]
    assert [s["checkpoint"] for s in await client.threads.get_history(thread_id, limit=2, before=named)] == [
        s["checkpoint"] for s in states[states.index(older) + 1 :][:2]
    ]
    assert (await client.threads.get_state(thread_id, checkpoint_id=named))["values"] == older["values"]
    assert (await client.threads.get_state(thread_id, checkpoint=older["checkpoint"]))["values"] == older["values"]
    with pytest.raises(NotFoundError):
        await client.threads.get_state(thread_id, checkpoint_id="none")
    at = {key: value for key, value in older["checkpoint"].items() if key != "thread_id"}
    ended = await client.runs.wait(thread_id, "dojang", input=says("And dogs?"), checkpoint=at)
    assert said({"values": ended}) == [ASKED, "And dogs?"]
    changed = await client.threads.update_state(thread_id, {"question": "another"}, checkpoint_id=named)
    state = await client.threads.get_state(thread_id)
    assert (said(state), state["values"]["question"]) == ([ASKED], "another")
    assert state["parent_checkpoint"] is not None
    assert state["checkpoint"]["checkpoint_id"] == changed["checkpoint"]["checkpoint_id"]
    with pytest.raises(APIStatusError, match="only the graph writes it"):
        await client.threads.update_state(thread_id, {"decisions": {}}, as_node="review")


def said(state: Any) -> list[str]:
    return [m["content"] for m in state["values"].get("messages", []) if m["type"] == "human"]


@pytest.mark.parametrize("strategy", ["reject", "enqueue", "interrupt", "rollback"])
async def test_strategies(client: Any, thread_id: str, model: Held, strategy: str) -> None:
    with model.held():
        first = await client.runs.create(thread_id, "dojang", input=says(ASKED))
        assert model.speaking.wait(20)
        assert (await client.threads.get(thread_id))["status"] == "busy"
        asked = {"input": says("And parking?"), "multitask_strategy": strategy}
        if strategy == "reject":
            with pytest.raises(ConflictError, match=first["run_id"]):
                await client.runs.create(thread_id, "dojang", **asked)
            last = first
        else:
            last = await client.runs.create(thread_id, "dojang", **asked)
            assert last["multitask_strategy"] == strategy
    await client.runs.join(thread_id, last["run_id"])
    ends = {run["run_id"]: run["status"] for run in await client.runs.list(thread_id)}
    stopped = strategy in ("interrupt", "rollback")
    assert ends == {first["run_id"]: "interrupted" if stopped else "success", last["run_id"]: "success"}
    kept = [ASKED] if strategy != "rollback" else []
    assert said(await client.threads.get_state(thread_id)) == kept + (["And parking?"] if last != first else [])


async def test_cancelling(client: Any, thread_id: str, model: Held) -> None:
    other = (await client.threads.create())["thread_id"]
    with model.held():
        first = await client.runs.create(thread_id, "dojang", input=says(ASKED))
        assert model.speaking.wait(20)
        waiting = await client.runs.create(thread_id, "dojang", input=says("And parking?"))
        spared = await client.runs.create(other, "dojang", input=says(ASKED), after_seconds=3600)
        await client.runs.cancel_many(thread_id=thread_id, run_ids=[waiting["run_id"]])
        assert (await client.runs.get(thread_id, waiting["run_id"]))["status"] == "interrupted"
        await client.runs.cancel(thread_id, first["run_id"], action="rollback")
    await client.runs.join(thread_id, first["run_id"])
    assert (await client.runs.get(thread_id, first["run_id"]))["status"] == "interrupted"
    assert said(await client.threads.get_state(thread_id)) == []
    with pytest.raises(ConflictError, match="is over"):
        await client.runs.cancel(thread_id, first["run_id"])
    assert (await client.runs.get(other, spared["run_id"]))["status"] == "pending"
    await client.runs.cancel(other, spared["run_id"])


async def test_without_a_thread(client: Any, house: Workspace) -> None:
    known = {thread["thread_id"] for thread in house.threads(limit=1000)}
    assert (await client.runs.wait(None, "dojang", input=says(ASKED)))["answer"]["text"]
    parts = [p async for p in client.runs.stream(None, "dojang", input=says(ASKED), stream_mode="updates")]
    assert parts[-1].data["status"] == "success"
    kept = await client.runs.create(None, "dojang", input=says(ASKED), on_completion="keep")
    (paused,) = await client.runs.create_batch([{"assistant_id": "dojang", "input": says(BOOKS)}])
    for run in (kept, paused):
        await client.runs.join(run["thread_id"], run["run_id"])
    left = {thread["thread_id"] for thread in house.threads(limit=1000)} - known
    assert left >= {kept["thread_id"], paused["thread_id"]}
    assert len(left) == 2  # what had ended went with its run


async def test_a_webhook(client: Any, thread_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telling, "POLICY", Retrying(wait=wait_none(), stop=stop_after_attempt(3)))
    monkeypatch.setattr(telling, "LOOK_S", 0.05)
    with receiving() as receiver:
        run = await client.runs.create(thread_id, "dojang", input=says(ASKED), webhook=receiver.url)
        headers, body = receiver.got.get(timeout=30)
    assert verified(headers, body, SECRET)
    assert run["run_id"].encode() in body
    with pytest.raises(APIStatusError, match="webhook: "):
        await client.runs.create(thread_id, "dojang", input=says(ASKED), webhook="https://10.0.0.1/")


async def test_items_of_the_store(client: Any, request: pytest.FixtureRequest) -> None:
    store, mine = client.store, request.node.name.replace(".", "-")
    await store.put_item([mine, "kim"], "tone", {"polite": True, "n": 3}, ttl=60)
    await store.put_item([mine, "kim"], "room", {"polite": False, "n": 5}, index=False)
    await store.put_item([mine, "lee"], "tone", {"n": 6})
    await store.put_item([mine, "lee"], "tone", {"n": 7})
    item = await store.get_item([mine, "kim"], "tone", refresh_ttl=True)
    assert (item["value"], item["namespace"], item["key"]) == ({"polite": True, "n": 3}, [mine, "kim"], "tone")
    assert item["created_at"] <= item["updated_at"]
    found = await store.search_items([mine, "kim"], filter={"polite": True})
    assert [(i["key"], i["score"]) for i in found["items"]] == [("tone", None)]
    later = await store.search_items([mine], filter={"n": {"$gte": 5}}, limit=1, offset=1, query="anything")
    assert [i["value"]["n"] for i in later["items"]] == [5]
    assert (await store.list_namespaces(prefix=[mine]))["namespaces"] == [[mine, "kim"], [mine, "lee"]]
    assert (await store.list_namespaces(prefix=[mine], suffix=["*", "lee"], max_depth=1))["namespaces"] == [[mine]]
    for _ in range(2):
        await store.delete_item([mine, "kim"], key="tone")
    assert await store.get_item([mine, "kim"], "tone") is None


async def test_the_assistant(client: Any) -> None:
    (found,) = await client.assistants.search(graph_id="dojang", metadata={"created_by": "system"})
    assert await client.assistants.get("dojang") == await client.assistants.get(found["assistant_id"]) == found
    assert await client.assistants.search(name="another") == []
    assert await client.assistants.count() == 1
    assert (await client.assistants.get_versions(found["assistant_id"]))[0]["version"] == 1
    schemas = await client.assistants.get_schemas("dojang")
    assert schemas["input_schema"]["required"] == ["messages"]
    nodes = {node["id"] for node in (await client.assistants.get_graph("dojang", xray=True))["nodes"]}
    assert nodes >= {"review", "act"}
    assert await client.assistants.get_subgraphs("dojang", recurse=True) == {}
    with pytest.raises(NotFoundError, match="the only one is 'dojang'"):
        await client.assistants.get("another")


async def test_what_is_not_served_says_so_and_what_to_do_instead(client: Any, thread_id: str) -> None:
    calls = [
        client.threads.prune([thread_id]),
        client.assistants.create("dojang"),
        client.assistants.update("dojang", metadata={"a": 1}),
        client.assistants.delete("dojang"),
        client.assistants.set_latest("dojang", 1),
    ]
    for call in calls:
        with pytest.raises(APIStatusError, match="not served here") as refused:
            await call
        assert refused.value.status_code in (404, 405)
    assert (await client.threads.get(thread_id))["status"] == "idle"


@pytest.mark.parametrize("form", ["synchronous", "asynchronous"])
async def test_a_remote_graph(url: str, form: str) -> None:
    with get_sync_client(url=url, api_key=None) as sync_client:
        async with get_client(url=url, api_key=None) as opened:
            await drive(RemoteGraph("dojang", client=opened, sync_client=sync_client), form)


async def drive(remote: RemoteGraph, form: str) -> None:
    """Through its methods of one form: ``invoke`` or ``ainvoke``, and so on."""

    async def call(name: str, *args: Any, **kwargs: Any) -> Any:
        if form == "synchronous":
            found = getattr(remote, name)(*args, **kwargs)
            return list(found) if inspect.isgenerator(found) else found
        found = getattr(remote, "a" + name)(*args, **kwargs)
        return [part async for part in found] if inspect.isasyncgen(found) else await found

    config: Any = {"configurable": {"thread_id": f"remote-{form}"}}
    updates = await call("stream", {"messages": [HumanMessage(BOOKS)]}, config, stream_mode="updates")
    (pause,) = updates[-1]["__interrupt__"]
    waiting = await call("get_state", config)
    assert (waiting.next, waiting.interrupts[0].id) == (("review",), pause["id"])
    refused: Any = Command(resume={pause["id"]: {"type": "reject", "reason": "not today"}})
    values = await call("invoke", refused, config)
    assert [message["type"] for message in values["messages"]][:2] == ["human", "ai"]
    assert (await call("get_state", config)).next == ()
    history = await call("get_state_history", config)
    assert history[0].values["answer"]
    changed = await call("update_state", config, {"messages": [AIMessage("A note")]}, as_node="answer")
    assert changed["configurable"]["checkpoint_id"] > history[0].config["configurable"]["checkpoint_id"]
    assert {node.id for node in (await call("get_graph")).nodes.values()} >= {"review", "act"}
    spoken = await call("stream", says(ASKED), config, stream_mode="messages")
    assert any(message["content"] for message, _ in spoken)


def test_every_method_of_the_sdk_is_driven_here_or_named() -> None:
    """A new version of the SDK may bring new ones."""
    there = {
        f"{resource}.{name}"
        for resource, kind in RESOURCES.items()
        for name, _ in inspect.getmembers(kind, inspect.isfunction)
        if not name.startswith("_")
    }
    driven = {
        f"{node.func.value.attr}.{node.func.attr}"
        for node in ast.walk(ast.parse(Path(__file__).read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Attribute)
    } | {
        f"store.{node.func.attr}"
        for node in ast.walk(ast.parse(Path(__file__).read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "store"
    }
    assert there - driven - ELSEWHERE == set()
    assert there >= ELSEWHERE | NOT_SERVED
