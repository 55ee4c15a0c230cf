"""Which adapters and datasets a home has, for lists. Loads no weights and starts no database."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.dataset import folder as datasets
from adapters.errors import AdapterNotUsable, ModelNotUsable
from adapters.local.loading import read_note
from adapters.registry.folders import check_manifest, manifest_of
from adapters.training.curves import LINES
from dojang.flywheel.comparing import why_stale
from dojang.flywheel.stale import datasets_of
from dojang.flywheel.voices import registry_of

if TYPE_CHECKING:
    from dojang.settings import Settings


def shipped() -> tuple[Path, Path]:
    """The base and the adapter that come with Dojang."""
    from adapters.serving import WEIGHTS

    return WEIGHTS / "base", WEIGHTS / "frontdesk"


def adapters_of(settings: Settings) -> list[dict[str, Any]]:
    """The adapters of the registry, the one that ships with Dojang, and those under DOJANG_HOME/models."""
    registry = registry_of(settings)
    names: dict[str, list[str]] = {}
    for alias, adapter in registry.aliases().items():
        names.setdefault(adapter, []).append(alias)
    kept = {entry["id"]: Path(entry["path"]) for entry in registry.entries()}
    made = list(_made(settings.home / "models"))
    found = [{**about(settings, path), "adapter": name, "registered": True} for name, path in kept.items()]
    found += [{**about(settings, path), "registered": False} for path in [shipped()[1], *made]]
    return [{**one, "aliases": names.get(one["adapter"], [])} for one in found]


def _made(models: Path) -> Iterator[Path]:
    """The adapters under a folder; what is hidden there is a run that has not ended."""
    for file in sorted(models.glob("**/adapter_config.json")):
        if not any(part.startswith(".") for part in file.relative_to(models).parts):
            yield file.parent


def about(settings: Settings, folder: Path) -> dict[str, Any]:
    """One line about an adapter; ``problem`` where what is told of it cannot be read."""
    told, noted, problem = manifest_of(folder), dict[str, Any](), ""
    try:
        noted = read_note(folder)
        check_manifest(folder)
    except (AdapterNotUsable, ModelNotUsable) as e:
        problem = str(e)
    base = (told.get("base") or {}).get("fingerprint") or noted.get("base_fingerprint")
    return {
        "adapter": str(folder),
        "base": None if base is None else str(base),
        "method": told.get("method"),
        "rows": (told.get("counts") or {}).get("trained"),
        "at": told.get("trained_at"),
        "stale": stale_of(settings, folder),
        "problem": problem,
    }


def stale_of(settings: Settings, folder: Path) -> str:
    """Why an adapter should not serve any more: words that it, or what it went on from, was trained on were erased."""
    return why_stale(folder, registry_of(settings), datasets_of(settings))


def curve_of(folder: Path) -> list[dict[str, Any]]:
    """The points of an adapter's training, in order; [] where nobody kept them."""
    return list(_points(folder / LINES))


def _points(path: Path) -> Iterator[dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError:
        return
    for line in text.splitlines():
        if line.strip():
            yield json.loads(line)


def datasets_in(settings: Settings) -> list[dict[str, Any]]:
    """The datasets that were built, newest first; ``problem`` where one is damaged."""
    root = datasets_of(settings)
    stale = datasets.stale(root)
    found = []
    for one in datasets.folders(root):
        try:
            told = datasets.manifest(one)
            row = {"dataset": one.name, "built_at": told["built_at"], **rows_of(told), "problem": ""}
        except datasets.DamagedDataset as e:
            row = {"dataset": one.name, "built_at": "", "problem": str(e)}
        found.append({**row, "stale": stale.get(one.name, "")})
    return sorted(found, key=lambda row: str(row["built_at"]), reverse=True)


def dataset_of(settings: Settings, name: str) -> dict[str, Any]:
    """The manifest of a dataset that is unchanged, and why it is stale. Raises UnknownDataset, DamagedDataset."""
    root = datasets_of(settings)
    told = datasets.verify(root, name)
    return {**told, "stale": datasets.stale(root).get(told["id"], "")}


def rows_of(told: dict[str, Any]) -> dict[str, int]:
    """How many rows each file of a dataset has, by its name without the ending."""
    return {name.removesuffix(".jsonl"): file["rows"] for name, file in told["files"].items()}


__all__ = ["about", "adapters_of", "curve_of", "dataset_of", "datasets_in", "rows_of", "shipped", "stale_of"]
