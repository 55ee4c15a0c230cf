"""Runs: accepted, waited for, streamed, joined, cancelled, forgotten; on a thread, or on one made for the run."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response, StreamingResponse
from langgraph.types import StateSnapshot

from dojang.attachments import Limits, looked_at
from dojang.going_back import go_back
from dojang.runs import thread_id_of
from dojang.server.access import callers
from dojang.server.access.admission import NotAdmitted
from dojang.server.access.roles import STEER
from dojang.server.langgraph.answers import Answer
from dojang.server.langgraph.assistants import check_assistant
from dojang.server.langgraph.bodies import CancelMany, JSONObject, RunIn
from dojang.server.langgraph.caller import caller_of, work_of
from dojang.server.langgraph.document import EVENTS, REFUSALS, RunForm, gives
from dojang.server.langgraph.forms import Threads, run_form
from dojang.server.langgraph.inputs import NotTaken, check_options, decide, filters_of, message_of
from dojang.server.langgraph.sse import BEAT_S, Following, after_of, place_of, told
from dojang.server.langgraph.threads import AtThreads, threads_of
from dojang.server.programs import ProgramRoute
from dojang.server.work import Order, Row, Work
from dojang.server.work.ending import final_values
from dojang.server.work.plain import dumps
from state import Conflict, DojangError

router = APIRouter(tags=["langgraph runs"], route_class=ProgramRoute, responses=REFUSALS, default_response_class=Answer)
LastEventID = Annotated[str | None, Header(alias="Last-Event-ID")]
Action = Literal["interrupt", "rollback"]
Modes = Annotated[list[str] | None, Query(alias="stream_mode")]
VALUES = 'the thread\'s values when the run is over or pauses, or `{"__error__": …}`'


@router.post("/threads/{thread_id}/runs", responses=gives(RunForm))
def create(request: Request, thread_id: str, asked: RunIn) -> Response:
    """Accept a run, and do not wait for it."""
    row = accepted(request, thread_id, asked)
    return Answer(run_form(row), headers=places(row))


@router.post("/threads/{thread_id}/runs/wait", responses=gives(JSONObject, VALUES))
async def wait(request: Request, thread_id: str, asked: RunIn) -> Response:
    """Accept a run and answer with the thread's values when it has ended or paused."""
    row = await run_in_threadpool(accepted, request, thread_id, asked)
    return ended(request, row, cancel=asked.on_disconnect == "cancel", new=True)


@router.post("/threads/{thread_id}/runs/stream", response_class=StreamingResponse, responses=EVENTS)
async def stream(request: Request, thread_id: str, asked: RunIn) -> Response:
    """Accept a run and follow it by server-sent events. A reader that goes away does not end it, unless it says so."""
    row = await run_in_threadpool(accepted, request, thread_id, asked)
    return followed(work_of(request), row, cancel=asked.on_disconnect == "cancel", new=True)


@router.post("/runs", responses=gives(RunForm))
def create_alone(request: Request, asked: RunIn) -> Response:
    """Accept a run on a thread of its own, which goes with it unless something of it has to stay."""
    row = accepted(request, None, asked)
    return Answer(run_form(row), headers=places(row))


@router.post("/runs/wait", responses=gives(JSONObject, VALUES))
async def wait_alone(request: Request, asked: RunIn) -> Response:
    """The same, answered with the values."""
    row = await run_in_threadpool(accepted, request, None, asked)
    return ended(request, row, cancel=asked.on_disconnect == "cancel", new=True)


@router.post("/runs/stream", response_class=StreamingResponse, responses=EVENTS)
async def stream_alone(request: Request, asked: RunIn) -> Response:
    """The same, followed by server-sent events."""
    row = await run_in_threadpool(accepted, request, None, asked)
    return followed(work_of(request), row, cancel=asked.on_disconnect == "cancel", new=True)


@router.post("/runs/batch", responses=gives(list[RunForm]))
def create_many(request: Request, asked: list[RunIn]) -> Response:
    """Accept several runs, each on a thread of its own."""
    return Answer([run_form(accepted(request, None, one)) for one in asked])


@router.post("/runs/cancel", status_code=204)
def cancel_many(request: Request, asked: CancelMany, action: Action = "interrupt") -> Response:
    """Cancel the runs that are named, or all of a thread, or all of a status."""
    work = work_of(request)
    if not (asked.thread_id or asked.run_ids or asked.status):
        raise NotTaken("name the runs to cancel: thread_id and run_ids, or a status (pending, running, all)")
    for row in work.rows.active():
        named = asked.run_ids is None or row.run_id in asked.run_ids
        if named and asked.thread_id in (None, row.thread_id) and asked.status in (None, "all", row.status):
            work.stop(row.run_id, action)
    return Response(status_code=204)


@router.get("/threads/{thread_id}/runs", responses=gives(list[RunForm]))
def listed(
    threads: AtThreads,
    thread_id: str,
    limit: Annotated[int, Query(ge=1, le=1000)] = 10,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
    status: str | None = None,
) -> Response:
    """The runs of a thread, newest first."""
    threads.check(thread_id)
    rows = threads.work.rows.of(thread_id, status=status, limit=limit, offset=offset)
    return Answer([run_form(row, threads.work.hooks.of(row)) for row in rows])


@router.get("/threads/{thread_id}/runs/{run_id}", responses=gives(RunForm))
def get(request: Request, thread_id: str, run_id: str) -> Response:
    """One run."""
    work = work_of(request)
    row = work.rows.get(run_id, thread_id)
    return Answer(run_form(row, work.hooks.of(row)))


@router.get("/threads/{thread_id}/runs/{run_id}/join", responses=gives(JSONObject, VALUES))
async def join(request: Request, thread_id: str, run_id: str) -> Response:
    """Wait for a run; answered with the thread's values."""
    row = await run_in_threadpool(work_of(request).rows.get, run_id, thread_id)
    return ended(request, row, cancel=False)


@router.get("/threads/{thread_id}/runs/{run_id}/stream", response_class=StreamingResponse, responses=EVENTS)
async def join_stream(
    request: Request,
    thread_id: str,
    run_id: str,
    modes: Modes = None,
    cancel_on_disconnect: bool = False,
    last_event_id: LastEventID = None,
) -> Response:
    """Follow a run from its beginning, or from after ``Last-Event-ID``, as far as its events are kept."""
    row = await run_in_threadpool(work_of(request).rows.get, run_id, thread_id)
    kinds = {mode.partition("-")[0] for mode in modes or [] if mode}
    return followed(work_of(request), row, after=after_of(last_event_id), modes=kinds, cancel=cancel_on_disconnect)


@router.get("/threads/{thread_id}/stream", response_class=StreamingResponse, responses=EVENTS)
async def join_thread(request: Request, thread_id: str, last_event_id: LastEventID = None) -> Response:
    """Follow the run of a thread that is under way; where there is none, the newest one, which is over.

    Ids of events have the run's number in them (``12-57``): who comes again goes on with that run, or the one after it.
    """
    threads, work = threads_of(request), work_of(request)
    await run_in_threadpool(threads.check, thread_id)
    number, after = place_of(last_event_id)
    found = await run_in_threadpool(_to_follow, work, thread_id, number, after)
    if found is None:
        raise Conflict(f"thread {thread_id} has no run to follow; start one")
    row, at = found
    return followed(work, row, after=after if number in (None, at) else 0, number=at)


@router.post(
    "/threads/{thread_id}/runs/{run_id}/cancel",
    responses={**gives(JSONObject, VALUES), 202: {"description": "it will end; `wait` was not asked for"}},
)
async def cancel(
    request: Request, thread_id: str, run_id: str, wait: bool = False, action: Action = "interrupt"
) -> Response:
    """Cancel a run: at once if it has not begun, else between two steps. 409 where it is over."""
    work = work_of(request)
    row = await run_in_threadpool(work.rows.get, run_id, thread_id)
    if row.over:
        raise Conflict(f"run {run_id} is over ({row.status})")
    await run_in_threadpool(work.stop, run_id, action)
    if not wait:
        return Response(status_code=202)
    return ended(request, row, cancel=False)


@router.delete("/threads/{thread_id}/runs/{run_id}", status_code=204)
def delete(request: Request, thread_id: str, run_id: str) -> Response:
    """Forget a run that is over. The thread keeps what came of it."""
    work = work_of(request)
    if not work.rows.get(run_id, thread_id).over:
        raise Conflict(f"run {run_id} is not over; cancel it first")
    work.forget(run_id)
    return Response(status_code=204)


# -- what these have in common ----------------------------------------------------------------------------------------


def accepted(request: Request, thread_id: str | None, asked: RunIn, *, protocol: bool = False) -> Row:
    """Take a run in: a decision is recorded at the door first, a message gets its id; the row is on the disk.

    ``protocol``: whether its events are kept in the newer form.

    Raises:
        Conflict: the thread waits for a decision, or is busy and the strategy is reject; or a resume came too late.
        UserError: the body asks for what is not taken, or a decision does not fit.
        QueueFull: too many runs wait.
    """
    threads, work, caller = threads_of(request), work_of(request), caller_of(request)
    check_assistant(asked.assistant_id)
    check_options(asked, work.hooks.reach)
    resumes = asked.command is not None and "resume" in asked.command.model_fields_set
    message, filters = None, None
    looks = asked.input is not None or bool(asked.at())
    snapshot = threads.workspace.look(thread_id) if thread_id is not None and looks else None
    if not resumes and asked.input is not None:
        message, filters = message_of(asked.input, _known(snapshot)), filters_of(asked.input)
    given = message.pop("given") if message is not None else []
    looked_at(given, Limits.of(threads.workspace.settings))  # before anything is made for it
    if thread_id is None and message is None:
        raise NotTaken("a run without a thread begins with a message: send input.messages")
    thread = thread_id or str(uuid.uuid4())
    work.check_room(thread, asked.multitask_strategy)
    if message is None and not resumes and (asked.if_not_exists == "create" or threads.exists(thread)):
        _goes_on(threads, thread)
    if thread_id is not None:
        _there(threads, thread, asked)
    else:
        threads.make(thread)
    if snapshot is not None and asked.at() and _from_checkpoint(request, threads, snapshot, asked.at()):
        snapshot = threads.workspace.look(thread)
    if resumes and asked.command is not None:
        decide(threads.workspace, thread, asked.command.resume, by=caller)
    elif message is not None and snapshot is not None:
        message = _fresh(threads, snapshot, message, work)
    if message is not None and given:
        message["files"] = threads.workspace.acting(caller, (), decides=False).attach(thread, given)
    order = Order(
        message=message,
        filters=filters,
        modes=asked.modes(),
        subgraphs=asked.stream_subgraphs,
        resumable=asked.stream_resumable,
        temporary=thread_id is None and asked.on_completion == "delete",
        interrupt_before=asked.interrupt_before,
        interrupt_after=asked.interrupt_after,
        protocol=protocol,
    )
    return work.accept(
        thread,
        caller,
        order,
        strategy=asked.multitask_strategy,
        metadata=asked.metadata,
        after_s=asked.after_seconds,
        webhook=asked.webhook,
    )


def _from_checkpoint(request: Request, threads: Threads, snapshot: StateSnapshot, checkpoint_id: str) -> bool:
    """Go on from a checkpoint: the newest one, as chat pages name it with every message, or back from an older one.

    Returns:
        Whether it went back.

    Raises:
        UnknownCheckpoint: there is none with this id.
        NotAdmitted: to go back is for who may steer a thread.
        Conflict: something waits or is under way, or was asked or done since.
    """
    newest = snapshot.config["configurable"].get("checkpoint_id")
    if newest in (None, checkpoint_id):
        return False
    thread_id = thread_id_of(snapshot)
    if not callers.caller_of(request).may(STEER):
        raise NotAdmitted(403, "to go on from an older checkpoint needs one of the roles developer, admin")
    if threads.work.rows.busy(thread_id):
        raise Conflict(f"thread {thread_id} has runs that are not over; wait for them, or cancel them first")
    go_back(threads.workspace.parts, thread_id, checkpoint_id, caller_of(request))
    return True


def _goes_on(threads: Threads, thread_id: str) -> None:
    """Raise NotTaken where a run without a message would have nothing to go on with."""
    if not threads.workspace.begun(thread_id) and not threads.work.rows.busy(thread_id):
        raise NotTaken(f"nothing was asked in thread {thread_id} yet, so nothing can go on: send input.messages")


def _there(threads: Threads, thread_id: str, asked: RunIn) -> None:
    """The thread exists, or is made where the body wants that."""
    if asked.if_not_exists == "create" and not threads.exists(thread_id):
        threads.make(thread_id)
    threads.check(thread_id)


def _known(snapshot: StateSnapshot | None) -> frozenset[str]:
    """The ids of the messages of a thread, which may not be there yet."""
    return frozenset(message.id for message in snapshot.values.get("messages") or []) if snapshot else frozenset()


def _fresh(threads: Threads, snapshot: StateSnapshot, message: dict[str, Any], work: Work) -> dict[str, Any]:
    """The message, under an id that the thread does not have: an old one would be written over.

    Conflict where nothing is under way and the thread would refuse it anyway: told at once, not by a run that fails.
    """
    thread_id = thread_id_of(snapshot)
    if message["id"] in _known(snapshot):
        message = {**message, "id": f"human-{uuid.uuid4().hex[:16]}"}
    if snapshot.created_at is not None and not work.rows.busy(thread_id):
        threads.workspace.check_ready(thread_id)
    return message


def places(row: Row, suffix: str = "") -> dict[str, str]:
    """Where the run is: ``Content-Location`` for the client to know its ids, ``Location`` to come back to."""
    path = f"/threads/{row.thread_id}/runs/{row.run_id}"
    return {"Content-Location": path} | ({"Location": path + suffix} if suffix else {})


def _to_follow(work: Work, thread_id: str, number: int | None, after: int) -> tuple[Row, int] | None:
    """The run of a thread whose events come next for a reader who has seen one of run ``number``; and its number."""
    if number is not None and (found := work.rows.next_of(thread_id, number)) is not None:
        row, at = found
        seen = at == number and row.over and after >= work.channel(row).last
        return (work.rows.next_of(thread_id, number + 1) or found) if seen else found
    rows = work.rows.of(thread_id, limit=100)
    if not rows:
        return None
    active = [row for row in rows if not row.over]
    row = active[-1] if active else rows[0]
    return row, work.rows.number(row.run_id)


def followed(
    work: Work,
    row: Row,
    *,
    after: int = 0,
    modes: Any = (),
    cancel: bool = False,
    number: int | None = None,
    new: bool = False,
) -> Response:
    """The stream of a run; ``number``: the run's, where it is to be in the ids of the events.

    ``new``: the run has just been accepted.
    """
    chunks = told(work, row, after, modes, number, new=new)
    return Following(chunks, places(row, "/stream"), left(work, row) if cancel else None)


def ended(request: Request, row: Row, *, cancel: bool, new: bool = False) -> Response:
    """The answer when a run is over: the thread's values, or ``{"__error__": …}``. ``new``: it was just accepted.

    It begins at once, with the place where the values will be: a client that loses it, or the server, looks there.
    """
    work = work_of(request)
    headers = places(row, "/join")
    on_leave = left(work, row) if cancel else None
    return Following(
        _values(work, threads_of(request), row, new), headers, on_leave, media_type="application/json", bye=b""
    )


async def _values(work: Work, threads: Threads, row: Row, new: bool) -> AsyncIterator[bytes]:
    """The values when there are any; white space before them, so that nobody takes the connection for a dead one."""
    spoken = time.monotonic()
    async for _ in work.follow(row, None, new=new):
        if time.monotonic() > spoken + BEAT_S:
            yield b"\n"
            spoken = time.monotonic()
    if (channel := work.outcome(row.run_id)) is not None:
        yield (dumps({"__error__": channel.error}) if channel.error is not None else channel.values) or b""
        return
    try:
        yield await run_in_threadpool(_outcome, work, threads, row.run_id)
    except DojangError as error:  # it was deleted meanwhile, or cannot be read; the status of this answer is out
        yield dumps({"__error__": {"error": type(error).__name__, "message": str(error)}})


def _outcome(work: Work, threads: Threads, run_id: str) -> bytes:
    row = work.rows.get(run_id)
    if row.error is not None:
        return dumps({"__error__": row.error})
    return work.values(row) or dumps(final_values(threads.workspace.look(row.thread_id)))


def left(work: Work, row: Row) -> Callable[[], Awaitable[None]]:
    """What is done where the one reader of a run goes, who wished it to end with them."""

    async def stop() -> None:
        if not (await run_in_threadpool(work.rows.get, row.run_id)).over:
            await run_in_threadpool(work.stop, row.run_id, "interrupt")

    return stop
