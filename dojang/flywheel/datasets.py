"""Datasets of a home, built from its sessions. Prints nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.dataset import folder
from adapters.dataset.building import Choices, build
from adapters.gate.rules import Rules, note
from dojang.flywheel.points import Progress, Sessions, collect
from dojang.flywheel.stale import Pseudonyms, datasets_of, gates_of
from state import UserError

if TYPE_CHECKING:
    from dojang.parts import Parts
    from dojang.settings import Settings


def sessions_of(parts: Parts) -> Sessions:
    """Where a home's points come from.

    Nothing is remembered of sessions in a database: whoever erases words there could not take them out of what other
    machines remember.
    """
    sealed, far = parts.session_keys is not None, parts.sessions.database is not None
    cache = None if sealed or far else parts.settings.home / "points.sqlite"
    return Sessions(parts.saver, parts.decisions, parts.prompts, _tokenizer(parts.settings), cache)


def build_dataset(
    parts: Parts, choices: Choices, *, on_progress: Progress, rules: Rules | None = None
) -> tuple[Path, dict[str, Any], list[str]]:
    """Build a dataset of all sessions: its folder, its manifest, and what could not be read.

    What counts as better than the champion is noted with it; for a dataset that is there already, the first rules stay.

    Raises:
        UserError: there is too little to build it from, or a rule is out of its range.
        PassingFault: the disk refused; nothing was kept.
    """
    from adapters.training.naming import other
    from tools.pii import find

    rules = (rules or Rules()).checked()
    found = collect(sessions_of(parts), on_progress=on_progress)
    if not found.points and found.problems:
        raise UserError(f"no session can be read: {found.problems[0]}")
    name = Pseudonyms(parts.settings.home)
    made = build(
        found.points,
        choices=replace(choices, persons=tuple(sorted({*choices.persons, *parts.settings.person_arguments}))),
        find=lambda text: [(entity.start, entity.end) for entity in find(text)],
        pseudonym=name,
        reads=read_day,
        rename=lambda words: other(words, name(words)),
    )
    written = folder.write(made, datasets_of(parts.settings))
    note(gates_of(parts.settings), written.name, rules)
    return written, folder.manifest(written), found.problems


def trainable(settings: Settings, name: str) -> Path:
    """The folder of a dataset that may be trained on: unchanged, and nothing of it erased since.

    Raises:
        UnknownDataset, DamagedDataset, UserError: it is stale.
    """
    root = datasets_of(settings)
    told = folder.verify(root, name)
    if why := folder.stale(root).get(told["id"]):
        raise UserError(f"dataset {told['id']} is stale: {why}; build a new one, and train on that")
    return root / str(told["id"])


def read_day(words: str, day: str) -> str | None:
    """As the tools read dates."""
    from tools.dates import Unreadable, read_date

    try:
        return read_date(words, today=date.fromisoformat(day)).isoformat()
    except (Unreadable, ValueError):
        return None


def _tokenizer(settings: Settings) -> Any:
    """Of the local model that the settings name, where its chat template is needed; None for an endpoint's and ours."""
    if settings.model == "embedded" or settings.model.startswith("openai:"):
        return None
    from adapters.training.run import open_base

    try:
        return open_base(Path(settings.model), settings.quantization).tokenizer
    except UserError:  # not there any more: what it read cannot be shown, and is counted as that
        return None


__all__ = ["build_dataset", "read_day", "sessions_of", "trainable"]
