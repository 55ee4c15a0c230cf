"""From replies and rules to a verdict: figures, slices, baselines, and each reason with its facts. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from adapters.gate.replies import Reply
from adapters.gate.report import Figure, Reason, Verdict
from adapters.gate.rules import Rules
from adapters.gate.scores import METRICS, Point, Reads, decided, reply_of, scores
from adapters.gate.statistics import Pair, figure, groups_of
from adapters.prompt import ASK_USER
from state import JSON

Scores = Mapping[str, Mapping[str, float | None]]
"""By point, by metric."""
LEAK: Final = "leak"
UNKNOWN_TRAINING: Final = "unknown_training"
RULES_TOO_LATE: Final = "rules_too_late"
TOO_FEW: Final = "too_few"
NOT_BETTER: Final = "not_better"
WORSE_THAN_NEAREST: Final = "worse_than_nearest"
REPEATS_ROSE: Final = "repeats_rose"
REPEATS_UNKNOWN: Final = "repeats_unknown"
SLICE_FELL: Final = "slice_fell"
SLICE_UNKNOWN: Final = "slice_unknown"
OLD_DOMAIN_LOST: Final = "old_domain_lost"
OLD_DOMAIN_UNKNOWN: Final = "old_domain_unknown"
NO_PAST_EDITS: Final = "no_past_edits"
KOREAN: Final = "language:ko"
NEAREST: Final = "nearest"
OLD_DOMAIN: Final = "old_domain"


@dataclass(frozen=True)
class Training:
    """What is known of how a candidate was trained, as far as it counts here."""

    leaked: int = 0  # held-out points that it was trained on
    known: bool = True  # whether its folder says what it was trained on
    late: str = ""  # the dataset whose rules were noted after it was trained on it; "" for none


@dataclass(frozen=True)
class Compared:
    """All that a verdict rests on."""

    figures: dict[str, Figure]
    slices: dict[str, dict[str, Figure]]
    baselines: dict[str, dict[str, Figure]]
    conversations: int  # of which points say what would have been right
    past_edits: int
    training: Training = field(default=Training())


def scored(points: Sequence[Point], replies: Mapping[str, Reply], reads: Reads) -> Scores:
    """Every metric of a speaker at every point."""
    return {str(point["point"]): scores(point, replies[str(point["point"])], reads) for point in points}


def compared(
    points: Sequence[Point],
    candidate: Scores,
    against: Scores,
    baselines: Mapping[str, Scores],
    rules: Rules,
    *,
    old: Sequence[Pair] = (),
    past_edits: int = 0,
) -> Compared:
    """Figures over all points, by slice, and against each baseline. Points have ``thread`` and ``tier`` beside them.

    ``old``: the items of the old domain, for candidate and the other.
    """

    def figures(of: Sequence[Point], other: Scores) -> dict[str, Figure]:
        return {
            metric: figure(pairs(of, candidate, other, metric), confidence=rules.confidence, seed=rules.seed)
            for metric in METRICS
        }

    whole = figures(points, against)
    if old:
        whole[OLD_DOMAIN] = figure(old, confidence=rules.confidence, seed=rules.seed)
    return Compared(
        figures=whole,
        slices={name: figures(of, against) for name, of in slices(points).items()},
        baselines={name: figures(points, other) for name, other in baselines.items()},
        conversations=groups_of(pairs(points, candidate, against, "match")),
        past_edits=past_edits,
    )


def pairs(points: Sequence[Point], candidate: Scores, other: Scores, metric: str) -> list[Pair]:
    """A metric of two speakers at each point."""
    names = [(str(point["thread"]), str(point["point"])) for point in points]
    return [Pair(thread, candidate[name][metric], other[name][metric]) for thread, name in names]


def slices(points: Sequence[Point]) -> dict[str, list[Point]]:
    """Points by language, tool and tier; Korean and English are there also where no point is."""
    found: dict[str, list[Point]] = {"language:en": [], KOREAN: []}
    for point in points:
        meant = decided(point) or reply_of(point["said"])
        tool = str(meant["args"].get("about") or "").partition(".")[0] if meant["tool"] == ASK_USER else meant["tool"]
        for name in (f"language:{point['language']}", f"tool:{tool or 'none'}", f"tier:{point['tier']}"):
            found.setdefault(name, []).append(point)
    return dict(sorted(found.items()))


# ------------------------------------------------------------------------------------------------------- the verdict


def judged(of: Compared, rules: Rules) -> tuple[Verdict, list[Reason]]:
    """The verdict, and its reasons: those that failed it first.

    A leak fails at once. Where there is enough to tell, whatever a rule forbids fails; whatever nobody can tell is in
    the way of passing.
    """
    unknown = [*_unknown(of, rules)]
    leak = [_reason(LEAK, "failed", points=of.training.leaked)] if of.training.leaked else []
    few = any(reason["code"] == TOO_FEW for reason in unknown)
    failed = leak if few else [*leak, *_failed(of, rules)]
    reasons = [*failed, *unknown, *_notes(of, rules)]
    return "failed" if failed else "cannot_tell" if unknown else "passed", reasons


def _unknown(of: Compared, rules: Rules) -> list[Reason]:
    found = []
    if not of.training.known:
        found.append(_reason(UNKNOWN_TRAINING, "cannot_tell"))
    if of.training.late:
        found.append(_reason(RULES_TOO_LATE, "cannot_tell", dataset=of.training.late))
    n = of.figures["match"]["n"]
    if n < rules.least or of.conversations < rules.conversations:
        there = {"points": n, "least": rules.least}
        there |= {"conversations": of.conversations, "least_conversations": rules.conversations}
        found.append(_reason(TOO_FEW, "cannot_tell", **there))
    return found


def _failed(of: Compared, rules: Rules) -> list[Reason]:
    match, repeated = of.figures["match"], of.figures["repeated"]
    found = []
    if match["low"] is None or match["low"] <= 0:
        found.append(_reason(NOT_BETTER, "failed", **_facts(match)))
    shown = of.baselines.get(NEAREST, {}).get("match")
    if of.past_edits and shown is not None and (shown["difference"] or 0) < 0:
        found.append(_reason(WORSE_THAN_NEAREST, "failed", **_facts(shown)))
    if (repeated["difference"] or 0) > 0:
        found.append(_reason(REPEATS_ROSE, "failed", **_facts(repeated)))
    for name, figures in of.slices.items():
        if _fell(figures["match"], rules):
            found.append(_reason(SLICE_FELL, "failed", slice=name, **_facts(figures["match"])))
    old = of.figures.get(OLD_DOMAIN)
    if old is not None and (old["difference"] or 0) < -rules.old_loss:
        found.append(_reason(OLD_DOMAIN_LOST, "failed", allowed=rules.old_loss, **_facts(old)))
    return found


def _fell(match: Figure, rules: Rules) -> bool:
    if match["n"] < rules.slice_least or match["difference"] is None:
        return False
    return match["difference"] < -rules.slice_fall and match["high"] is not None and match["high"] < 0


def _notes(of: Compared, rules: Rules) -> list[Reason]:
    found = []
    if not of.figures["repeated"]["n"]:
        found.append(_reason(REPEATS_UNKNOWN, "note"))
    if not of.past_edits:
        found.append(_reason(NO_PAST_EDITS, "note"))
    if OLD_DOMAIN not in of.figures:
        found.append(_reason(OLD_DOMAIN_UNKNOWN, "note"))
    for name in ("language:en", KOREAN):
        n = of.slices[name]["match"]["n"]
        if n < rules.slice_least:
            found.append(_reason(SLICE_UNKNOWN, "note", slice=name, points=n, least=rules.slice_least))
    return found


def _facts(of: Figure) -> dict[str, Any]:
    return dict(of)


def _reason(code: str, kind: Any, **facts: JSON) -> Reason:
    return Reason(code=code, kind=kind, facts=facts)


__all__ = [
    "KOREAN", "LEAK", "NEAREST", "OLD_DOMAIN", "Compared", "Scores", "Training", "compared", "judged", "pairs",
    "scored", "slices",
]  # fmt: skip
