"""Past threads at their decision points, under another adapter: what it would propose now, and what the rules would do.

Each point is put before production's own compiled graph, rules and settings, in a temporary home: a fresh thread with
the state that the model's turn began with, tools and passages as recorded, the clock set to then. The run goes on until
it waits for a person, answers, or wants a result that nobody recorded. Nothing of the real home is written.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from adapters.dataset.points import NOT_RENDERED, Point
from dojang.flywheel.datasets import sessions_of
from dojang.flywheel.points import points_of
from dojang.flywheel.recorded import NotRecorded, Recorded, Then, results_of
from dojang.runs import waiting_of
from state import JSON, AgentState, BrokenInvariant, DojangError, Outcome, Prompt, UserError

if TYPE_CHECKING:
    from dojang.parts import Parts
    from dojang.settings import Settings

Judged = Literal["same", "better", "worse", "changed", "not_recorded", "failed"]
Rules = Literal["asks", "passes", "refuses", ""]
Progress = Callable[[int, int, str], None]
STATE_GONE: Final = "state_gone"
"""The state that the model's turn began with is not in the session any more (pruned)."""


@dataclass(frozen=True)
class Proposed:
    """What a model came to: a call, a question or words; ``tool`` is "" for the last two, "?" begins a question."""

    tool: str
    args: Mapping[str, JSON]
    text: str = ""

    def same(self, other: Proposed) -> bool:
        """Whether it is the same call, or the same words."""
        words = [" ".join(said.split()) for said in (self.text, other.text)]
        return (self.tool, dict(self.args), words[0]) == (other.tool, dict(other.args), words[1])


@dataclass(frozen=True)
class Replayed:
    """One point: then and now. ``rules``: what they would do with what is proposed now."""

    thread_id: str
    review_id: str
    at: str
    kind: str
    then: Proposed
    decision: str
    by: str
    wanted: Proposed | None
    now: Proposed | None
    rules: Rules
    judged: Judged
    why: str = ""

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self)


@dataclass
class Replay:
    """All points, and those that could not be replayed by reason."""

    points: list[Replayed]
    left_out: Counter[str]
    problems: list[str]

    def summary(self) -> dict[str, Any]:
        """Counts; ``repeated`` of the ``denied`` (rejected or edited) proposals are made again."""
        told = Counter(point.judged for point in self.points)
        denied = [p for p in self.points if p.decision in ("reject", "edit") and p.now is not None]
        again = sum(p.now is not None and p.now.same(p.then) for p in denied)
        return {
            "points": len(self.points), **{name: told[name] for name in _ORDER}, "denied": len(denied),
            "repeated": again, "left_out": dict(sorted(self.left_out.items())),
        }  # fmt: skip


_ORDER: Final = ("same", "better", "worse", "changed", "not_recorded", "failed")


def replay(
    parts: Parts,
    adapter: str,
    *,
    since: datetime | None = None,
    thread_id: str = "",
    on_progress: Progress = lambda done, total, thread: None,
    recorded: Callable[[Settings, Then], Recorded] | None = None,
) -> Replay:
    """What ``adapter`` would propose at the decision points of past threads.

    Args:
        parts: The real home's; read, never written.
        adapter: A folder, or the name at an endpoint.
        since: Only what was decided then or later.
        thread_id: Only this thread.
        on_progress: Points done, points in all, thread.
        recorded: Makes the parts that speak; tests give a scripted model.

    Raises:
        UserError: the adapter or the thread is not there.
        LiveCall: something was about to be done in the world.
    """
    make = recorded or (lambda settings, then: Recorded(settings, then, parts.policy))
    found = Replay([], Counter(), [])
    asked = list(_asked(parts, since, thread_id, found))
    with tempfile.TemporaryDirectory(prefix="dojang-replay-") as folder:
        own = {"home": Path(folder), "sessions": "files"}  # never rows beside production's
        settings = parts.settings.model_copy(update={**own, "adapter": adapter, "notify": ""})
        then = Then()
        with closing(make(settings, then)) as stage:
            for number, one in enumerate(asked, 1):
                then.turn_to(one.prompt, one.results)
                found.points.append(_replayed(stage, one, f"replay-{number}"))
                on_progress(number, len(asked), one.point["thread_id"])
    return found


# ------------------------------------------------------------------------------------------------ what was asked then


@dataclass(frozen=True)
class _Asked:
    """A point that can be put before a model again: the state that its turn began with."""

    point: Point
    state: Mapping[str, Any]
    results: Mapping[str, Outcome]

    @property
    def prompt(self) -> Prompt:
        """What the model had before it."""
        prompt = self.point["prompt"]
        assert prompt is not None
        return prompt


def _asked(parts: Parts, since: datetime | None, thread_id: str, found: Replay) -> Iterator[_Asked]:
    sessions = replace(sessions_of(parts), cache=None)  # the cache lies in the real home
    names = list(parts.backend.threads())
    if thread_id and thread_id not in names:
        raise UserError(f"there is no thread {thread_id!r}; `dojang threads` lists those that exist")
    for name in [thread_id] if thread_id else names:
        try:
            points = [p for p in points_of(sessions, name) if since is None or _moment(p) >= since]
            states = list(_states(parts, name)) if points else []
            results = results_of(parts.ledger.entries(name), states) if points else {}
        except (DojangError, FileNotFoundError) as e:
            found.problems.append(f"{name}: {e}")
            continue
        for point in points:
            if point["decision"]["type"] == "expire":
                found.left_out["expired"] += 1
            elif point["prompt"] is None or point["lacks"] not in ("", NOT_RENDERED):
                found.left_out[point["lacks"]] += 1
            elif (state := _state_of(point, states)) is None:
                found.left_out[STATE_GONE] += 1
            else:
                yield _Asked(point, state, results)


def _moment(point: Point) -> datetime:
    return datetime.fromisoformat(point["decision"]["at"])


def _states(parts: Parts, thread_id: str) -> Iterator[Mapping[str, Any]]:
    for saved in parts.saver.list({"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}}):
        yield saved.checkpoint["channel_values"]


def _state_of(point: Point, states: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The newest state that had these messages and had not had this round yet: what the model's turn began with."""
    prompt = point["prompt"]
    assert prompt is not None
    for values in states:
        if values.get("turn") != prompt["turn"] or (values.get("rounds") or 0) != prompt["round"] - 1:
            continue
        if [m.id for m in values.get("messages") or []] == prompt["messages"]:
            return {key: values[key] for key in AgentState.__annotations__ if key in values}
    return None


# ------------------------------------------------------------------------------------------------ what is proposed now


def _replayed(stage: Recorded, asked: _Asked, thread_id: str) -> Replayed:
    point = asked.point
    review, decision = point["review"], point["decision"]
    assert review is not None
    then = _of_review(review)
    wanted = _wanted(then, decision)
    why = ""
    now: Proposed | None = None
    rules: Rules = ""
    try:
        now, rules = _run(stage, asked.state, thread_id)
        judged = _judged(then, decision["type"], wanted, now)
    except NotRecorded as e:
        now, rules, judged = Proposed(e.tool, e.given), "passes", "not_recorded"
    except BrokenInvariant:
        raise
    except DojangError as e:
        judged, why = "failed", str(e)
    return Replayed(
        point["thread_id"], review["id"], decision["at"], review["kind"], then, decision["type"], decision["by"],
        wanted, now, rules, judged, why,
    )  # fmt: skip


def _run(stage: Recorded, state: Mapping[str, Any], thread_id: str) -> tuple[Proposed, Rules]:
    """Let production's graph take the turn, and see what it comes to."""
    config: Any = {"configurable": {"thread_id": thread_id}, "recursion_limit": 100}
    stage.graph.update_state(config, dict(state), as_node="retrieve")
    stage.graph.invoke(None, config, context=stage.deps, durability="sync")
    snapshot = stage.graph.get_state(config)
    waiting = [review for _, review in waiting_of(snapshot)]
    if waiting:
        return _of_review(waiting[0]), "asks"
    values = snapshot.values
    fresh = [name for name in values.get("proposals") or {} if name not in (state.get("proposals") or {})]
    outcomes = values.get("outcomes") or {}
    for name in reversed(fresh):
        if name in outcomes and outcomes[name]["status"] == "refused":
            proposal = values["proposals"][name]
            return Proposed(proposal["tool"], proposal["args"]), "refuses"
    return Proposed("", {}, (values.get("answer") or {}).get("text", "")), "passes"


def _of_review(review: Mapping[str, Any]) -> Proposed:
    tool, args = review["action"]["tool"], review["action"]["args"]
    if tool:
        return Proposed(tool, args)
    question = review["kind"] == "clarification"
    return Proposed("", {}, f"? {review['question']}" if question else str(args.get("text", "")))


def _wanted(then: Proposed, decision: Mapping[str, Any]) -> Proposed | None:
    """What the person wanted to happen; None where they only said no."""
    match decision["type"]:
        case "edit":
            args = decision["edited_args"] or {}
            return Proposed(then.tool, args) if then.tool else Proposed("", {}, decision["message"])
        case "reject":
            return None
        case _:
            return then


def _judged(then: Proposed, said: str, wanted: Proposed | None, now: Proposed) -> Judged:
    """Better: what the person made of it then. Worse: an approved call is not made any more.

    Another thing than what was rejected, and other words, are only different: nobody has said what they are worth.
    """
    if now.same(then):
        return "same"
    if said == "edit" and wanted is not None and now.same(wanted):
        return "better"
    return "worse" if said == "approve" and then.tool else "changed"


__all__ = ["STATE_GONE", "Proposed", "Replay", "Replayed", "replay"]
