"""The workspace: what a person, a page or a notebook can do with threads, reviews and documents.

It wires nothing itself (``parts.py`` does) and prints nothing. Every method either does all of what it says or raises
a DojangError and leaves things as they were.
"""

from __future__ import annotations

import contextlib
import copy
import secrets
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

from langchain_core.messages import AnyMessage, HumanMessage
from langgraph.types import StateSnapshot

from dojang.due import Done, do_due, escalate
from dojang.flags import Flag, flags_of
from dojang.origin import check_origin
from dojang.parts import Parts
from dojang.results import DecisionResult, ReviewCard, ReviewStatus, RunResult, Step
from dojang.runs import Runs, UnknownThread, kept_adapter, unfinished, waiting_of
from dojang.settings import Settings, load_settings
from dojang.snoozes import Snoozes
from dojang.speaking import PROGRAM, Speaking, is_promotion
from dojang.watching import OnNode
from nodes.door import Expired, NotEntitled, VoteCounted, Who, rule
from nodes.gate import LOOK_IT_UP
from nodes.ports import Deps
from nodes.wire import StaleDecision, by_review
from state import (
    Assignment,
    Claim,
    Conflict,
    Decision,
    DecisionType,
    DojangError,
    Kind,
    Passage,
    Progress,
    Review,
    Trust,
    UserError,
    person_of,
    untouched,
)

if TYPE_CHECKING:
    from adapters.gate.report import Report
    from checkpoints import ThreadRow
    from checkpoints.index import Listed
    from checkpoints.index import Status as ThreadStatus
    from checkpoints.wanted import Key, Wanted
    from dojang.cited import CitedBy
    from dojang.pausing import Pause
    from store import DocumentRow, DocumentStore, IngestReport
    from store.ingesting.corrections import Version
    from store.ingesting.reindexing import ReindexReport
    from tools.toolbox import Toolbox

CONSOLE_UNDO_S = 5.0
"""How long a decision from the console can be taken back where the settings do not say."""
BY_HAND = ("console", "bulk")
"""Channels on which a person presses a button, and may have pressed the wrong one."""
LISTED = 100
"""Ids that a record of a list names; the digest is of all."""
OnStart = Callable[[str], None]
"""Called with the thread's id before its run begins, so that whoever is cut off knows what to resume."""


class UnknownReview(UserError):
    """There is no review with this id."""


class Workspace:
    """All of Dojang over one ``DOJANG_HOME``. Use it as a context manager; parts start when they are first needed."""

    def __init__(self, settings: Settings | None = None, *, parts: Parts | None = None) -> None:
        check_origin()
        self.settings = settings or load_settings()
        self.parts = parts or Parts(self.settings)
        self.user = self.settings.user
        self.roles: tuple[str, ...] | None = None if self.settings.roles is None else tuple(self.settings.roles)
        self._proven, self._decides = False, True
        self.speaking = Speaking(self.parts)
        self._runs = Runs(self.parts, self.speaking)
        self._listed: dict[str, list[str]] = {}

    def acting(self, user: str, roles: Sequence[str], *, decides: bool = True) -> Workspace:
        """The same workspace for somebody who has shown who they are: what they ask, see and decide is theirs.

        Nothing done through it bears another name, whatever a decision says of itself. Closing stays with this one.
        ``decides``: whether they have a say in reviews at all, in whatever form it comes.
        """
        acting = copy.copy(self)
        acting._decides = decides
        acting.user, acting.roles, acting._proven = user, tuple(roles), True
        acting._runs = self._runs.acting(user)
        return acting

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give back connections and the embedded server's lease."""
        self.parts.close()

    def check_policy(self) -> None:
        """Read the rules now: a server with rules that it cannot read does not start; tools.rules.BrokenPolicy."""
        assert self.parts.policy.version

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
            self.check_ready(thread_id)
        thread = thread_id or f"th_{secrets.token_hex(5)}"
        self._prepare(thread)
        if on_start is not None:
            on_start(thread)
        message = HumanMessage(content=text, id=f"human-{secrets.token_hex(8)}", name=self.user)
        run = self._runs.start(thread, {"messages": [message]}, on_node, guard=thread_id is not None)
        return self._shown(run, self.user)

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
            self.check_ready(thread_id)
        self._prepare(thread_id)
        given: dict[str, Any] = {"messages": [message]} | ({"filters": filters} if filters is not None else {})
        return self._shown(self._runs.start(thread_id, given, on_node, guard=begun), message.name or "")

    def check_ready(self, thread_id: str, *, seen: StateSnapshot | None = None) -> None:
        """Raise where a new message would be refused now: Conflict, or UserError where no model speaks there.

        ``seen``: the thread's state, from :meth:`look`, where the caller has it.
        """
        snapshot = self._runs.state(thread_id) if seen is None else seen
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

    # -- reviews --------------------------------------------------------------------------------------------------

    def inbox(self, *, kind: Kind | None = None, limit: int = 100, offset: int = 0) -> list[Review]:
        """Open reviews, soonest deadline first. Of those whose time is half over that is recorded, and told."""
        index = self.parts.index
        index.refresh()
        found = index.reviews(kind=kind, limit=limit, offset=offset)
        escalate(self.parts, found)
        self.note_listing([review["id"] for review in found])
        return found

    def review(self, review_id: str) -> Review:
        """A review, open or decided; UnknownReview where there is none."""
        return self._reviewed(review_id)

    def own_decision(self, review_id: str) -> Decision | None:
        """The decision on a review, or the vote for it, where it is this workspace's user's."""
        progress = self.parts.decisions.progress(self._thread_of(review_id)).get(review_id) or untouched()
        said = [*progress["votes"], *([progress["decision"]] if progress["decision"] is not None else [])]
        return next((one for one in reversed(said) if person_of(one["by"]) == person_of(self.user)), None)

    def found(self, wanted: Wanted, *, limit: int, after: Key | None = None) -> list[Listed]:
        """Reviews as asked for, from the index alone, with their progress; open ones as :meth:`inbox` tells of them."""
        self.parts.index.refresh()
        found = self.parts.index.find(wanted, limit=limit, after=after)
        escalate(self.parts, [one["review"] for one in found if _untold(one, self.parts.clock.now())])
        self.note_listing([one["review"]["id"] for one in found])
        return found

    def progress(self, reviews: Sequence[Review]) -> dict[str, Progress]:
        """How far each of these reviews has got: votes, claim, escalation, decision."""
        threads = {review["thread_id"] for review in reviews}
        known = {thread_id: self.parts.decisions.progress(thread_id) for thread_id in threads}
        return {r["id"]: known[r["thread_id"]].get(r["id"]) or untouched() for r in reviews}

    def flags(self, reviews: Sequence[Review]) -> dict[str, list[Flag]]:
        """What makes each of these reviews one to look at twice."""
        progress, now = self.progress(reviews), self.parts.clock.now()
        return {r["id"]: flags_of(r, progress[r["id"]], now) for r in reviews}

    def show(self, review_id: str) -> ReviewCard:
        """Everything about one review, open or decided."""
        thread_id = self._thread_of(review_id)
        snapshot, review = self._find(thread_id, review_id)
        progress = self.parts.decisions.progress(thread_id).get(review_id)
        released = review_id in (snapshot.values.get("decisions") or {})
        passages, note = self._evidence(review)
        report, unread = self._report(review)
        status = _status(progress, released, _asked_again(snapshot, review), self.parts.clock.now())
        self._runs.audit(snapshot)
        seen: dict[str, Any] = {"status": status, "digest": review["digest"]}
        self.parts.audit.note(thread_id, "review.shown", self.user, review_id, seen)
        return ReviewCard(
            review=review,
            status=status,
            decision=progress["decision"] if progress is not None else None,
            conversation=[_line(m) for m in snapshot.values.get("messages") or []],
            passages=passages,
            note=" ".join(part for part in (note, unread) if part),
            report=report,
            progress=progress or untouched(),
            flags=flags_of(review, progress or untouched(), self.parts.clock.now()),
        )

    def decide(
        self,
        review_id: str,
        decision: DecisionType | dict[str, Any],
        *,
        by: str | None = None,
        role: str = "",
        channel: str = "python",
        on_node: OnNode | None = None,
    ) -> DecisionResult:
        """Record a decision (compare-and-set, durable), then resume the run with it, once nobody can take it back.

        Where a review wants several people, an approval is a vote, and the run goes on with the last one.

        Args:
            review_id: which review; unknown and stale ids are refused before anything is written.
            decision: a type such as ``"approve"``, or any wire form that ``nodes.door`` reads.
            by: who decides; this workspace's user when None.
            role: in which role, where the settings do not say it or say several.
            channel: where it was said: cli, console, http, notebook, python.
            on_node: progress.

        Raises:
            UnknownReview, Conflict (somebody else was first or has claimed it), UserError (not allowed, bad edit).
        """
        stored, note = self.record(review_id, decision, by=by, role=role, channel=channel)
        thread_id, actor = self._thread_of(review_id), self._actor(decision, by)
        if note:
            run = self._runs.result(self._runs.state(thread_id), note=note)
            return DecisionResult(decision=stored, run=self._shown(run, actor))
        return DecisionResult(decision=stored, run=self._shown(self._runs.release_or_tell(thread_id, on_node), actor))

    def record(
        self,
        review_id: str,
        decision: DecisionType | dict[str, Any],
        *,
        by: str | None = None,
        role: str = "",
        channel: str = "python",
    ) -> tuple[Decision, str]:
        """Record a decision, durable on return, without going on with the run; for the rest see :meth:`decide`.

        Returns:
            The decision or vote as the record has it, and what it still waits for; "" where the run may go on.
        """
        thread_id = self._thread_of(review_id)
        _, review = self._find(thread_id, review_id)
        raw: object = {"type": decision} if isinstance(decision, str) else decision
        actor = self._actor(decision, by)
        deps = self._prepare(thread_id)
        try:
            who = self._who(actor, role, channel)
            return rule(review, raw, deps, who), ""  # the record notes who lost to whom
        except VoteCounted as counted:
            return counted.vote, str(counted)
        except (StaleDecision, Expired, NotEntitled) as refused:
            why = {"why": type(refused).__name__, "channel": channel}
            self.parts.audit.note(thread_id, "decision.refused", actor, review_id, why)
            raise

    def _actor(self, decision: object, by: str | None) -> str:
        """Who decides: whom the caller names, else whom the decision names, else this workspace's user.

        Raises:
            NotEntitled: they have no say in reviews, or claim to be somebody else than they have shown to be.
        """
        if not self._decides:
            raise NotEntitled(f"{self.user} has no role that decides reviews; nothing was recorded")
        named = decision.get("by") if isinstance(decision, dict) else None
        said = [name for name in (by, named) if isinstance(name, str) and name]
        for claimed in said if self._proven else []:
            if person_of(claimed) != person_of(self.user):
                raise NotEntitled(
                    f"{self.user} decides under their own name only, not as {claimed!r}; nothing was recorded"
                )
        return self.user if self._proven else (said or [self.user])[0]

    def _shown(self, run: RunResult, actor: str) -> RunResult:
        """A run that somebody is given, with its open reviews: that they were shown them is noted first."""
        for review in run.reviews:
            facts: dict[str, Any] = {"status": "open", "digest": review["digest"]}
            self.parts.audit.note(run.thread_id, "review.shown", actor, review["id"], facts)
        return run

    def toolbox_of(self, review: Review) -> Toolbox:
        """The tools of the thread that a review belongs to, for forms that are filled in about it."""
        return self._promotions if is_promotion(review) else self.parts.toolbox

    def describer(self, review: Review) -> Toolbox:
        """The tools as far as they say what the call of a review does: lists and cards need no database for that."""
        return self._promotions if is_promotion(review) else self.parts.describer()

    @cached_property
    def _promotions(self) -> Toolbox:
        from dojang.flywheel.promoting import describing

        return describing(self.settings)

    def answer(self, thread_id: str, raw: object, **how: Any) -> list[DecisionResult]:
        """Decide what a thread waits for, in any wire form that names it: see :func:`nodes.wire.by_review`.

        ``how``: as for :meth:`decide`. The whole of ``raw`` is matched with the reviews before the first is decided.
        """
        still = self.waiting(thread_id)
        return [self.decide(review["id"], cast(Any, said), **how) for review, said in by_review(still, raw)]

    def waiting(self, thread_id: str) -> list[tuple[str, Review]]:
        """(interrupt id, review) of what a thread waits for and nobody has decided."""
        recorded = self.parts.decisions.of(thread_id)
        return [
            (interrupt_id, review)
            for interrupt_id, review in waiting_of(self._runs.look(thread_id))
            if review["id"] not in recorded
        ]

    def undo(self, review_id: str, *, by: str | None = None) -> Decision:
        """Take back what this person said of a review, as long as nothing has been released; what counts no more.

        Raises:
            UnknownReview, UserError (this person said nothing), Conflict (released, or somebody else's).
        """
        thread_id = self._thread_of(review_id)
        return self.parts.decisions.undo(thread_id, review_id, by or self.user, self.parts.clock.now())

    def claim(self, review_id: str, *, by: str | None = None) -> Claim:
        """Reserve a review for ten minutes; Conflict where somebody else has it, or it is decided."""
        review = self._reviewed(review_id)
        return self.parts.decisions.claim(review["thread_id"], review_id, by or self.user, self.parts.clock.now())

    def give_back(self, review_id: str, *, by: str | None = None) -> None:
        """End a claim of one's own before its time."""
        thread_id = self._thread_of(review_id)
        self.parts.decisions.unclaim(thread_id, review_id, by or self.user, self.parts.clock.now())

    def hand_up(self, review_id: str, role: str, *, by: str | None = None) -> bool:
        """Record that a review is for a role to look at, and tell the hook; whether that was news.

        Who may decide stays what the rules say.

        Raises:
            UserError (no such role), Conflict (decided, or claimed by somebody else).
        """
        review, at = self._reviewed(review_id), self.parts.clock.now()
        if role not in (above := self.roles_above()):
            known = ", ".join(above)
            raise UserError(f"there is no role {role!r} to hand reviews up to; there are: {known}")
        said = Assignment(role=role, by=by or self.user, at=at.isoformat())
        fresh = self.parts.decisions.assign(review["thread_id"], review_id, said)
        if fresh:
            facts: dict[str, Any] = {"review_id": review_id, "summary": review["summary"], **said}
            self.parts.notice.put(review["thread_id"], f"{review_id}:assigned:{said['at']}", "review.assigned", facts)
            self.parts.notice.send()
        return fresh

    def roles_above(self) -> list[str]:
        """The roles to which a review can be handed up: those that a rule names, and the manager."""
        return sorted({"manager", *(role for one in self.parts.policy.rules for role in one.roles)})

    def put_off(self, review_id: str, for_s: float, *, by: str | None = None) -> datetime:
        """Leave a review out of one's lists for a while; when it is back. UserError where it is due too soon."""
        now = self.parts.clock.now()
        review = self._reviewed(review_id)
        return self.snoozes.put_off(by or self.user, review, now + timedelta(seconds=for_s), now)

    def put_back(self, review_id: str, *, by: str | None = None) -> None:
        """Show a review in one's lists again."""
        self.snoozes.take_back(by or self.user, review_id, self.parts.clock.now())

    @property
    def snoozes(self) -> Snoozes:
        """What people have put off."""
        return Snoozes(self.settings.home / "snoozed")

    def look_up(self, review_id: str, *, by: str | None = None, on_node: OnNode | None = None) -> DecisionResult:
        """Let the tool say whether an effect in doubt happened; where it cannot tell, another review opens."""
        return self.decide(review_id, {"type": "answer", "message": LOOK_IT_UP}, by=by, on_node=on_node)

    def do_due(self) -> Done:
        """Escalate, expire and release whatever is due; see :mod:`dojang.due`."""
        return do_due(self)

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
        """Copy what was said in a session into a new one; its reviews and effects stay where they are."""
        with self.parts.run_lock(source):
            self.parts.saver.copy_thread(source, target)
            self.parts.audit.copied(source, target, by or self.user)

    def conversation(self, thread_id: str) -> list[dict[str, str]]:
        """The messages of a thread as ``{"role", "text"}``, oldest first."""
        return [_line(m) for m in self._runs.state(thread_id).values.get("messages") or []]

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

    # -- documents ------------------------------------------------------------------------------------------------

    def ingest(
        self,
        paths: Sequence[Path],
        *,
        trust: Trust = "trusted",
        on_progress: Callable[[str, int, int], None] | None = None,
        on_work: Callable[[Any, int], None] | None = None,
    ) -> IngestReport:
        """Read files (folders are walked) into passages; files that cannot be read are reported, the rest goes in."""
        return self.parts.store.ingest(paths, on_progress, trust, on_work=on_work)

    def delete(self, document: str) -> None:
        """Take a document out, which is noted first. UserError when there is no such one."""
        if any(row["name"] == document for row in self.documents()):
            self.parts.audit.note(None, "document.deleted", self.user, document)
        self.parts.store.delete(document)

    def reindex(
        self, documents: Sequence[str] = (), *, on_progress: Callable[[str, int, int], None] | None = None
    ) -> ReindexReport:
        """Cut and index documents again with today's code, all where none is named."""
        return self._kept().reindex(documents, on_progress)

    def set_trust(self, document: str, trust: Trust, *, reason: str, by: str | None = None) -> None:
        """What a person says of a document's trust, until its content changes."""
        self._kept().set_trust(document, trust, author=by or self.user, reason=reason)

    def correct(self, passage: str, text: str, *, reason: str, by: str | None = None) -> Passage:
        """A new version of a passage. UserError, or Conflict where somebody was first."""
        return self.parts.store.correct(passage, text, author=by or self.user, reason=reason)

    def undo_correction(self, passage: str, *, reason: str = "", by: str | None = None) -> Passage:
        """Back to the text before, as a new version."""
        return self._kept().undo_correction(passage, author=by or self.user, reason=reason)

    def versions(self, passage: str) -> list[Version]:
        """As :meth:`passage_history`, and [] where documents have no history (Qdrant)."""
        return self.passage_history(passage) if self.settings.store == "postgres" else []

    def document_history(self, document: str) -> list[Version]:
        """What people corrected in a document, oldest first; [] where documents have no history."""
        return self._kept().corrections_of(document) if self.settings.store == "postgres" else []

    def passages_of(self, document: str, *, after: tuple[int, str] = (-1, ""), limit: int = 100) -> list[Passage]:
        """The current passages of a document, in their order. UnknownDocument; UserError in Qdrant."""
        return self._kept().passages_of(document, after=after, limit=limit)

    def passage_history(self, passage: str) -> list[Version]:
        """The versions of a passage, oldest first; [] where it was never corrected."""
        return self._kept().history(passage)

    def set_aside(self) -> list[Version]:
        """Corrections that no longer fit their document and that nobody has settled."""
        return self._kept().set_aside()

    def settle(self, number: int, *, reason: str = "", by: str | None = None) -> None:
        """Note that a person looked at a correction that was set aside."""
        self._kept().settle(number, author=by or self.user, reason=reason)

    def cited(self, passage: str) -> list[CitedBy]:
        """The answers that cited this passage, in any of its versions, by thread."""
        chain = self._kept().history(passage) if self.settings.store == "postgres" else []
        ids = [one["replaced"] for one in chain] + [one["passage"] for one in chain if one["passage"]]
        return self.parts.cited.of([passage, *ids])

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

    def _kept(self) -> DocumentStore:
        """The documents where they have a history. UserError where they lie in Qdrant."""
        from store import DocumentStore

        store = self.parts.store
        if not isinstance(store, DocumentStore):
            raise UserError("documents in Qdrant have no history: this needs DOJANG_STORE=postgres")
        return store

    def _thread_of(self, review_id: str) -> str:
        index = self.parts.index
        index.refresh()
        thread_id = index.locate(review_id)
        if thread_id is None:
            raise UnknownReview(f"there is no review {review_id!r}; `dojang inbox` lists those that are open")
        return thread_id

    def _find(self, thread_id: str, review_id: str) -> tuple[StateSnapshot, Review]:
        """The newest state that knows the review: the thread's own, or an older turn's."""
        with contextlib.closing(cast(Any, self._runs.states(thread_id))) as states:
            for snapshot in states:
                found = (snapshot.values.get("reviews") or {}).get(review_id)
                if found is not None:
                    return snapshot, cast(Review, found)
        raise UnknownReview(f"review {review_id!r} is not in thread {thread_id!r} any more")

    def _reviewed(self, review_id: str) -> Review:
        return self._find(self._thread_of(review_id), review_id)[1]

    def note_listing(self, ids: list[str]) -> None:
        """Who saw which reviews in a list: noted when the list is another one than this workspace gave out last."""
        if ids and ids != self._listed.get(self.user):
            facts: dict[str, Any] = {"count": len(ids), "ids": ids[:LISTED]}
            self.parts.audit.note(None, "inbox.listed", self.user, "inbox", facts, cast(Any, ids))
            self._listed[self.user] = ids

    def _who(self, by: str, role: str, channel: str) -> Who:
        roles = self.roles
        if role and roles is not None and role not in roles:
            have = ", ".join(roles) or "none"
            raise NotEntitled(f"{by} does not have the role {role!r}; the roles are: {have}")
        wait = self.settings.undo_s
        hold_s = wait if wait is not None else (CONSOLE_UNDO_S if channel in BY_HAND else 0.0)
        return Who(by=by, channel=channel, roles=roles, role=role, hold_s=hold_s)

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

    def _report(self, review: Review) -> tuple[Report | None, str]:
        """What a promotion rests on, or why it cannot be shown."""
        if not is_promotion(review):
            return None, ""
        from dojang.flywheel.promoting import report_of

        try:
            return report_of(self.settings, review), ""
        except DojangError as error:
            return None, f"the report cannot be shown: {error}"

    def _prepare(self, thread_id: str) -> Deps:
        """Build what a run needs before anything is written: a missing model must leave no empty session behind."""
        return self._runs.deps(thread_id)


def _untold(one: Listed, now: datetime) -> bool:
    """Whether half of an open review's time is over and that is not recorded yet."""
    far = one["progress"]
    late = now >= datetime.fromisoformat(one["review"]["escalate_at"])
    return late and far["decision"] is None and not far["escalated_at"]


def _status(progress: Progress | None, released: bool, again: bool, now: datetime) -> ReviewStatus:
    """``again``: another review about the same call came after this one."""
    decision = progress["decision"] if progress is not None else None
    if progress is None or decision is None:
        claim = progress["claim"] if progress is not None else None
        return "claimed" if claim is not None and now < datetime.fromisoformat(claim["until"]) else "open"
    if not released:
        return "recorded"
    if decision["type"] == "expire":
        return "expired"
    return "superseded" if again else "decided"


def _asked_again(snapshot: StateSnapshot, review: Review) -> bool:
    about = [r for r in (snapshot.values.get("reviews") or {}).values() if _base(r) == _base(review)]
    return bool(about[-1]["id"] != review["id"])


def _base(review: Any) -> str:
    return str(review["subject"]).split("#")[0]


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
        review_ids=[review["id"] for _, review in waiting_of(now)],
        spent=list(now.values.get("spent") or []),
    )


__all__ = ["Decision", "OnNode", "UnknownReview", "UnknownThread", "Workspace"]
