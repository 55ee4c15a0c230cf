"""What a workspace does with reviews: listed, shown, claimed, decided, taken back."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from langgraph.types import StateSnapshot

from dojang.conversations import Conversations, line_of
from dojang.due import escalate
from dojang.flags import Flag, flags_of
from dojang.results import DecisionResult, ReviewCard, ReviewStatus
from dojang.runs import waiting_of
from dojang.snoozes import SharedSnoozes, Snoozes
from dojang.speaking import is_promotion
from dojang.watching import OnNode
from nodes.door import Expired, NotEntitled, VoteCounted, Who, rule
from nodes.gate import LOOK_IT_UP
from nodes.wire import StaleDecision, by_review
from state import (
    Assignment,
    Claim,
    Decision,
    DecisionType,
    DojangError,
    Kind,
    Passage,
    Progress,
    Review,
    UserError,
    person_of,
    untouched,
)

if TYPE_CHECKING:
    from adapters.gate.report import Report
    from checkpoints.index import Listed
    from checkpoints.wanted import Key, Wanted
    from tools.toolbox import Toolbox

BUTTON_UNDO_S = 5.0
"""How long a decision from a button can be taken back where the settings do not say."""
BY_HAND = ("console", "bulk", "notebook")
"""Channels on which a person presses a button, and may have pressed the wrong one."""
LISTED = 100
"""Ids that a record of a list names; the digest is of all."""


class UnknownReview(UserError):
    """There is no review with this id."""


class Reviews(Conversations):
    """The reviews of one home; deciding one goes on with its thread's run."""

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
            conversation=[line_of(m) for m in snapshot.values.get("messages") or []],
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
        thread_id = self._thread_of(review_id)
        stored, note = self.record(review_id, decision, by=by, role=role, channel=channel, thread_id=thread_id)
        actor = self._actor(decision, by)
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
        thread_id: str | None = None,
    ) -> tuple[Decision, str]:
        """Record a decision, durable on return, without going on with the run; for the rest see :meth:`decide`.

        ``thread_id``: where the review is, for whoever has just seen it there; else the index is asked.

        Returns:
            The decision or vote as the record has it, and what it still waits for; "" where the run may go on.
        """
        thread_id = thread_id or self._thread_of(review_id)
        snapshot, review = self._find(thread_id, review_id)
        raw: object = {"type": decision} if isinstance(decision, str) else decision
        actor = self._actor(decision, by)
        deps = self._prepare(snapshot)
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
        beside = self.parts.sessions.beside
        return Snoozes(self.settings.home / "snoozed") if beside is None else SharedSnoozes(beside)

    def look_up(self, review_id: str, *, by: str | None = None, on_node: OnNode | None = None) -> DecisionResult:
        """Let the tool say whether an effect in doubt happened; where it cannot tell, another review opens."""
        return self.decide(review_id, {"type": "answer", "message": LOOK_IT_UP}, by=by, on_node=on_node)

    # -- inside ---------------------------------------------------------------------------------------------------

    def _thread_of(self, review_id: str) -> str:
        """Where a review is. It stays there, so an index that lags behind is right as long as it knows the review."""
        index = self.parts.index
        thread_id = index.locate(review_id)
        if thread_id is None or not self.parts.saver.has(thread_id):
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
        hold_s = wait if wait is not None else (BUTTON_UNDO_S if channel in BY_HAND else 0.0)
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
