"""Runs of the graph on a thread: started, cut off, released, and where they stand. Prints nothing, asks nobody.

A decision is released by compare-and-set in the log of decisions before the run has it (ADR 7); whoever holds the
thread's run lock is the only one who runs it.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, Protocol, cast

from langchain_core.runnables import RunnableConfig
from langgraph.types import Command, StateSnapshot

from dojang.parts import Parts
from dojang.pausing import Halted
from dojang.results import RunResult, RunStatus
from dojang.saving import AT_ONCE
from dojang.watching import OnNode, Watch, watching
from nodes.door import expiry_of
from nodes.gate import pending_proposals
from nodes.ports import Deps
from state import AgentState, Conflict, Decision, Progress, Review, UserError

KEPT: Final = "dojang_adapter"
"""Member of a checkpoint's metadata: with which adapter its run was begun."""


class UnknownThread(UserError):
    """There is no thread with this id."""


class Speaks(Protocol):
    """Who speaks in which thread: ``dojang.speaking``."""

    def deps(self, adapter: str | None, thread_id: str) -> Deps:
        """The ports of a run on a thread that keeps ``adapter``; None: it gets what new ones get."""
        ...


class Runs:
    """The runs of one home."""

    def __init__(self, parts: Parts, speaking: Speaks) -> None:
        self.parts = parts
        self.user = parts.settings.user
        self.speaking = speaking

    def acting(self, user: str) -> Runs:
        """The same runs, started and released by somebody else."""
        acting = copy.copy(self)
        acting.user = user
        return acting

    # -- looking --------------------------------------------------------------------------------------------------

    def config(self, thread_id: str) -> RunnableConfig:
        """What LangGraph is called with: resumes are strict, always, and what is saved is saved at once."""
        asked = {"thread_id": thread_id, "__pregel_strict_resume": True, **AT_ONCE}
        return {"configurable": asked, "recursion_limit": 100}

    def look(self, thread_id: str) -> StateSnapshot:
        """The newest state of a thread, or an empty one (``created_at`` None) where there is none yet."""
        config = self.config(thread_id)
        if not self.parts.saver.has(thread_id):  # what LangGraph would say, at a hundredth of the time
            return StateSnapshot({}, (), config, None, None, None, (), ())
        return self.parts.reader.get_state(config)

    def state(self, thread_id: str) -> StateSnapshot:
        """The newest state of a thread; raises UnknownThread."""
        snapshot = self.look(thread_id)
        if snapshot.created_at is None:
            raise UnknownThread(f"there is no thread {thread_id!r}; `dojang threads` lists those that exist")
        return snapshot

    def states(self, thread_id: str) -> Iterator[StateSnapshot]:
        """The states of a thread, newest first, the current one as it is now."""
        yield self.state(thread_id)
        history = self.parts.reader.get_state_history(self.config(thread_id))
        with contextlib.closing(cast(Any, history)):
            yield from history

    def deps(self, snapshot: StateSnapshot) -> Deps:
        """The ports of a run on the thread of a state, new or old: with the adapter that it keeps, or is to begin with.

        Raises:
            UserError: that adapter, or the model, cannot be loaded.
        """
        return self.speaking.deps(kept_adapter(snapshot), thread_id_of(snapshot))

    def result(self, snapshot: StateSnapshot, *, status: RunStatus | None = None, note: str = "") -> RunResult:
        """Where the thread of a state stands."""
        values = snapshot.values
        thread_id = thread_id_of(snapshot)
        recorded = self.parts.decisions.of(thread_id)
        waiting = [review for _, review in waiting_of(snapshot)]
        undecided = [review for review in waiting if review["id"] not in recorded]
        paused = unfinished(snapshot)
        if paused and not undecided and not note:
            note = self._can_go_on(thread_id, [recorded[review["id"]] for review in waiting])
        return RunResult(
            thread_id=thread_id,
            status=status or ("paused" if paused else "done"),
            answer=values.get("answer"),  # None until it is released; a person may still be asked what they think of it
            reviews=undecided,
            outcomes=list((values.get("outcomes") or {}).values()),
            note=note,
            spent=list(values.get("spent") or []),
            adapter=values.get("adapter", ""),
        )

    def _can_go_on(self, thread_id: str, decisions: Sequence[Decision]) -> str:
        progress = self.parts.decisions.progress(thread_id)
        now = self.parts.clock.now()
        for decision in decisions:
            until = decision.get("held_until", "")
            if until and not progress[decision["review_id"]]["released"] and now < datetime.fromisoformat(until):
                return (
                    f"decided; `dojang undo {decision['review_id']}` takes it back until {until}, "
                    f"after that `dojang resume {thread_id}` goes on"
                )
        return f"this run can go on: `dojang resume {thread_id}`"

    def ready_for_input(self, snapshot: StateSnapshot) -> None:
        """Raise Conflict where a new message would come in between."""
        waiting = waiting_of(snapshot)
        in_the_way = [review["id"] for _, review in waiting if review["kind"] != "feedback"]
        if in_the_way:
            ids, thread_id = ", ".join(in_the_way), thread_id_of(snapshot)
            raise Conflict(f"thread {thread_id} waits for a decision on {ids}; decide it before sending a new message")
        # A turn that broke off may be left behind, or one that the model can never finish would hold the thread for
        # ever. But a call that was proposed has to come to its end first: it may be approved, or half done.
        if unfinished(snapshot) and pending_proposals(cast(AgentState, snapshot.values)):
            thread_id = thread_id_of(snapshot)
            raise Conflict(f"a run on thread {thread_id} was cut off; `dojang resume {thread_id}` finishes it")

    # -- running --------------------------------------------------------------------------------------------------

    def start(
        self, thread_id: str, given: Any, on_node: OnNode | None, *, guard: bool = False, adapter: str | None = None
    ) -> RunResult:
        """Run a new message. ``guard``: the thread exists; look again that nothing waits, now that nobody else runs.

        ``adapter``: with which a new thread begins, where that is not for the settings to say.
        """
        self.parts.switch.check()
        with self.parts.run_lock(thread_id):
            before = self.state(thread_id) if guard else self.look(thread_id)
            watching(on_node).before(before)
            if guard or before.created_at is not None:  # somebody was quicker, and their pause may not be lost
                self.audit(before)  # what the last turn left unnoted: a new one clears its records
                if self._end_feedback(before, on_node):
                    before = self.state(thread_id)
                self.ready_for_input(before)
            result = self._stream(before, given, on_node, adapter=adapter)
        return self._go_on(result, on_node)

    def release(self, thread_id: str, on_node: OnNode | None) -> RunResult:
        """Go on with whatever is decided and can no longer be taken back, or with a run that was cut off."""
        self.state(thread_id)
        return self._go_on(self._release(thread_id, on_node), on_node)

    def _release(self, thread_id: str, on_node: OnNode | None) -> RunResult:
        with self.parts.run_lock(thread_id):
            snapshot, watch = self.state(thread_id), watching(on_node)
            watch.before(snapshot)
            self.audit(snapshot)
            waiting = waiting_of(snapshot)
            if self._could_go_on(snapshot, waiting):
                self.parts.switch.check()  # before anything is released
            self._expire([review for _, review in waiting])
            ready = self._released(thread_id, waiting)
            if ready:
                return self._stream(snapshot, Command(resume=ready), on_node)
            if watch.again and self._has_stopped(snapshot, watch):
                return self.result(snapshot)
            if unfinished(snapshot) and (watch.again or not waiting):  # who waits is asked again, the same
                return self._stream(snapshot, None, on_node)
            self.parts.saver.flush(thread_id)  # a run that was killed may have left it to the operating system
            return self.result(snapshot)

    def _has_stopped(self, snapshot: StateSnapshot, watch: Watch) -> bool:
        """Whether a run that was cut off has come to where it was to stop, by what it wrote last: LangGraph goes on."""
        if not watch.metadata.items() <= (snapshot.metadata or {}).items() or not (watch.metadata and snapshot.next):
            return False
        if _among(snapshot.next, watch.interrupt_before):
            return True
        before = snapshot.parent_config if watch.interrupt_after else None
        return before is not None and _among(self.parts.reader.get_state(before).next, watch.interrupt_after)

    def _could_go_on(self, snapshot: StateSnapshot, waiting: Sequence[tuple[str, Review]]) -> bool:
        recorded = self.parts.decisions.of(thread_id_of(snapshot))
        now = self.parts.clock.now()
        ready = any(r["id"] in recorded or expiry_of(r, now) is not None for _, r in waiting)
        return ready or (unfinished(snapshot) and not waiting)

    def _go_on(self, result: RunResult, on_node: OnNode | None) -> RunResult:
        """Also release what somebody decided while this run held the thread, and could not release themselves.

        Looked at after the lock was given back: who decides later finds it free.
        """
        from checkpoints import ThreadBusy

        while result.status == "paused" and self._may_go_on(result.thread_id):
            try:
                result = self._release(result.thread_id, on_node)
            except (ThreadBusy, Halted):  # they were quicker, or nothing goes on now
                return self.result(self.state(result.thread_id))
        return result

    def _may_go_on(self, thread_id: str) -> bool:
        progress, now = self.parts.decisions.progress(thread_id), self.parts.clock.now()
        if not any(far["decision"] for far in progress.values()):
            return False
        waiting = [progress.get(review["id"]) for _, review in waiting_of(self.state(thread_id))]
        return any(far is not None and releasable(far, now) for far in waiting)

    def release_or_tell(self, thread_id: str, on_node: OnNode | None) -> RunResult:
        """Release after a decision was recorded. Whoever holds the thread right now does not undo the record."""
        from checkpoints import ThreadBusy

        try:
            return self.release(thread_id, on_node)
        except ThreadBusy as busy:
            note = f"the decision is recorded; {busy}; `dojang resume {thread_id}` goes on"
            return self.result(self.state(thread_id), status="busy", note=note)
        except Halted as halted:
            self.parts.switch.note(thread_id)
            note = f"the decision is recorded; {halted}"
            return self.result(self.state(thread_id), status="busy", note=note)

    def audit(self, snapshot: StateSnapshot) -> None:
        """Bring the audit chain up to what the thread's files say; raises before anything can go on without it."""
        audit, thread_id = self.parts.audit, thread_id_of(snapshot)
        reviews = [cast(Review, review) for review in (snapshot.values.get("reviews") or {}).values()]
        for version in sorted({v["policy_version"] for v in (snapshot.values.get("verdicts") or {}).values()}):
            audit.note(None, "policy.seen", "dojang", version, once=True)
        audit.opened(reviews)
        audit.catch_up(thread_id)
        self._note_passed(snapshot)

    # -- inside ---------------------------------------------------------------------------------------------------

    def _released(self, thread_id: str, waiting: Sequence[tuple[str, Review]]) -> dict[str, Decision]:
        """Decisions by interrupt id, from here on nobody's to take back."""
        ids = [review["id"] for _, review in waiting]
        recorded = self.parts.decisions.of(thread_id)
        if not any(review_id in recorded for review_id in ids):
            return {}
        free = self.parts.decisions.release(thread_id, ids, self.parts.clock.now())
        ready = {interrupt_id: free[review["id"]] for interrupt_id, review in waiting if review["id"] in free}
        if ready:
            facts: dict[str, Any] = {"reviews": list(free)}
            self.parts.audit.note(thread_id, "run.released", self.user, thread_id, facts)
        return ready

    def _stream(
        self, before: StateSnapshot, given: Any, on_node: OnNode | None, *, adapter: str | None = None
    ) -> RunResult:
        """``before``: the thread's state, looked at since its run lock is held."""
        thread_id = thread_id_of(before)
        config, settings = self.config(thread_id), self.parts.settings
        deps = self.speaking.deps(kept_adapter(before) if adapter is None else adapter, thread_id)
        watch = watching(on_node)
        config["metadata"] = {**watch.metadata}
        config["callbacks"] = [*watch.callbacks, *self.parts.observer.callbacks]
        if "adapter" not in before.values:  # a run that is killed before intake has kept it goes on with it
            config["metadata"][KEPT] = deps.adapter
        rules: dict[str, Any] = {"policy": settings.policy.name, "hard": settings.hard_policy.name}
        self.parts.audit.changed("policy.seen", self.user, deps.policy.version, rules)
        stream = self.parts.graph.stream(
            given,
            config,
            context=deps,
            stream_mode=list(dict.fromkeys([*watch.asked(), "values"])),
            subgraphs=watch.subgraphs,
            durability="sync",
            interrupt_before=watch.interrupt_before,
            interrupt_after=watch.interrupt_after,
        )
        pause: list[tuple[tuple[str, ...], str, Any]] = []
        on_disk = self.parts.saver.loose(thread_id)
        with on_disk, self.parts.observer.on(thread_id), contextlib.closing(stream):
            for part in stream:
                ns, mode, chunk = part if watch.subgraphs else ((), *part)
                if tells_of_pause(mode, chunk):  # a few a task; what others do meanwhile is told as it comes
                    pause.append((ns, mode, chunk))
                else:
                    watch.hear(ns, mode, chunk)
                if mode == "values" and not ns and "__interrupt__" not in chunk:
                    self._check_halted(thread_id, watch)
        snapshot = self.state(thread_id)
        self.audit(snapshot)
        self.parts.notice.send()
        watch.on_end(snapshot)
        for ns, mode, chunk in pause:  # nobody is told of a question that a power cut could take back
            watch.hear(ns, mode, chunk)  # last: it may stop the run, and whoever has to decide is told all the same
        return self.result(snapshot)

    def _check_halted(self, thread_id: str, watch: Watch) -> None:
        """Before the first step and between two: stop where all runs are to; who goes on then, is noted."""
        try:
            self.parts.switch.check()
        except Halted:
            if not unfinished(self.state(thread_id)):  # that was the last step: whoever asked has their answer
                return
            if not watch.queued:
                self.parts.switch.note(thread_id)
            raise

    def _expire(self, reviews: Sequence[Review]) -> None:
        for review in reviews:
            expired = expiry_of(review, self.parts.clock.now())
            if expired is not None and review["id"] not in self.parts.decisions.of(review["thread_id"]):
                self.parts.decisions.record(review["thread_id"], expired)

    def _end_feedback(self, snapshot: StateSnapshot, on_node: OnNode | None) -> bool:
        """A new message ends the question what somebody thinks of the last answer: nobody's decision.

        Returns:
            Whether it did.
        """
        waiting, thread_id = waiting_of(snapshot), thread_id_of(snapshot)
        if not waiting or any(review["kind"] != "feedback" for _, review in waiting):
            return False
        recorded = self.parts.decisions.of(thread_id)
        for _, review in waiting:
            if review["id"] not in recorded:
                now = self.parts.clock.now().isoformat()
                self.parts.decisions.record(
                    thread_id, {**_NOBODY, "review_id": review["id"], "digest": review["digest"], "at": now}
                )
        ready = self._released(thread_id, waiting)
        if ready:
            # Not under the run's own id: LangGraph takes a message that comes next under the same one for that run
            # gone on with, and drops it.
            self._stream(snapshot, Command(resume=ready), replace(watching(on_node), metadata={}))
        return bool(ready)

    def _note_passed(self, snapshot: StateSnapshot) -> None:
        """Calls that a rule lets pass but wants somebody told of: noted once. ``act`` has put them into the outbox."""
        values, thread_id = snapshot.values, thread_id_of(snapshot)
        for proposal_id, outcome in (values.get("outcomes") or {}).items():
            verdict = (values.get("verdicts") or {}).get(f"call:{proposal_id}")
            if verdict is None or verdict["outcome"] != "notify":
                continue
            facts: dict[str, Any] = {"tool": outcome["tool"], "status": outcome["status"]}
            self.parts.audit.note(thread_id, "call.passed", "dojang", f"call:{proposal_id}", facts, once=True)


_NOBODY = Decision(
    review_id="", digest="", type="expire", by="", at="", reason="", edited_args=None, message="", dwell_ms=None,
    channel="superseded",
)  # fmt: skip


def kept_adapter(snapshot: StateSnapshot) -> str | None:
    """What a thread keeps of its adapter; None: nothing yet, or it is older than adapters that are kept.

    The state says it, or, where a new thread's first run was killed before it could, the input's metadata.
    """
    noted = (snapshot.metadata or {}).get(KEPT)
    kept = snapshot.values.get("adapter", noted)
    return kept if isinstance(kept, str) else None


def _among(nodes: Sequence[str], wanted: str | Sequence[str] | None) -> bool:
    """Whether one of the nodes is meant by what LangGraph takes for interrupts: their names, or ``*`` for all."""
    return wanted == "*" or not set(nodes).isdisjoint([wanted] if isinstance(wanted, str) else wanted or [])


def releasable(progress: Progress, now: datetime) -> bool:
    """Whether a review is decided, and nobody can take that back any more."""
    decision = progress["decision"]
    if decision is None:
        return False
    return progress["released"] or now >= datetime.fromisoformat(decision.get("held_until") or decision["at"])


def tells_of_pause(mode: str, chunk: Any) -> bool:
    """Whether a part of LangGraph's stream may show a pause to whoever reads it."""
    if mode in ("messages", "custom") or not isinstance(chunk, Mapping):
        return False
    if mode in ("values", "updates"):
        return "__interrupt__" in chunk
    told = chunk.get("payload", chunk)  # tasks, checkpoints, or either of them in debug
    return bool(told.get("interrupts")) or any(task.get("interrupts") for task in told.get("tasks") or ())


def thread_id_of(snapshot: StateSnapshot) -> str:
    """The thread of a state."""
    return cast(str, snapshot.config["configurable"]["thread_id"])


def unfinished(snapshot: StateSnapshot) -> bool:
    """Whether a run is under way, paused or cut off.

    A process that is killed between a step's writes and the checkpoint after it leaves a state whose ``next`` is empty
    although more is to come: its tasks are there and have results.
    """
    return bool(snapshot.tasks)


def waiting_of(snapshot: StateSnapshot) -> list[tuple[str, Review]]:
    """(interrupt id, review) of every pause of a state."""
    return [
        (interrupt.id, interrupt.value["review"])
        for task in snapshot.tasks
        for interrupt in task.interrupts
        if isinstance(interrupt.value, dict) and "review" in interrupt.value
    ]
