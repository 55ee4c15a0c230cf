"""In what two adapters differ, and which were trained on what was erased since. Reads manifests, loads no weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from adapters.dataset import folder as datasets
from adapters.local.loading import fingerprint, read_note
from adapters.registry.aliases import Registry
from adapters.registry.folders import manifest_of

_SKIPPED: Final = frozenset({"begun_at", "trained_at", "duration_s", "peak_memory_bytes", "licences", "threads"})
"""Members of a manifest that differ from run to run and say nothing of the adapter."""


def differences(first: Path, second: Path) -> list[tuple[str, Any, Any]]:
    """(key, first, second) of every member in which the manifests differ, and of the weights; dots join nested keys."""
    told = [dict(_flat(_told(folder))) for folder in (first, second)]
    keys = sorted({*told[0], *told[1]})
    return [(key, told[0].get(key), told[1].get(key)) for key in keys if told[0].get(key) != told[1].get(key)]


def why_stale(adapter: Path, registry: Registry, root: Path) -> str:
    """Why an adapter is stale, "" where it is not; also through the adapter that it went on from."""
    marked = datasets.stale(root)
    if not marked:
        return ""
    known = {entry["fingerprint"]: Path(entry["path"]) for entry in registry.entries()}
    seen: set[str] = set()
    at: Path | None = adapter
    while at is not None:
        told = manifest_of(at)
        for source in (told.get("data") or {}).get("sources") or []:
            if source.get("dataset") in marked:
                return f"dataset {source['dataset']}: {marked[source['dataset']]}"
        start = str(told.get("start") or "")
        at = known.get(start) if start and start not in seen else None
        seen.add(start)
    return ""


def _told(folder: Path) -> dict[str, Any]:
    bare = {key: value for key, value in manifest_of(folder).items() if key not in _SKIPPED}
    base = bare.get("base") or {"fingerprint": read_note(folder).get("base_fingerprint")}
    return {**bare, "base": base, "weights": fingerprint(folder)}


def _flat(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from _flat(inner, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        for number, inner in enumerate(value):
            yield from _flat(inner, f"{key}.{number}")
    else:
        yield key, value


__all__ = ["differences", "why_stale"]
