"""manifest.json of a trained adapter: what went in, under which licences, and what was measured."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from adapters.errors import AdapterNotUsable

MANIFEST: Final = "manifest.json"
FORMAT: Final = 1
LIBRARIES: Final = ("torch", "transformers", "trl", "peft", "bitsandbytes", "accelerate", "tokenizers")
UNSTATED: Final = "not stated"


def versions(*further: str) -> dict[str, str]:
    """Of Python and the libraries that shape the result."""
    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for name in (*LIBRARIES, *further):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def licences(base: Path, base_name: str, data: Mapping[str, tuple[str, ...]]) -> list[dict[str, str]]:
    """Of the base, the data (name to the licences that its rows state) and the libraries."""
    listed = [{"what": "base", "name": base_name, "licence": base_licence(base)}]
    listed += [
        {"what": "data", "name": name, "licence": ", ".join(stated) or UNSTATED} for name, stated in data.items()
    ]
    return listed + [{"what": "library", "name": name, "licence": _of_library(name)} for name in LIBRARIES]


def base_licence(base: Path) -> str:
    """What the model card's front matter, or a sentence of ours, says of the licence."""
    for card in (base / "README.md", base / "MODEL_CARD.md", base.parent / "MODEL_CARD.md"):
        if card.is_file():
            text = card.read_text(encoding="utf-8", errors="replace")
            stated = re.search(r"^licen[sc]e:\s*(\S.*)$", text, re.MULTILINE) or re.search(
                r"\b(Apache-2\.0|MIT)\b", text
            )
            if stated:
                return stated[1].strip()
    return UNSTATED


def _of_library(name: str) -> str:
    try:
        told: Any = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return UNSTATED
    classifiers = [c.rsplit(" :: ", 1)[-1] for c in told.get_all("Classifier") or [] if c.startswith("License ::")]
    stated = told.get("License-Expression") or (classifiers[0] if classifiers else told.get("License") or UNSTATED)
    return str(stated).splitlines()[0][:80]


def peak_memory(device: str) -> dict[str, int]:
    """Bytes: the process's largest resident size so far, and on CUDA what torch's allocator held at most."""
    import psutil

    found = {"resident": psutil.Process().memory_info().rss}
    with suppress(ImportError):  # Windows has none, and is told what is resident at the end
        import resource

        unit = 1 if sys.platform == "darwin" else 1_024
        found["resident"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    if device.startswith("cuda"):
        import torch

        found["cuda_allocated"] = torch.cuda.max_memory_allocated()
        found["cuda_reserved"] = torch.cuda.max_memory_reserved()
    return found


def write_json(value: Any, path: Path) -> None:
    """Sorted, with a line end, forced to disk."""
    with path.open("w", encoding="utf-8") as file:
        json.dump(value, file, indent=2, sort_keys=True, ensure_ascii=False)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())


def read_manifest(adapter: Path) -> dict[str, Any]:
    """Raises AdapterNotUsable where there is none that can be read."""
    path = adapter / MANIFEST
    if not path.is_file():
        raise AdapterNotUsable(f"{adapter} has no {MANIFEST}; it was not trained by `dojang adapters train`")
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(value, dict):
            raise ValueError("no JSON object")
    except (OSError, ValueError, RecursionError) as e:
        raise AdapterNotUsable(f"{path} cannot be read ({e}); train the adapter again") from None
    return value


__all__ = ["FORMAT", "MANIFEST", "base_licence", "licences", "peak_memory", "read_manifest", "versions", "write_json"]
