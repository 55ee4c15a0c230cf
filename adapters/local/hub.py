"""From what a setting names to a folder: a path, or a hub id in the local cache. Nothing is downloaded unless allowed.

    locate("/models/llama")                        the folder itself
    locate("meta-llama/Llama-3.2-1B")              what the cache has of its main revision
    locate("meta-llama/Llama-3.2-1B@4e20de3")      what the cache has of this one

A download needs ``download=True`` and a revision after ``@``: what is loaded is then the same tomorrow. The commit that
the cache files the snapshot under is what is recorded.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, NamedTuple

from adapters.errors import ModelNotUsable

_HUB_ID: Final = re.compile(r"^(?P<id>[\w-][\w.-]*/[\w-][\w.-]*?)(?:@(?P<revision>[\w./-]+))?$")
_FILES: Final = ["*.safetensors", "*.json", "*.jinja", "tokenizer.model"]
_ETAG_TIMEOUT_S: Final = 10.0


class Located(NamedTuple):
    """A folder on disk; ``hub_id`` and ``revision`` (a commit) are "" for a path."""

    folder: Path
    hub_id: str = ""
    revision: str = ""


def locate(model: str | Path, *, download: bool = False, cache: Path | None = None) -> Located:
    """Find the folder.

    Args:
        model: A path, or ``owner/name`` with an optional ``@revision`` (branch, tag or commit).
        download: Whether what the cache lacks may be fetched; needs a revision.
        cache: The hub cache; by default huggingface_hub's own (``HF_HOME``).

    Raises:
        ModelNotUsable: At once, without a network, where it is neither a folder nor in the cache.
    """
    path = Path(model).expanduser()
    if path.is_dir():
        return Located(path)
    match = _HUB_ID.match(str(model)) if not str(model).startswith((".", "/", "~")) else None
    if match is None:
        raise ModelNotUsable(
            f"no model folder {str(model)!r}; give the folder that holds config.json and the safetensors files"
        )
    hub_id, revision = match["id"], match["revision"]
    folder = _cached(hub_id, revision, cache) or (_download(hub_id, revision, cache) if download else None)
    if folder is None:
        raise ModelNotUsable(
            f"{hub_id!r} is no folder, and the hub cache has no {revision or 'main'!r} of it; download it where "
            f"there is a network (hf download {hub_id} --revision COMMIT) and give the path of the folder, or set "
            f"DOJANG_MODEL_DOWNLOAD=true and name the model {hub_id}@COMMIT"
        )
    return Located(folder, hub_id, folder.name)


def _cached(hub_id: str, revision: str | None, cache: Path | None) -> Path | None:
    from huggingface_hub import constants

    root = Path(cache or constants.HF_HUB_CACHE) / f"models--{hub_id.replace('/', '--')}"
    reference = root / "refs" / (revision or "main")
    commit = reference.read_text().strip() if reference.is_file() else (revision or "")
    if not re.fullmatch(r"[0-9a-f]{7,40}", commit):
        return None
    found = sorted((root / "snapshots").glob(f"{commit}*")) if (root / "snapshots").is_dir() else []
    return found[0] if len(found) == 1 and (found[0] / "config.json").exists() else None


def _download(hub_id: str, revision: str | None, cache: Path | None) -> Path:
    if revision is None:
        raise ModelNotUsable(
            f"a download of {hub_id} needs a revision: name it {hub_id}@COMMIT, so that it stays the same"
        )
    from huggingface_hub import snapshot_download

    try:
        folder = snapshot_download(
            hub_id, revision=revision, cache_dir=cache, allow_patterns=_FILES, etag_timeout=_ETAG_TIMEOUT_S
        )
    except (OSError, ValueError) as e:  # the library's own errors are OSErrors and ValueErrors
        first = next((line.strip() for line in str(e).splitlines() if line.strip()), type(e).__name__)
        raise ModelNotUsable(f"{hub_id}@{revision} could not be downloaded: {first[:200]}") from e
    return Path(folder)
