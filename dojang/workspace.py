"""The workspace: what a person, a page or a notebook can do with threads, reviews and documents.

It wires nothing itself (``parts.py`` does) and prints nothing. Every method either does all of what it says or raises
a DojangError and leaves things as they were.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

from langchain_core.messages import AnyMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.types import Command, StateSnapshot

from dojang.origin import check_origin
from dojang.parts import Parts
from dojang.results import DecisionResult, ReviewCard, ReviewStatus, RunResult, Step
from dojang.settings import Settings, load_settings
from nodes.door import Expired, StaleDecision, expiry_of, rule
from nodes.gate import pending_proposals
from state import AgentState, Conflict, Decision, DecisionType, DojangError, Kind, Passage, Review, UserError

if TYPE_CHECKING:
    from checkpoints import ThreadRow
    from store import DocumentRow, IngestReport

OnNode = Callable[[str], None]
"""Called with the name of each graph node as it finishes: progress for whoever waits."""
OnStart = Callable[[str], None]
"""Called with the thread's id before its run begins, so that whoever is cut off knows what to resume."""


class UnknownThread(UserError):
    """There is no thread with this id."""


class UnknownReview(UserError):
    """There is no review with this id."""


class Workspace:
    """All of Dojang over one ``DOJANG_HOME``. Use it as a context manager; parts start when they are first needed."""

    def __init__(self, settings: Settings | None = None, *, parts: Parts | None = None) -> None:
        check_origin()
        self.settings = settings or load_settings()
        self.parts = parts or Parts(self.settings)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give back connections and the embedded server's lease."""
        self.parts.close()

    # -- asking ---------------------------------------------------------------------------------------------------

    def ask(
        self,
        text: str,
        *,
        thread_id: str | None = None,
        on_node: OnNode | None = None,
        on_start: OnStart | None = None,
    ) -> RunResult:
        """Send a message on a new thread, or on ``thread_id``.

        Raises:
            UnknownThread: no such thread.
            Conflict: the thread waits for a decision, or a run on it was cut off, or another run holds it.
            UserError: the text is empty.
        """
        if not text.strip():
            raise UserError("the message is empty; write a question or a request")
        if thread_id is not None:
            self._ready_for_input(self._state(thread_id))
        thread = thread_id or f"th_{secrets.token_hex(5)}"
        self._prepare()
        if on_start is not None:
            on_start(thread)
        message = HumanMessage(content=text, id=f"human-{secrets.token_hex(8)}", name=self.settings.user)
        return self._run(thread, {"messages": [message]}, on_node, guard=thread_id is not None)

    def resume(self, thread_id: str, *, on_node: OnNode | None = None) -> RunResult:
        """Go on with a thread: release decisions that were recorded, or finish a run that was cut off.

        A thread that only waits for people, or is done, is returned as it stands.
        """
        return self._release(thread_id, on_node)

    # -- reviews --------------------------------------------------------------------------------------------------

    def inbox(self, *, kind: Kind | None = None, limit: int = 100, offset: int = 0) -> list[Review]:
        """Open reviews, soonest deadline first."""
        index = self.parts.index
        index.refresh()
        return index.reviews(kind=kind, limit=limit, offset=offset)

    def show(self, review_id: str) -> ReviewCard:
        """Everything about one review, open or decided."""
        thread_id = self._thread_of(review_id)
        snapshot, review = self._find(thread_id, review_id)
        decision = self.parts.decisions.of(thread_id).get(review_id)
        released = review_id in (snapshot.values.get("decisions") or {})
        passages, note = self._evidence(review)
        status: ReviewStatus = "open" if decision is None else "decided" if released else "recorded"
        self._audit(snapshot)
        seen: dict[str, Any] = {"status": status, "digest": review["digest"]}
        self.parts.audit.note(thread_id, "review.shown", self.settings.user, review_id, seen)
        return ReviewCard(
            review=review,
            status=status,
            decision=decision,
            conversation=[_line(m) for m in snapshot.values.get("messages") or []],
            passages=passages,
            note=note,
        )

    def decide(
        self,
        review_id: str,
        decision: DecisionType | dict[str, Any],
        *,
        by: str | None = None,
        channel: str = "python",
        on_node: OnNode | None = None,
    ) -> DecisionResult:
        """Record a decision (compare-and-set, durable), then resume the run with it.

        Args:
            review_id: which review; unknown and stale ids are refused before anything is written.
            decision: a type such as ``"approve"``, or any wire form that ``nodes.door`` reads.
            by: who decides; the settings' user when None.
            channel: where it was said: cli, console, http, notebook, python.
            on_node: progress.

        Raises:
            UnknownReview, Conflict (somebody else was first; ``show`` names them), UserError (not allowed, bad edit).
        """
        thread_id = self._thread_of(review_id)
        _, review = self._find(thread_id, review_id)
        raw: object = {"type": decision} if isinstance(decision, str) else decision
        actor = by or self.settings.user
        self._prepare()
        try:
            stored = rule(review, raw, self.parts.deps, by=actor, channel=channel)  # the record notes who lost to whom
        except (StaleDecision, Expired) as late:
            why = {"why": type(late).__name__, "channel": channel}
            self.parts.audit.note(thread_id, "decision.refused", actor, review_id, why)
            raise
        return DecisionResult(decision=stored, run=self._released(thread_id, on_node))

    def expire_due(self, *, on_node: OnNode | None = None) -> list[RunResult]:
        """End every review whose deadline is over: denied by default, never counted as a rejection."""
        now = self.parts.clock.now()
        due = {r["thread_id"] for r in self.inbox(limit=10_000) if expiry_of(r, now) is not None}
        return [self.resume(thread_id, on_node=on_node) for thread_id in sorted(due)]

    # -- threads --------------------------------------------------------------------------------------------------

    def threads(self, *, limit: int = 50, offset: int = 0) -> list[ThreadRow]:
        """Threads, newest first."""
        self.parts.index.refresh()
        return self.parts.index.threads(limit=limit, offset=offset)

    def thread(self, thread_id: str) -> RunResult:
        """Where a thread stands, without running it."""
        return self._result(self._state(thread_id))

    def conversation(self, thread_id: str) -> list[dict[str, str]]:
        """The messages of a thread as ``{"role", "text"}``, oldest first."""
        return [_line(m) for m in self._state(thread_id).values.get("messages") or []]

    def history(self, thread_id: str, *, limit: int | None = None) -> list[Step]:
        """The checkpoints of a thread, newest first."""
        self._state(thread_id)
        snapshots = list(self.parts.reader.get_state_history(self._config(thread_id), limit=limit))
        older: list[StateSnapshot | None] = [*snapshots[1:], None]
        return [_step(now, before) for now, before in zip(snapshots, older, strict=True)]

    def folder(self, thread_id: str) -> Path:
        """The folder that is this session: copy it, and you have moved the session."""
        self._state(thread_id)
        return self.parts.folders.path(thread_id)

    # -- documents ------------------------------------------------------------------------------------------------

    def ingest(
        self, paths: Sequence[Path], *, on_progress: Callable[[str, int, int], None] | None = None
    ) -> IngestReport:
        """Read files (folders are walked) into passages; files that cannot be read are reported, the rest goes in."""
        return self.parts.store.ingest(paths, on_progress=on_progress)

    def search(self, query: str, *, k: int = 5, filters: dict[str, str] | None = None) -> list[Passage]:
        """The passages that match best. UserError where there is no word to look for."""
        if not any(character.isalnum() for character in query):
            raise UserError("the question is empty: write at least one word to search for")
        return self.parts.store.search(query, k=k, filters=filters)

    def passages(self, ids: Sequence[str]) -> list[Passage]:
        """The passages with these ids, in that order; those that are gone are left out."""
        return self.parts.store.fetch(ids)

    def documents(self) -> list[DocumentRow]:
        """What has been ingested."""
        return self.parts.store.documents()

    def source(self, document: str, start: int, end: int) -> str:
        """The characters that a citation names, read back from the stored document. UserError when it is gone."""
        return self.parts.store.document_text(document)[start:end]

    # -- inside ---------------------------------------------------------------------------------------------------

    def _config(self, thread_id: str) -> RunnableConfig:
        return {"configurable": {"thread_id": thread_id, "__pregel_strict_resume": True}, "recursion_limit": 100}

    def _state(self, thread_id: str) -> StateSnapshot:
        snapshot = self.parts.reader.get_state(self._config(thread_id))
        if snapshot.created_at is None:
            raise UnknownThread(f"there is no thread {thread_id!r}; `dojang threads` lists those that exist")
        return snapshot

    def _thread_of(self, review_id: str) -> str:
        index = self.parts.index
        index.refresh()
        thread_id = index.locate(review_id)
        if thread_id is None:
            raise UnknownReview(f"there is no review {review_id!r}; `dojang inbox` lists those that are open")
        return thread_id

    def _find(self, thread_id: str, review_id: str) -> tuple[StateSnapshot, Review]:
        """The newest state that knows the review: the thread's own, or an older turn's."""
        newest = self._state(thread_id)
        for snapshot in _newest_first(newest, self.parts.reader.get_state_history(self._config(thread_id))):
            found = (snapshot.values.get("reviews") or {}).get(review_id)
            if found is not None:
                return snapshot, cast(Review, found)
        raise UnknownReview(f"review {review_id!r} is not in thread {thread_id!r} any more")

    def _audit(self, snapshot: StateSnapshot) -> None:
        """Bring the audit chain up to what the thread's files say; raises before anything can go on without it."""
        audit = self.parts.audit
        reviews = [cast(Review, review) for review in (snapshot.values.get("reviews") or {}).values()]
        for version in sorted({v["policy_version"] for v in (snapshot.values.get("verdicts") or {}).values()}):
            audit.note(None, "policy.seen", "dojang", version, once=True)
        audit.opened(reviews)
        audit.catch_up(snapshot.config["configurable"]["thread_id"])

    def _evidence(self, review: Review) -> tuple[list[Passage], str]:
        ids = [p["id"] for p in review["evidence"]]
        if not ids:
            return [], ""
        try:
            found = self.parts.store.fetch(ids)
        except DojangError as error:
            return [], f"the evidence cannot be shown: {error}"
        gone = len(ids) - len(found)
        return found, f"{gone} passages of the evidence are no longer in the store" if gone else ""

    def _ready_for_input(self, snapshot: StateSnapshot) -> None:
        thread_id = snapshot.config["configurable"]["thread_id"]
        waiting = _waiting(snapshot)
        if waiting:
            ids = ", ".join(review["id"] for _, review in waiting)
            raise Conflict(f"thread {thread_id} waits for a decision on {ids}; decide it before sending a new message")
        # A turn that broke off may be left behind, or one that the model can never finish would hold the thread for
        # ever. But a call that was proposed has to come to its end first: it may be approved, or half done.
        if _unfinished(snapshot) and pending_proposals(cast(AgentState, snapshot.values)):
            raise Conflict(f"a run on thread {thread_id} was cut off; `dojang resume {thread_id}` finishes it")

    def _prepare(self) -> None:
        """Build what a run needs before anything is written: a missing model must leave no empty session behind."""
        assert self.parts.deps is not None

    def _run(self, thread_id: str, given: Any, on_node: OnNode | None, *, guard: bool = False) -> RunResult:
        with self.parts.run_lock(thread_id):
            if guard:  # again, now that nobody else can change it
                self._ready_for_input(self._state(thread_id))
            return self._stream(thread_id, given, on_node)

    def _stream(self, thread_id: str, given: Any, on_node: OnNode | None) -> RunResult:
        config = self._config(thread_id)
        deps = self.parts.deps
        for update in self.parts.graph.stream(given, config, context=deps, stream_mode="updates", durability="sync"):
            for node in update:
                if on_node is not None and not node.startswith("__"):
                    on_node(node)
        snapshot = self._state(thread_id)
        self._audit(snapshot)
        return self._result(snapshot)

    def _release(self, thread_id: str, on_node: OnNode | None) -> RunResult:
        self._state(thread_id)
        with self.parts.run_lock(thread_id):
            snapshot = self._state(thread_id)
            self._audit(snapshot)
            waiting = _waiting(snapshot)
            self._expire([review for _, review in waiting])
            recorded = self.parts.decisions.of(thread_id)
            ready = {interrupt_id: recorded[r["id"]] for interrupt_id, r in waiting if r["id"] in recorded}
            if ready:
                ids = [decision["review_id"] for decision in ready.values()]
                self.parts.audit.note(thread_id, "run.released", self.settings.user, thread_id, {"reviews": ids})
                return self._stream(thread_id, Command(resume=ready), on_node)
            if _unfinished(snapshot) and not waiting:
                return self._stream(thread_id, None, on_node)
            return self._result(snapshot)

    def _expire(self, reviews: Sequence[Review]) -> None:
        for review in reviews:
            expired = expiry_of(review, self.parts.clock.now())
            if expired is not None and review["id"] not in self.parts.decisions.of(review["thread_id"]):
                self.parts.decisions.record(review["thread_id"], expired)

    def _released(self, thread_id: str, on_node: OnNode | None) -> RunResult:
        """Release after a decision was recorded. Whoever holds the thread right now does not undo the record."""
        from checkpoints import ThreadBusy

        try:
            return self._release(thread_id, on_node)
        except ThreadBusy as busy:
            result = self._result(self._state(thread_id), status="busy")
            note = f"the decision is recorded; {busy}; `dojang resume {thread_id}` goes on"
            return RunResult(**{**result.__dict__, "note": note})

    def _result(self, snapshot: StateSnapshot, *, status: str | None = None) -> RunResult:
        values = snapshot.values
        thread_id = snapshot.config["configurable"]["thread_id"]
        recorded = self.parts.decisions.of(thread_id)
        waiting = [review for _, review in _waiting(snapshot)]
        undecided = [review for review in waiting if review["id"] not in recorded]
        paused = _unfinished(snapshot)
        note = ""
        if paused and not undecided:
            note = f"this run can go on: `dojang resume {thread_id}`"
        return RunResult(
            thread_id=thread_id,
            status=cast(Any, status or ("paused" if paused else "done")),
            answer=None if paused else values.get("answer"),
            reviews=undecided,
            outcomes=list((values.get("outcomes") or {}).values()),
            note=note,
        )


def _waiting(snapshot: StateSnapshot) -> list[tuple[str, Review]]:
    """(interrupt id, review) of every pause of a state."""
    return [
        (interrupt.id, interrupt.value["review"])
        for task in snapshot.tasks
        for interrupt in task.interrupts
        if isinstance(interrupt.value, dict) and "review" in interrupt.value
    ]


def _unfinished(snapshot: StateSnapshot) -> bool:
    """Whether a run is under way, paused or cut off.

    A process that is killed between a step's writes and the checkpoint after it leaves a state whose ``next`` is empty
    although more is to come: its tasks are there and have results.
    """
    return bool(snapshot.tasks)


def _newest_first(newest: StateSnapshot, history: Iterator[StateSnapshot]) -> Iterator[StateSnapshot]:
    yield newest
    with contextlib.closing(cast(Any, history)):
        yield from history


def _line(message: AnyMessage) -> dict[str, str]:
    role = {"human": "user", "ai": "assistant", "tool": "tool"}.get(message.type, message.type)
    text = str(message.text)
    calls = getattr(message, "tool_calls", None) or []
    if calls and not text:
        text = "; ".join(
            f"{call['name']}({', '.join(f'{k}={v!r}' for k, v in call['args'].items())})" for call in calls
        )
    return {"role": role, "text": text}


def _step(now: StateSnapshot, before: StateSnapshot | None) -> Step:
    metadata = now.metadata or {}
    old = before.values if before else {}
    return Step(
        checkpoint_id=now.config["configurable"]["checkpoint_id"],
        at=now.created_at or "",
        number=metadata.get("step", 0),
        source=metadata.get("source", ""),
        next=list(now.next),
        wrote=sorted(key for key, value in now.values.items() if key not in old or old[key] != value),
        review_ids=[review["id"] for _, review in _waiting(now)],
    )


__all__ = ["Decision", "OnNode", "UnknownReview", "UnknownThread", "Workspace"]
