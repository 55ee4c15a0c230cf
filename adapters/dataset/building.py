"""From points to a dataset: what is left out is counted by reason, the newest are held out, the rest are rows. Pure.

A thread lies on one side: the newest fifth of the threads, by their last decision, is held out. What of the training
side asks nearly the same as a held-out request leaves it, so that no test is passed by remembering.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from adapters.dataset.duplicates import near
from adapters.dataset.mapping import DISPUTED, NOT_THE_MODELS, ReadsDate, Row, Taught, disputed, taught
from adapters.dataset.names import Rename, names_in, unreadable
from adapters.dataset.points import Point
from adapters.dataset.reviewers import Judgement, findings
from adapters.dataset.scrubbing import Scrub
from state import UserError

METHODS: Final = ("sft", "dpo", "kto")
TOO_LONG: Final = "too_long"
NEAR_HELDOUT: Final = "near_heldout"
WITHOUT_REVIEWER: Final = "without_reviewer"
FEW: Final = 50
"""Decisions below which nobody can tell whether an adapter of them is better."""
FEW_DECISIONS: Final = "few_decisions"
ONE_SIDED: Final = "one_sided"
ONE_REVIEWER: Final = "one_reviewer"


@dataclass(frozen=True)
class Choices:
    """How a dataset is built; it stands in the manifest.

    ``heldout``: share of the threads. ``alike``: Jaccard index of two requests' words from which they are the same.
    ``longest``: characters of a row as JSON; what a base cannot read is left out again when it is trained on.
    ``without``: pseudonyms of reviewers whose decisions are left out. ``most_edits``: the share of all edits from which
    one reviewer is warned of. ``persons``: arguments that hold a person's name, besides those whose schema says so.
    """

    self_approved: bool = False
    heldout: float = 0.2
    alike: float = 0.8
    longest: int = 64_000
    without: tuple[str, ...] = ()
    most_edits: float = 0.8
    persons: tuple[str, ...] = ()

    def checked(self) -> Choices:
        """Itself; raises UserError that names field, value and range."""
        for name, low, high in (
            ("heldout", 0.01, 0.9),
            ("alike", 0.05, 1.0),
            ("longest", 100, 10_000_000),
            ("most_edits", 0.01, 1.0),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise UserError(f"{name} is {value}; it lies between {low:g} and {high:g}")
        return self


@dataclass(frozen=True)
class Dataset:
    """Rows by method, what is held out, where each point comes from, and what was left out."""

    rows: Mapping[str, list[Row]]
    heldout: list[Row]
    provenance: list[Row]
    left_out: Mapping[str, int]
    decisions: int
    threads: int
    scrubbed: int
    choices: Choices
    warnings: list[str] = field(default_factory=list)  # FEW_DECISIONS, ONE_SIDED, ONE_REVIEWER
    signs: list[Row] = field(default_factory=list)  # what is unlike about some of them, see ``reviewers``

    def counts(self) -> dict[str, int]:
        """Rows by file."""
        return {**{method: len(self.rows[method]) for method in METHODS}, "heldout": len(self.heldout)}


def build(
    points: Sequence[Point],
    *,
    choices: Choices = Choices(),
    find: Callable[[str], Iterable[tuple[int, int]]],
    pseudonym: Callable[[str], str],
    reads: ReadsDate = lambda words, day: None,
    rename: Rename = unreadable,
) -> Dataset:
    """The dataset of these points.

    Args:
        points: Of all sessions, in the order of their decisions.
        choices: What counts.
        find: The places of personal data in a text.
        pseudonym: What stands for a reviewer's name.
        reads: How dates in words are read, so that an edited date stands in a row as somebody had said it.
        rename: What stands for a person's name, of the same length.

    Raises:
        UserError: there are no decisions, none of them teaches anything, or all are of one thread.
    """
    choices = choices.checked()
    left_out: Counter[str] = Counter()
    points = _without(points, choices.without, pseudonym, left_out)
    found = _useful(points, choices, left_out, reads)
    threads = _threads(found)
    _enough(points, found, threads, left_out)
    held = set(threads[-max(1, round(len(threads) * choices.heldout)) :])
    training = [one for one in found if one.point["thread_id"] not in held]
    kept_out = [one for one in found if one.point["thread_id"] in held]
    copies = near([(_id(one), one.request) for one in training], [one.request for one in kept_out], choices.alike)
    left_out[NEAR_HELDOUT] = len(copies)
    training = [one for one in training if _id(one) not in copies]
    if not training:
        raise UserError(
            f"all decisions outside of the held-out threads ask nearly the same as one in them ({len(copies)}); decide "
            "more and different requests, or raise --alike"
        )
    scrub = Scrub(find)
    names = {_id(one): names_in(one.held_out(), choices.persons, rename) for one in found}
    rows = {
        method: [scrub.row(row, names[_id(one)]) for one in training for row in one.rows(method)] for method in METHODS
    }
    made = Dataset(
        rows=rows,
        heldout=[scrub.row(one.held_out(), names[_id(one)]) for one in kept_out],
        provenance=[_provenance(one, pseudonym, held) for one in [*training, *kept_out]],
        left_out=dict(sorted((why, n) for why, n in left_out.items() if n)),
        decisions=len(points) + left_out[WITHOUT_REVIEWER],
        threads=len({p["thread_id"] for p in points}),
        scrubbed=scrub.replaced,
        choices=choices,
        signs=_signs(found, choices, pseudonym, scrub),
    )
    return Dataset(**{**_fields(made), "warnings": _warnings(made, training)})


def _without(
    points: Sequence[Point], names: Sequence[str], pseudonym: Callable[[str], str], left_out: Counter[str]
) -> list[Point]:
    """The points but those that these reviewers decided; raises UserError where nobody is called so."""
    told = [pseudonym(point["decision"]["by"]) for point in points] if names else []
    for name in names:
        if name not in told:
            raise UserError(
                f"no decision is by a reviewer {name!r}; `provenance.jsonl` of a dataset has their pseudonyms"
            )
        left_out[WITHOUT_REVIEWER] += told.count(name)
    return [p for p, name in zip(points, told, strict=True) if name not in names] if names else list(points)


def _signs(found: Sequence[Taught], choices: Choices, pseudonym: Callable[[str], str], scrub: Scrub) -> list[Row]:
    told = []
    for one in found:
        decision, review = one.point["decision"], one.point["review"]
        tool = review["action"]["tool"] if review is not None else ""
        edit = json.dumps(_changed(one), ensure_ascii=False, sort_keys=True) if one.wanted is not None else ""
        told.append(Judgement(pseudonym(decision["by"]), tool, decision["type"], decision["at"], edit))
    unlike = [asdict(f) for f in findings(told, most_edits=choices.most_edits)]
    return [json.loads(json.dumps({**row, "about": scrub.text(row["about"])})) for row in unlike]


def _changed(one: Taught) -> Any:
    """What a person changed: of a call the arguments with their new values, of words all of them."""
    assert one.wanted is not None
    calls = [(m.get("tool_calls") or [None])[0] for m in (one.said, one.wanted)]
    if calls[0] is None or calls[1] is None:
        return one.wanted["content"]
    before, after = ((call["function"]["arguments"]) for call in calls)
    return {key: after.get(key) for key in {*before, *after} if before.get(key) != after.get(key)}


def _useful(points: Sequence[Point], choices: Choices, left_out: Counter[str], reads: ReadsDate) -> list[Taught]:
    found: list[Taught] = []
    edits: list[Point] = []
    for point in points:
        one = taught(point, self_approved=choices.self_approved, reads=reads)
        if isinstance(one, str):
            left_out[one] += 1
            edits += [point] if one == NOT_THE_MODELS else []
        elif len(json.dumps(one.held_out(), ensure_ascii=False)) > choices.longest:
            left_out[TOO_LONG] += 1
        else:
            found.append(one)
    contradictory = disputed(found, edits)
    left_out[DISPUTED] += sum(_id(one) in contradictory for one in found)
    return [one for one in found if _id(one) not in contradictory]


def _threads(found: Sequence[Taught]) -> list[str]:
    """Threads by their last decision, oldest first."""
    last: dict[str, str] = {}
    for one in found:
        thread, at = one.point["thread_id"], one.point["decision"]["at"]
        last[thread] = max(at, last.get(thread, ""))
    return sorted(last, key=lambda thread: (last[thread], thread))


def _enough(points: Sequence[Point], found: Sequence[Taught], threads: Sequence[str], left_out: Counter[str]) -> None:
    why = ", ".join(f"{reason} {count}" for reason, count in sorted(left_out.items()) if count) or "none"
    if not points:
        raise UserError("nobody has decided anything yet; decide some reviews first")
    if not found:
        raise UserError(f"none of the {len(points)} decisions teaches anything ({why}); nothing was built")
    if len(threads) < 2:
        raise UserError(
            f"all {len(found)} decisions that teach anything are of one conversation (left out: {why}); one more is "
            "needed, because a whole conversation is held out"
        )


def _warnings(made: Dataset, training: Sequence[Taught]) -> list[str]:
    told = [FEW_DECISIONS] if made.decisions < FEW else []
    if len({row["label"] for row in made.rows["kto"]}) == 1:
        told.append(ONE_SIDED)
    if len({one.point["decision"]["by"] for one in training}) == 1:
        told.append(ONE_REVIEWER)
    return told


def _provenance(one: Taught, pseudonym: Callable[[str], str], held: set[str]) -> Row:
    point, decision = one.point, one.point["decision"]
    requester = point["review"].get("requester", "") if point["review"] else ""
    return {
        "point": _id(one),
        "side": "heldout" if point["thread_id"] in held else "train",
        "thread": point["thread_id"],
        "checkpoint": point["checkpoint_id"],
        "digest": decision["digest"],
        "decision": decision["type"],
        "reviewer": pseudonym(decision["by"]),
        "decided_at": decision["at"],
        "dwell_ms": decision["dwell_ms"],
        "channel": decision["channel"],
        "speaker": one.prompt["speaker"],
        "prompt_sha256": one.prompt["rendered"]["sha256"],
        "form": one.prompt["rendered"]["form"],
        "requester": pseudonym(requester) if requester else "",
        "tier": point["review"].get("tier", 0) if point["review"] else 0,
    }


def _id(one: Taught) -> str:
    return one.point["decision"]["review_id"]


def _fields(made: Dataset) -> dict[str, Any]:
    return {name: getattr(made, name) for name in Dataset.__dataclass_fields__}


def choices_of(made: Dataset) -> dict[str, Any]:
    """The choices, for the manifest."""
    return asdict(made.choices)


__all__ = [
    "FEW",
    "METHODS",
    "NEAR_HELDOUT",
    "TOO_LONG",
    "WITHOUT_REVIEWER",
    "Choices",
    "Dataset",
    "build",
    "choices_of",
]
