"""Commands of a thread, the newer form of LangGraph's clients: ``run.start``, ``input.respond`` and looks at the state.

What a command does is what the older routes do: a message is accepted as a run, an answer is a decision at the door. A
mistake is answered in the command's own form, with status 200, because that is where these clients read it.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dojang.going_back import UnknownCheckpoint
from dojang.runs import UnknownThread
from dojang.server.access.admission import NotAdmitted
from dojang.server.langgraph.answers import Answer
from dojang.server.langgraph.assistants import UnknownAssistant
from dojang.server.langgraph.bodies import HistoryIn, JSONObject, RunIn
from dojang.server.langgraph.document import REFUSALS, CommandDone, CommandRefused, gives
from dojang.server.langgraph.events import before_run
from dojang.server.langgraph.forms import Threads
from dojang.server.langgraph.inputs import NotTaken
from dojang.server.langgraph.runs import accepted
from dojang.server.langgraph.states import history_of
from dojang.server.langgraph.threads import threads_of
from dojang.server.programs import ProgramRoute
from dojang.server.work import Row, UnknownRun
from dojang.server.work.plain import GRAPH
from nodes.door import NotEntitled
from state import Conflict, UserError

router = APIRouter(tags=["langgraph runs"], route_class=ProgramRoute, responses=REFUSALS, default_response_class=Answer)

Code = Literal[
    "invalid_argument", "unknown_command", "no_such_run", "no_such_interrupt", "no_such_checkpoint",
    "permission_denied", "not_supported", "unknown_error",
]  # fmt: skip
_CODES: Final[tuple[tuple[type[Exception], Code], ...]] = (
    (UnknownCheckpoint, "no_such_checkpoint"),
    (UnknownRun, "no_such_run"),
    (NotEntitled, "permission_denied"),
    (NotAdmitted, "permission_denied"),
    (UserError, "invalid_argument"),
    (Conflict, "invalid_argument"),
)


class ThreadCommand(BaseModel):
    """One command; ``id`` is the client's number for it."""

    model_config = ConfigDict(
        extra="ignore",
        json_schema_extra={
            "examples": [
                {"id": 1, "method": "run.start", "params": {"assistant_id": GRAPH, "input": {"messages": []}}},
                {"id": 2, "method": "input.respond", "params": {"interrupt_id": "…", "response": {"type": "approve"}}},
            ]
        },
    )

    id: int = Field(ge=0, le=2**53)
    method: str
    params: JSONObject = {}


@router.post("/threads/{thread_id}/commands", responses=gives(CommandDone | CommandRefused))
def command(request: Request, thread_id: str, asked: ThreadCommand) -> Response:
    """Carry out a command: start a run, answer a pause, look at the state."""
    try:
        return Answer({"type": "success", "id": asked.id, **_done(request, thread_id, asked)})
    except ValidationError as error:
        first = error.errors()[0]
        text = f"params.{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
        return _refused(asked.id, "invalid_argument", text)
    except _Refused as refused:
        return _refused(asked.id, refused.code, str(refused))
    except (UnknownThread, UnknownAssistant):
        raise  # 404, as everywhere: these clients take it as "not yet"
    except (UserError, Conflict) as error:
        code = next(code for kind, code in _CODES if isinstance(error, kind))
        gone = asked.method == "input.respond" and isinstance(error, Conflict)
        return _refused(asked.id, "no_such_interrupt" if gone else code, str(error))


class _Refused(Exception):
    def __init__(self, code: Code, text: str) -> None:
        super().__init__(text)
        self.code = code


def _refused(command_id: int, code: Code, text: str) -> Response:
    return Answer({"type": "error", "id": command_id, "error": code, "message": text})


def _done(request: Request, thread_id: str, asked: ThreadCommand) -> dict[str, Any]:
    params, threads = asked.params, threads_of(request)
    match asked.method:
        case "run.start":
            return _ran(request, threads, _started(request, thread_id, params))
        case "input.respond":
            return _ran(request, threads, _responded(request, thread_id, params))
        case "agent.getTree":
            status = "running" if threads.work.rows.busy(thread_id) else "completed"
            return {"result": {"tree": {"namespace": [], "status": status, "graph_name": GRAPH, "children": []}}}
        case "state.get":
            return {"result": _state(threads, thread_id, params)}
        case "state.listCheckpoints":
            return {"result": {"checkpoints": _checkpoints(threads, thread_id, params)}}
        case "input.inject" | "state.fork":
            raise _Refused("not_supported", f"{asked.method} is not served; start a run, or copy the thread")
        case method if method.startswith("subscription."):
            raise _Refused("not_supported", "subscribe by POST to /threads/ID/stream/events")
        case method:
            raise _Refused("unknown_command", f"there is no command {method!r}")


def _started(request: Request, thread_id: str, params: JSONObject) -> Row:
    run = RunIn.model_validate(
        {key: params[key] for key in ("assistant_id", "input", "metadata") if key in params}
        | {"if_not_exists": "create"}
    )
    inner = _object(_object(params, "config"), "configurable")
    if inner.get("checkpoint_id"):
        run = run.model_copy(update={"checkpoint_id": str(inner["checkpoint_id"])})
    return accepted(request, thread_id, run, protocol=True)


def _object(params: JSONObject, name: str) -> JSONObject:
    """An object within ``params``, empty where it is not there; NotTaken where it is none."""
    found = params.get(name) or {}
    if not isinstance(found, dict):
        raise NotTaken(f"params.{name}: send an object")
    return found


def _responded(request: Request, thread_id: str, params: JSONObject) -> Row:
    if params.get("update") not in (None, {}) or params.get("goto") not in (None, [], ""):
        raise _Refused("not_supported", "update and goto would walk around what waits; decide it first")
    entries = params["responses"] if "responses" in params else [params]
    named = [e for e in entries if isinstance(e, dict) and "interrupt_id" in e] if isinstance(entries, list) else []
    answers = {str(entry["interrupt_id"]): entry.get("response") for entry in named}
    if not answers or len(answers) != len(entries):
        raise NotTaken("input.respond: name each pause once, by its interrupt_id")
    given = {"assistant_id": GRAPH, "command": {"resume": answers}, "metadata": params.get("metadata")}
    run = RunIn.model_validate(given)
    return accepted(request, thread_id, run, protocol=True)


def _ran(request: Request, threads: Threads, row: Row) -> dict[str, Any]:
    """The run; everything of it comes after ``applied_through_seq``."""
    return {
        "result": {"run_id": row.run_id},
        "meta": {"applied_through_seq": before_run(threads.work.rows.number(row.run_id))},
    }


def _state(threads: Threads, thread_id: str, params: JSONObject) -> dict[str, Any]:
    threads.check(thread_id)
    snapshot = threads.workspace.look(thread_id)
    keys = params.get("keys")
    if not isinstance(keys, list | None):
        raise NotTaken("params.keys: send a list of keys of the state")
    values = {key: value for key, value in snapshot.values.items() if keys is None or key in keys}
    checkpoint_id = snapshot.config["configurable"].get("checkpoint_id")
    return {"values": values} | ({"checkpoint": {"id": checkpoint_id, "ns": ""}} if checkpoint_id else {})


def _checkpoints(threads: Threads, thread_id: str, params: JSONObject) -> list[dict[str, Any]]:
    asked = HistoryIn.model_validate({key: params[key] for key in ("limit", "before") if key in params})
    return [
        {
            "id": snapshot.config["configurable"]["checkpoint_id"],
            "timestamp": snapshot.created_at,
            "step": (snapshot.metadata or {}).get("step"),
        }
        for snapshot in history_of(threads, thread_id, asked)
    ]
