"""Other people's clients, unchanged: what two chat pages send, and our desk as a node of somebody else's graph."""

from __future__ import annotations

import json
from typing import Any, cast

import httpx
import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.pregel.remote import RemoteException, RemoteGraph
from langgraph.types import Command, interrupt
from langgraph_sdk.client import SyncLangGraphClient
from langgraph_sdk.errors import ConflictError

from dojang.server.work.plain import ASSISTANT_ID
from tests.dojang.server.langgraph.conftest import says


def test_what_agent_chat_ui_sends(url: str) -> None:
    """GET /info, a thread, a streamed message in blocks; then the pause is found in the history and answered."""
    with httpx.Client(base_url=url, timeout=30) as page:
        assert page.get("info").json()["strict_resume"] is True
        thread = page.post("threads", json={"metadata": {"graph_id": "dojang"}}).json()
        runs = f"threads/{thread['thread_id']}/runs/stream"
        said = {"id": "0b4f7a3e-2f4d-4a55-9b39-0d6cf9a1b1de", "type": "human"}
        body: dict[str, Any] = {
            "input": {"messages": [{**said, "content": [{"type": "text", "text": "please book a room"}]}]},
            "stream_mode": ["values", "messages-tuple", "custom"],
            "stream_subgraphs": True,
            "stream_resumable": True,
            "assistant_id": ASSISTANT_ID,
            "on_disconnect": "continue",
        }
        assert "event: end" in page.post(runs, json=body).text
        state = page.post(f"threads/{thread['thread_id']}/history", json={"limit": 1000}).json()[0]
        assert state["values"]["messages"][0]["id"] == said["id"]
        assert state["tasks"][0]["interrupts"][0]["value"]["review_configs"][0]["allowed_decisions"]
        resume = {"command": {"resume": {"decisions": [{"type": "reject", "message": "No"}]}}, "input": {}}
        assert "event: error" not in page.post(runs, json={**body, **resume}).text
        assert page.get(f"threads/{thread['thread_id']}").json()["status"] == "idle"
        answer = page.post(runs, json={**body, "command": {"goto": "__end__"}, "input": {}})
        assert answer.status_code == 400


def test_what_agent_inbox_sends(url: str, client: SyncLangGraphClient, thread_id: str) -> None:
    """Interrupted threads of a graph, the state of one, and an answer in its own list, streamed."""
    client.runs.wait(thread_id, "dojang", input=says("please book a room"))
    with httpx.Client(base_url=url, timeout=30) as page:
        wanted = {"status": "interrupted", "limit": 1000, "offset": 0, "metadata": {"assistant_id": ASSISTANT_ID}}
        found = {thread["thread_id"]: thread for thread in page.post("threads/search", json=wanted).json()}
        (pauses,) = found[thread_id]["interrupts"].values()
        assert pauses[0]["value"]["action_requests"][0]["name"] == "book_room"
        assert page.get(f"threads/{thread_id}/state").json()["next"] == ["review"]
        args = {key: str(value) for key, value in pauses[0]["value"]["review"]["action"]["args"].items()}
        answer = [{"type": "accept", "args": {"action": "book_room", "args": args}}]
        body = {"assistant_id": "dojang", "command": {"resume": answer}, "stream_mode": "events"}
        assert "event: end" in page.post(f"threads/{thread_id}/runs/stream", json=body).text
        assert page.post(f"threads/{thread_id}/runs", json=body).status_code == 409
        done = {"values": None, "as_node": "__end__"}
        assert page.post(f"threads/{thread_id}/state", json=done).status_code == 200


@pytest.mark.parametrize("listed", [True, False], ids=["its list within LangChain's", "its own list"])
def test_agent_inbox_edits_with_every_argument_made_into_a_text(
    url: str, client: SyncLangGraphClient, thread_id: str, listed: bool
) -> None:
    """It shows arguments as texts and sends them so; they come back to their types, or nothing is taken."""
    client.runs.wait(thread_id, "dojang", input=says("please book a room"))
    state: Any = client.threads.get_state(thread_id)
    shown = state["interrupts"][0]["value"]["action_requests"][0]

    def sent(**changed: str) -> dict[str, Any]:
        texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in shown["args"].items()}
        items = [{"type": "edit", "args": {"action": shown["name"], "args": {**texts, **changed}}}]
        resume: Any = {"decisions": items} if listed else items
        return {"assistant_id": "dojang", "command": {"resume": resume}, "stream_mode": "events"}

    with httpx.Client(base_url=url, timeout=30) as page:
        refused = page.post(f"threads/{thread_id}/runs/stream", json=sent(guests="several"))
        assert refused.status_code == 400
        assert "guests" in refused.json()["detail"]
        assert page.get(f"threads/{thread_id}").json()["status"] == "interrupted"  # and can still be answered
        answer = page.post(f"threads/{thread_id}/runs/stream", json=sent(guests="1")).text
        assert "on_chain_start" in answer
    values: Any = client.threads.get_state(thread_id)["values"]
    (decision,) = values["decisions"].values()
    assert decision["edited_args"] == {**shown["args"], "guests": 1}


@pytest.mark.parametrize(
    "said",
    [
        {"type": "ignore", "args": None},
        {"type": "reject", "args": "not this week"},
    ],
    ids=["ignored", "answered, which it makes into a rejection"],
)
def test_agent_inbox_ignores_or_answers_in_langchains_list(
    url: str, client: SyncLangGraphClient, thread_id: str, said: dict[str, Any]
) -> None:
    client.runs.wait(thread_id, "dojang", input=says("please book a room"))
    body: dict[str, Any] = {"assistant_id": "dojang", "command": {"resume": {"decisions": [said]}}}
    with httpx.Client(base_url=url, timeout=30) as page:
        resolved = page.post(f"threads/{thread_id}/state", json={"values": None, "as_node": "__end__"})
        assert resolved.status_code == 409  # "mark as resolved" would leave it undecided
        run = page.post(f"threads/{thread_id}/runs", json=body).json()
        page.get(f"threads/{thread_id}/runs/{run['run_id']}/join")
        assert page.get(f"threads/{thread_id}").json()["status"] == "idle"
    values: Any = client.threads.get_state(thread_id)["values"]
    (decision,) = values["decisions"].values()
    assert (decision["type"], decision["message"]) == ("reject", said["args"] or "")


def test_agent_inbox_approves_in_langchains_list(url: str, client: SyncLangGraphClient, thread_id: str) -> None:
    """With the arguments that it was shown along with its yes; other arguments are no yes."""
    client.runs.wait(thread_id, "dojang", input=says("please book a room"))
    state: Any = client.threads.get_state(thread_id)
    shown = state["interrupts"][0]["value"]["action_requests"][0]

    def sent(**changed: str) -> Any:
        said = {"type": "approve", "args": {"action": shown["name"], "args": {**shown["args"], **changed}}}
        body = {"assistant_id": "dojang", "command": {"resume": {"decisions": [said]}}}
        return httpx.post(f"{url}threads/{thread_id}/runs/wait", json=body, timeout=30)

    assert sent(guest="Somebody Else").status_code == 400
    assert [outcome["status"] for outcome in sent().json()["outcomes"].values()] == ["done"]


def theirs(node: Any) -> Any:
    """Somebody else's graph with our desk in it, over a checkpointer of their own."""
    builder = StateGraph(MessagesState)
    builder.add_node("desk", node)
    builder.add_edge(START, "desk")
    return builder.compile(checkpointer=InMemorySaver())


def test_a_remote_graph_as_a_node_of_somebody_elses_graph(client: SyncLangGraphClient) -> None:
    """It answers, and pauses theirs. LangGraph's RemoteGraph asks again when theirs goes on: that is refused here."""
    graph = theirs(RemoteGraph("dojang", name="desk", sync_client=client))
    config: Any = {"configurable": {"thread_id": "theirs-1"}}
    answered: Any = graph.invoke({"messages": [HumanMessage("When is check-out?")]}, config)
    assert answered["messages"][-1].content
    paused: Any = graph.invoke({"messages": [HumanMessage("please book a room")]}, config)
    (pause,) = paused["__interrupt__"]
    assert pause.value["review"]["action"]["tool"] == "book_room"
    with pytest.raises((RemoteException, ConflictError), match="waits for a decision"):  # by the stream, or at once
        graph.invoke(Command(resume={"type": "approve"}), config)
    (thread,) = client.threads.search(ids=["theirs-1"])
    assert thread["status"] == "interrupted"


def test_a_node_of_somebody_elses_graph_that_passes_the_decision_on(client: SyncLangGraphClient) -> None:
    desk = RemoteGraph("dojang", sync_client=client)
    where: Any = {"configurable": {"thread_id": client.threads.create()["thread_id"]}}

    def ask(state: MessagesState) -> Any:
        if not desk.get_state(where).interrupts:
            desk.invoke({"messages": [state["messages"][-1]]}, where)
        waiting = desk.get_state(where).interrupts
        if waiting:
            desk.invoke(Command(resume={pause.id: interrupt(pause.value) for pause in waiting}), where)
        return {"messages": [AIMessage(desk.get_state(where).values["answer"]["text"])]}

    graph, config = theirs(ask), cast(Any, {"configurable": {"thread_id": "theirs-2"}})
    paused: Any = graph.invoke({"messages": [HumanMessage("please book a room")]}, config)
    assert paused["__interrupt__"][0].value["review"]["action"]["tool"] == "book_room"
    ended: Any = graph.invoke(Command(resume={"type": "approve"}), config)
    assert ended["messages"][-1].content
    assert [outcome["status"] for outcome in desk.get_state(where).values["outcomes"].values()] == ["done"]


def test_pages_and_programs_share_paths(url: str, thread_id: str) -> None:
    page = httpx.get(f"{url}threads", headers={"accept": "text/html,application/xhtml+xml"})
    assert page.headers["content-type"].startswith("text/html")
    assert httpx.get(f"{url}threads/{thread_id}").json()["thread_id"] == thread_id
    form = {"content-type": "application/x-www-form-urlencoded"}
    assert httpx.post(f"{url}threads", content="text=hello", headers=form).status_code == 403
    assert httpx.post(f"{url}runs/wait", content="a=b", headers=form).status_code in (403, 405)
    foreign = {"origin": "http://evil.example"}
    assert httpx.post(f"{url}threads", json={}, headers=foreign).status_code == 403


JSON_TYPE = {"content-type": "application/json"}
SAID: list[tuple[str, str, dict[str, Any], int, str]] = [
    ("POST", "threads/search", {"json": {"limit": "many"}}, 422, "body.limit: Input should be a valid integer"),
    ("POST", "threads/search", {"json": {"limit": "many"}}, 422, "; /docs shows what is taken, with examples"),
    ("POST", "threads", {"content": "{bad", "headers": JSON_TYPE}, 422, "the body is no JSON"),
    ("POST", "runs/wait", {"json": {"assistant_id": "dojang", "stream_mode": "x"}}, 422, "body.stream_mode: Input"),
    ("PUT", "threads", {"json": {}}, 405, "PUT is not taken at /threads; it takes "),
    ("GET", "threads/t/nothing", {}, 404, "there is no page /threads/t/nothing; /docs lists what there is"),
    ("POST", "runs/crons", {"json": {}}, 404, "nothing here begins by the clock"),
    ("POST", "threads", {"content": b"x" * 1_048_577, "headers": JSON_TYPE}, 413, "shorten the text"),
    ("POST", "threads", {"json": {}, "headers": {"origin": "http://evil.example"}}, 403, "comes from another site"),
    ("POST", "store/items/search", {"json": {"namespace_prefix": ["x"], "filter": {"v": {"$near": 1}}}}, 400, "$eq"),
]


@pytest.mark.parametrize(("method", "path", "sent", "status", "said"), SAID)
def test_what_is_refused_says_what_to_do(
    url: str, method: str, path: str, sent: dict[str, Any], status: int, said: str
) -> None:
    """In ``detail``, which LangGraph's clients read, and in ``error``, which ours do."""
    answer = httpx.request(method, url + path, **sent)
    assert answer.status_code == status
    assert said in answer.json()["detail"] == answer.json()["error"]


def test_the_routes_are_described(url: str) -> None:
    paths = httpx.get(f"{url}openapi.json", timeout=60).json()["paths"]
    for path in ("/threads/{thread_id}/runs/stream", "/assistants/search", "/threads/search"):
        assert "post" in paths[path]
