"""``evaluate --against champion``: who is compared on which decisions by which rules, and the report of it (ADR 18).

What can be refused is refused before a model is loaded. Everything that was asked is kept, so that an evaluation that
was cut off goes on. Prints nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from adapters.dataset import folder as datasets
from adapters.errors import AdapterNotUsable
from adapters.gate import leaks, olddomain, verdict
from adapters.gate.nearest import past_edits
from adapters.gate.replies import Kept, Reply, Speaker, ask_all
from adapters.gate.report import Findings, write_report
from adapters.gate.rules import Noted, Rules, noted, rules_of
from adapters.gate.statistics import Pair
from adapters.registry import folders
from adapters.registry.aliases import ALIASES, CANDIDATE, CHAMPION, Registry
from dojang.flywheel.comparing import why_stale
from dojang.flywheel.speakers import ENDPOINT, Adapter, Panel, Progress
from dojang.flywheel.stale import datasets_of, gates_of
from dojang.served import registry_of
from state import JSON, UserError

if TYPE_CHECKING:
    from dojang.parts import Parts
    from dojang.settings import Settings

BASE: Final = "base"
OLD_ITEMS: Final = 12
"""Items of each slice and language of the old domain; 9 slices, 2 languages. With 4 an adapter that lost 4.7 points of
192 other items passed (docs/log/models.md, 2026-11-26): so few do not tell two points from five."""


@dataclass(frozen=True)
class Frozen:
    """A dataset to compare on, its points with their conversation and tier, and the rules."""

    id: str
    points: list[dict[str, Any]]
    edits: list[dict[str, Any]]
    noted: Noted | None

    @property
    def rules(self) -> Rules:
        """Those that were noted, or else the defaults, by which nothing passes."""
        return rules_of(self.noted) if self.noted else Rules()

    def told(self) -> dict[str, JSON]:
        """The rules as a report has them."""
        if self.noted:
            return dict(self.noted)
        return {"dataset": self.id, "at": "", "values": self.rules.values(), "digest": ""}


def evaluate_against(
    parts: Parts,
    candidate: str | Path,
    against: str = CHAMPION,
    dataset: str | None = None,
    *,
    on_progress: Progress = lambda done, total, news: None,
    old_items: int = OLD_ITEMS,
) -> Path:
    """Compare a candidate with what serves, on held-out decisions; the file of the report.

    Args:
        parts: Of the home; nothing of it but its settings is used.
        candidate: An id of the registry, an alias, or a folder, which is taken into the registry.
        against: The same. A champion that nobody named yet is the adapter that goes with the model.
        dataset: Its id; the newest that is not stale if not given.
        on_progress: Told how many replies there are, of how many, and who speaks.
        old_items: Of the old domain, for each slice and language; 0 leaves it out.

    Raises:
        UserError: stale, unknown, the same adapter twice, or of another base; nothing was asked.
        BrokenInvariant: dataset, adapter or rules were changed.
        PassingFault: an endpoint is away, or the disk is full; the next call goes on.
    """
    settings = parts.settings
    registry = registry_of(settings)
    on = _frozen(settings, dataset)
    ours = _registered(settings, registry, candidate)
    theirs = _against(settings, registry, against)
    _comparable(settings, registry, ours, theirs)
    for adapter in (ours, theirs) if settings.model.startswith(ENDPOINT) else ():
        if adapter.id:
            registry.serve(adapter.id)
    noted_for = _noted(settings, registry, ours.id, on.id)
    training = leaks.training_of(registry.path(ours.id), on.points, noted_for, _tokenizer(settings))
    found = _compared(gates_of(settings), on, Panel(settings, [ours, theirs]), ours, theirs, old_items, on_progress)
    judged, reasons = verdict.judged(replace(found, training=training), on.rules)
    return write_report(
        gates_of(settings),
        Findings(
            verdict=judged, reasons=reasons, candidate=ours.id, against=theirs.id, dataset=on.id, rules=on.told(),
            figures=found.figures, slices=found.slices, baselines=found.baselines,
            at=datetime.now(UTC).isoformat(timespec="seconds"),
        ),
    )  # fmt: skip


def _compared(
    root: Path, on: Frozen, panel: Panel, ours: Adapter, theirs: Adapter, old_items: int, on_progress: Progress
) -> verdict.Compared:
    """Ask everybody, and put the figures together."""
    edits, rules = past_edits(on.edits), on.rules
    speakers = {
        CANDIDATE: panel.speaker(ours),
        CHAMPION: panel.speaker(theirs),
        BASE: panel.speaker(None),
        verdict.NEAREST: panel.reminded(theirs, edits, rules.nearest),
    }
    old = olddomain.items(old_items, rules.seed) if old_items and panel.reading else []
    tell = _Counted(on_progress, len(speakers) * len(on.points) + 2 * len(old))
    said = {name: _ask(root, on, speaker, tell.by(name)) for name, speaker in speakers.items()}
    right = [_ask_old(root, speakers[name], old, tell.by(name)) for name in (CANDIDATE, CHAMPION)]
    scores = {name: verdict.scored(on.points, replies, read_value) for name, replies in said.items()}
    return verdict.compared(
        on.points, scores[CANDIDATE], scores[CHAMPION], {name: scores[name] for name in (BASE, verdict.NEAREST)}, rules,
        old=[Pair(key, right[0][key], right[1][key]) for key, _ in old], past_edits=len(edits),
    )  # fmt: skip


@lru_cache(maxsize=65_536)
def read_value(words: str, day: str) -> JSON:
    """A number or a date in words as the tools read it; what is neither, or an id with a leading zero, as it is."""
    from tools.amounts import Unreadable as NoNumber
    from tools.amounts import read_number
    from tools.dates import Unreadable, read_date

    if not words.strip() or words.strip().startswith("0"):
        return words
    try:
        return float(read_number(words))
    except NoNumber:
        pass
    try:
        return read_date(words, today=date.fromisoformat(day)).isoformat()
    except (Unreadable, ValueError):
        return words


# ---------------------------------------------------------------------------------------------------- who, and on what


def _frozen(settings: Settings, name: str | None) -> Frozen:
    """A dataset that is whole and of which nothing was erased."""
    root = datasets_of(settings)
    stale = datasets.stale(root)
    if name is None:
        built = {one.name: str(datasets.manifest(one)["built_at"]) for one in datasets.folders(root)}
        fresh = [one for one in built if one not in stale]
        if not fresh:
            raise UserError("there is no dataset to compare on; build one with `dojang adapters dataset build`")
        name = max(fresh, key=lambda one: (built[one], one))
    told = datasets.verify(root, name)
    identity = str(told["id"])
    if identity in stale:
        raise UserError(f"dataset {identity} is stale: {stale[identity]}; build a new one, and compare on that")
    where = root / identity
    origin = {str(row["point"]): row for row in datasets.read(where, "provenance.jsonl")}
    points = [
        {**row, "thread": origin[str(row["point"])]["thread"], "tier": origin[str(row["point"])].get("tier", 0)}
        for row in datasets.read(where, "heldout.jsonl")
    ]
    return Frozen(identity, points, list(datasets.read(where, "dpo.jsonl")), noted(gates_of(settings), identity))


def _registered(settings: Settings, registry: Registry, name: str | Path) -> Adapter:
    """An adapter of the registry, every byte of it what it is named after; a folder is taken in first."""
    path = Path(name)
    identity = registry.add(path)["id"] if path.is_dir() else registry.resolve(str(name))
    folders.verify(registry.adapters, identity)
    return Adapter(identity, registry.adapters / identity, identity)


def _against(settings: Settings, registry: Registry, name: str) -> Adapter:
    if name == CHAMPION and CHAMPION not in registry.aliases():
        return _with_the_model(settings)
    return _registered(settings, registry, name)


def _with_the_model(settings: Settings) -> Adapter:
    """What serves where nobody named a champion: what the settings name, where that is no alias, or what ships."""
    from adapters import EMBEDDED, EMBEDDED_ADAPTER, WEIGHTS

    named = settings.adapter or ""
    if settings.model.startswith(ENDPOINT):
        return Adapter("", served="" if named in ALIASES else named)
    if named in settings.adapters or (Path(named).is_dir() and named):
        return Adapter("", Path(settings.adapters.get(named, named)))
    if named and named not in (*ALIASES, EMBEDDED_ADAPTER):
        return Adapter("", Registry(settings.home / "registry").path(named))
    return Adapter("", WEIGHTS / EMBEDDED_ADAPTER if settings.model == EMBEDDED else None)


def _comparable(settings: Settings, registry: Registry, ours: Adapter, theirs: Adapter) -> None:
    """Refuse what cannot be compared, before anything is loaded."""
    if ours.id == theirs.id:
        raise UserError(f"adapter {ours.id} cannot be compared with itself; name another candidate with --adapter")
    if why := why_stale(registry.path(ours.id), registry, datasets_of(settings)):
        raise UserError(f"adapter {ours.id} is stale: {why}; train another one on a new dataset")
    base = folders.entry(registry.adapters, ours.id)["base"]
    wanted = _base_of(settings)
    champion = folders.entry(registry.adapters, theirs.id)["base"] if theirs.id else wanted
    if base and wanted and base != wanted:
        raise AdapterNotUsable(
            f"adapter {ours.id} was trained on the base {base}, but the model of the settings is {wanted}: it cannot "
            "be compared; train it on that base"
        )
    if base and champion and base != champion:
        raise AdapterNotUsable(
            f"adapter {ours.id} was trained on the base {base}, but {theirs.id} on {champion}: they cannot be "
            "compared; train it on that base"
        )


def _base_of(settings: Settings) -> str:
    """The fingerprint of the base that the settings name; "" at an endpoint."""
    from adapters import EMBEDDED, WEIGHTS
    from adapters.local.hub import locate
    from adapters.local.loading import fingerprint

    if settings.model.startswith(ENDPOINT):
        return ""
    if settings.model == EMBEDDED:
        return fingerprint(WEIGHTS / "base")
    return fingerprint(locate(settings.model, download=settings.model_download)[0])


def _noted(settings: Settings, registry: Registry, adapter: str, dataset: str) -> dict[str, Noted | None]:
    """The rules of the dataset that is compared on, and of all that an adapter was trained on."""
    names = {dataset, *folders.entry(registry.adapters, adapter)["datasets"]}
    return {name: noted(gates_of(settings), name) for name in sorted(names)}


def _tokenizer(settings: Settings) -> Any:
    """Of a base from elsewhere, whose prompts it takes to render; None for ours, and for an endpoint's."""
    from adapters import EMBEDDED

    if settings.model == EMBEDDED or settings.model.startswith(ENDPOINT):
        return None
    from adapters.training.run import open_base

    base = open_base(Path(settings.model), settings.quantization)
    return None if base.reading else base.tokenizer


# --------------------------------------------------------------------------------------------------------- asking them


class _Counted:
    """Counts replies over all speakers."""

    def __init__(self, tell: Progress, total: int) -> None:
        self._tell, self._total, self._done = tell, total, 0

    def by(self, name: str) -> Callable[[], None]:
        """What is called at each reply of a speaker."""

        def count() -> None:
            self._done += 1
            self._tell(self._done, self._total, name)

        return count


def _ask(root: Path, on: Frozen, speaker: Speaker, count: Callable[[], None]) -> Mapping[str, Reply]:
    return ask_all(speaker, on.points, Kept(root / "replies" / f"{on.id}-{speaker.name}.jsonl"), on_reply=count)


def _ask_old(
    root: Path, speaker: Speaker, old: Sequence[olddomain.Item], count: Callable[[], None]
) -> Mapping[str, float]:
    kept = Kept(root / "replies" / f"{olddomain.NAME}-{speaker.name}.jsonl")
    return olddomain.ask_old(speaker, old, kept, on_reply=count)


__all__ = ["OLD_ITEMS", "evaluate_against", "read_value"]
