"""What is due: reviews of which half the time is over, reviews whose time is over, decisions nobody can take back now.

Nothing here is needed for a promise to hold: a deadline decides when somebody comes too late, and a decision is
released by the next `resume`. This makes it happen while nobody looks: `dojang due`, and the server now and then.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from adapters.errors import AdapterNotUsable
from adapters.registry.folders import DamagedAdapter
from dojang.going_back import config_of
from dojang.pausing import Halted
from dojang.runs import UnknownThread, releasable, waiting_of
from dojang.watching import OnNode, Stopped
from nodes.door import expiry_of
from state import Conflict, Review

if TYPE_CHECKING:
    from checkpoints import ThreadRow
    from dojang.parts import Parts
    from dojang.results import RunResult

_log = logging.getLogger(__name__)
MOST = 10_000
"""Reviews and threads that one look goes through."""


@dataclass(frozen=True)
class Done:
    """What one look did: ids of reviews, and the runs that went on."""

    escalated: list[str] = field(default_factory=list)
    expired: list[str] = field(default_factory=list)
    released: list[str] = field(default_factory=list)
    runs: list[RunResult] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """A dict that ``json.dumps`` takes."""
        return asdict(self)


class Threads(Protocol):
    """What a look needs of a workspace."""

    parts: Parts

    def threads(self, *, limit: int) -> list[ThreadRow]:
        """Threads, newest first."""
        ...

    def resume(self, thread_id: str, *, on_node: OnNode | None = None) -> RunResult:
        """Let a thread go on as far as its decisions allow."""
        ...


def do_due(workspace: Threads, on_node: OnNode | None = None) -> Done:
    """Escalate, expire and release whatever is due. Safe from several processes: each thing happens once.

    A run that ``on_node`` stops is noted, and the next look goes on with it.
    """
    parts = workspace.parts
    now = parts.clock.now()
    parts.index.refresh()
    waiting = parts.index.reviews(limit=MOST)
    escalated = escalate(parts, waiting)
    if parts.switch.state() is not None:  # nothing goes on; what is due then, is due when it does
        return Done(escalated)
    over = [review for review in waiting if expiry_of(review, now) is not None]
    held, stopped = held_over(workspace, now), parts.switch.stopped()
    threads = sorted({*(review["thread_id"] for review in over), *(thread for thread, _ in held), *stopped})
    runs = []
    for thread_id in threads:
        try:
            runs.append(workspace.resume(thread_id, on_node=on_node))
        except UnknownThread:  # it was stopped, and deleted since
            continue
        except Stopped:  # whoever looks is about to end
            for left in threads[threads.index(thread_id) :]:
                if left == thread_id or left in stopped:
                    parts.switch.note(left)
            break
        except Halted:  # somebody has paused all runs meanwhile
            if thread_id in stopped:
                parts.switch.note(thread_id)
        except Conflict:  # another run holds it: the next look finds it again
            continue
        except (AdapterNotUsable, DamagedAdapter) as gone:  # it waits for its adapter; the others do not
            _log.warning("thread %s cannot go on: %s", thread_id, gone)
    parts.notice.send()
    return Done(escalated, [review["id"] for review in over], [review_id for _, review_id in held], runs)


def escalate(parts: Parts, reviews: Sequence[Review]) -> list[str]:
    """Record, once, that half of the time of these reviews is over, and tell the hook; which of them are new.

    Each look puts the notice into the outbox, where it is put once: a crash after the record loses none.
    """
    now = parts.clock.now()
    fresh, late = [], []
    for review in reviews:
        if now < datetime.fromisoformat(review["escalate_at"]) or expiry_of(review, now) is not None:
            continue
        progress = parts.decisions.progress(review["thread_id"]).get(review["id"])
        known = progress is not None and bool(progress["escalated_at"])
        if not known and parts.decisions.escalate(review["thread_id"], review["id"], now):
            fresh.append(review["id"])
            known = True
        if known:
            late.append(review)
    for review in late:
        facts: dict[str, Any] = {"review_id": review["id"], **{key: review[key] for key in _TOLD}}  # type: ignore[literal-required]
        parts.notice.put(review["thread_id"], f"{review['id']}:escalated", "review.escalated", facts)
    if late:
        parts.notice.send()
    return fresh


_TOLD = ("kind", "summary", "tier", "due_at")


def held_over(workspace: Threads, now: datetime) -> list[tuple[str, str]]:
    """(thread, review) of the decisions that nobody can take back any more and nobody has carried out.

    Either their time for taking back is over, or whoever was about to go on with them was killed.
    """
    found = []
    for row in workspace.threads(limit=MOST):
        if row["status"] != "interrupted":
            continue
        progress = workspace.parts.decisions.progress(row["thread_id"])
        ready = [review_id for review_id, far in progress.items() if releasable(far, now)]
        held = [review_id for review_id in ready if not progress[review_id]["released"]]
        if not held and ready and not row["open_reviews"]:  # nothing in it is open, and it still waits
            snapshot = workspace.parts.reader.get_state(config_of(row["thread_id"]))
            held = [review["id"] for _, review in waiting_of(snapshot) if review["id"] in ready]
        found += [(row["thread_id"], review_id) for review_id in held]
    return found
