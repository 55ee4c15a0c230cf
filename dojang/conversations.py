"""What a workspace does with conversations: asked, gone on with, stopped, looked at, copied, deleted."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AnyMessage, HumanMessage
from langgraph.types import StateSnapshot

from dojang.acting import Acting
from dojang.attachments import Given, Limits, given_of, looked_at, with_files
from dojang.going_back import check_copied
from dojang.results import RunResult, Step
from dojang.runs import kept_adapter, unfinished, waiting_of
from dojang.speaking import PROGRAM
from dojang.watching import OnNode
from nodes.ports import Deps
from state import AttachedFile, Conflict, UserError, files_of

if TYPE_CHECKING:
    from checkpoints import ThreadRow
    from checkpoints.index import Status as ThreadStatus
    from dojang.pausing import Pause

OnStart = Callable[[str], None]
"""Called with the thread's id before its run begins, so that whoever is cut off knows what to resume."""


class Conversations(Acting):
    """The threads of one home, and their runs."""

    # -- asking ---------------------------------------------------------------------------------------------------

    def ask(
        self,
        text: str,
        *,
        thread_id: str | None = None,
        files: Sequence[Path | Given] = (),
        on_node: OnNode | None = None,
        on_start: OnStart | None = None,
    ) -> RunResult:
        """Send a message on a new thread, or on ``thread_id``; ``files``: images and PDFs, as paths or (name, bytes).

        Raises:
            UnknownThread: no such thread.
            Conflict: the thread waits for a decision, or a run on it was cut off, or another run holds it.
            UserError: the text is empty, or a file is not taken.
        """
        if not text.strip():
            raise UserError("the message is empty; write a question or a request")
        given = self._given(files)
        looked_at(given, Limits.of(self.settings))
        if thread_id is not None:
            self.check_ready(thread_id)
        thread = thread_id or f"th_{secrets.token_hex(5)}"
        self._prepare(self._runs.look(thread))
        if on_start is not None:
            on_start(thread)
        message = HumanMessage(content=text, id=f"human-{secrets.token_hex(8)}", name=self.user)
        message = with_files(message, self.attach(thread, given))
        run = self._runs.start(thread, {"messages": [message]}, on_node, guard=thread_id is not None)
        return self._shown(run, self.user)

    def attach(self, thread_id: str, files: Sequence[Given]) -> list[AttachedFile]:
        """Keep files of a message that is about to be sent, durable on return; what its message says of them.

        Raises:
            UserError: one of them is not taken; none is kept then.
        """
        found = looked_at(files, Limits.of(self.settings))
        for _, data in files:
            self.parts.attachment_log.put(thread_id, data, by=self.user)
        return found

    def _given(self, files: Sequence[Path | Given]) -> list[Given]:
        limits = Limits.of(self.settings)
        return [one for file in files for one in (given_of([file], limits) if isinstance(file, Path) else [file])]

    def send(
        self,
        thread_id: str,
        message: HumanMessage,
        *,
        filters: dict[str, str] | None = None,
        on_node: OnNode | None = None,
    ) -> RunResult:
        """Run a message that has its id, and its author's name, on a thread of this id, which may be new.

        Raises:
            Conflict, UserError: as :meth:`ask`.
        """
        snapshot = self._runs.look(thread_id)
        begun = snapshot.created_at is not None
        if begun:
            self.check_ready(thread_id, snapshot)
        self._prepare(snapshot)
        given: dict[str, Any] = {"messages": [message]} | ({"filters": filters} if filters is not None else {})
        return self._shown(self._runs.start(thread_id, given, on_node, guard=begun), message.name or "")

    def check_ready(self, thread_id: str, snapshot: StateSnapshot | None = None) -> None:
        """Raise where a new message would be refused now: Conflict, or UserError where no model speaks there.

        ``snapshot``: the thread's state, for whoever has just looked at it.
        """
        snapshot = snapshot or self._runs.state(thread_id)
        self._runs.ready_for_input(snapshot)
        if (kept_adapter(snapshot) or "").startswith(PROGRAM):
            raise UserError(f"no model speaks in conversation {thread_id}: a program began it; ask in another one")

    def begin_program(
        self, program: str, message: HumanMessage, *, on_node: OnNode | None = None, thread_id: str = ""
    ) -> RunResult:
        """A thread of its own for a program instead of a model; see ``dojang.speaking``.

        ``thread_id``: a new one that looks like any other, and whose review nobody is shown yet.
        """
        thread = thread_id or f"{program.partition(':')[2]}_{secrets.token_hex(5)}"
        run = self._runs.start(thread, {"messages": [message]}, on_node, adapter=program)
        return run if thread_id else self._shown(run, self.user)

    def resume(self, thread_id: str, *, by: str | None = None, on_node: OnNode | None = None) -> RunResult:
        """Go on with a thread: release decisions that were recorded, or finish a run that was cut off.

        A thread that only waits for people, or is done, is returned as it stands. ``by``: who is shown what waits.
        """
        return self._shown(self._runs.release(thread_id, on_node), by or self.user)

    # -- all runs -------------------------------------------------------------------------------------------------

    @property
    def paused(self) -> Pause | None:
        """Who stopped all runs, when and why; None where they go."""
        return self.parts.switch.state()

    def pause_all(self, why: str, *, by: str | None = None) -> Pause:
        """Stop all runs of this home between two steps, and let none begin; UserError, Conflict."""
        who = by or self.user
        pause = self.parts.switch.press(who, why, self.parts.clock.now())
        self.parts.audit.note(None, "runs.paused", who, "runs", {"why": pause.why})
        return pause

    def go_on_all(self, *, by: str | None = None) -> Pause:
        """Let all runs go on as they were; the pause that is over. Conflict where there is none."""
        pause = self.paused
        if pause is None:
            raise Conflict("no run is paused; nothing was changed")
        self.parts.audit.note(None, "runs.resumed", by or self.user, "runs", {"paused_by": pause.by, "at": pause.at})
        self.parts.switch.let_go()
        return pause

    # -- threads --------------------------------------------------------------------------------------------------

    def threads(
        self,
        *,
        limit: int = 50,
        offset: int = 0,
        owner: str | None = None,
        status: ThreadStatus | None = None,
        text: str = "",
    ) -> list[ThreadRow]:
        """Threads, newest first; with ``owner``, those in which this person asked first; ``text``: of the title."""
        self.parts.index.refresh()
        return self.parts.index.threads(limit=limit, offset=offset, owner=owner, status=status, text=text)

    def owner(self, thread_id: str) -> str:
        """Who asked first in a thread; "" where nobody has yet, or there is no such thread."""
        self.parts.index.refresh(thread_id)
        return self.parts.index.owner(thread_id)

    def thread(self, thread_id: str, *, seen: StateSnapshot | None = None) -> RunResult:
        """Where a thread stands, without running it. ``seen``: its state, where the caller has it already."""
        snapshot = self._runs.state(thread_id) if seen is None else seen
        self._runs.audit(snapshot)
        return self._shown(self._runs.result(snapshot), self.user)

    def look(self, thread_id: str) -> StateSnapshot:
        """The newest state of a thread as LangGraph has it; an empty one where nothing was asked yet."""
        return self._runs.look(thread_id)

    def state(self, thread_id: str) -> StateSnapshot:
        """As :meth:`look`; UnknownThread where there is none."""
        return self._runs.state(thread_id)

    def begun(self, thread_id: str) -> bool:
        """Whether anything was asked in a thread yet."""
        return self.parts.saver.has(thread_id)

    def delete_thread(self, thread_id: str, *, by: str | None = None) -> None:
        """Delete a session with all of its files; the audit keeps that, and who did it.

        Raises:
            Conflict: somebody runs it, it waits for a person, or a run on it was cut off.
        """
        with self.parts.run_lock(thread_id):
            snapshot = self._runs.look(thread_id)
            if unfinished(snapshot):
                waiting = ", ".join(review["id"] for _, review in waiting_of(snapshot)) or "a run that was cut off"
                raise Conflict(f"thread {thread_id} is not over: {waiting}; decide it, or let it end, before deleting")
            self.parts.audit.deleted(thread_id, by or self.user)
            self.parts.saver.delete_thread(thread_id)

    def copy_thread(self, source: str, target: str, *, by: str | None = None) -> None:
        """Copy what was said in a session into a new one; its reviews and effects stay where they are.

        Conflict while somebody is being asked in it: what waits can be decided in the original only.
        """
        with self.parts.run_lock(source):
            check_copied(source, self._runs.look(source), "as it is now")
            self.parts.audit.copied(source, target, by or self.user)
            self.parts.attachment_log.copy(source, target)
            self.parts.saver.copy_thread(source, target)

    def conversation(self, thread_id: str) -> list[dict[str, str]]:
        """The messages of a thread as ``{"role", "text"}``, oldest first."""
        return [line_of(m) for m in self._runs.state(thread_id).values.get("messages") or []]

    def history(self, thread_id: str, *, limit: int | None = None) -> list[Step]:
        """The checkpoints of a thread, newest first."""
        self._runs.state(thread_id)
        snapshots = list(self.parts.reader.get_state_history(self._runs.config(thread_id), limit=limit))
        older: list[StateSnapshot | None] = [*snapshots[1:], None]
        return [_step(now, before) for now, before in zip(snapshots, older, strict=True)]

    def folder(self, thread_id: str) -> Path:
        """The folder that is this session: copy it, and you have moved the session."""
        self._runs.state(thread_id)
        return self.parts.folders.path(thread_id)

    def keep_out(self, thread_id: str, *, out: bool = True) -> bool:
        """Keep a thread out of training, or let it in again; whether that changed anything."""
        self._runs.state(thread_id)
        return self.parts.prompts.keep_out(thread_id, out, self.user, self.parts.clock.now())

    # -- inside ---------------------------------------------------------------------------------------------------

    def _shown(self, run: RunResult, actor: str) -> RunResult:
        """A run that somebody is given, with its open reviews: that they were shown them is noted first."""
        for review in run.reviews:
            facts: dict[str, Any] = {"status": "open", "digest": review["digest"]}
            self.parts.audit.note(run.thread_id, "review.shown", actor, review["id"], facts)
        return run

    def _prepare(self, snapshot: StateSnapshot) -> Deps:
        """Build what a run needs before anything is written: a missing model must leave no empty session behind."""
        return self._runs.deps(snapshot)


def line_of(message: AnyMessage) -> dict[str, str]:
    """A message as ``{"role", "text"}``; of one that only calls, the calls."""
    role = {"human": "user", "ai": "assistant", "tool": "tool"}.get(message.type, message.type)
    text = " ".join([str(message.text), *(f"[{file['name']}]" for file in files_of(message))])
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
        review_ids=[review["id"] for _, review in waiting_of(now)],
        spent=list(now.values.get("spent") or []),
    )
