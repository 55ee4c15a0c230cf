"""Who speaks: the adapter with which a new conversation begins, and the generator of one that a conversation keeps.

What a thread's state says of its adapter (``AgentState.adapter``)::

    ""                        what goes with the model: the shipped adapter, a folder model alone, an endpoint's model
    3f9c0d…  (16 digits)      an adapter of the registry, here or at a server that is given them (``served``)
    /models/desk#1a2b3c…      a folder, and the fingerprint of the weights that were in it
    night-shift               a name at an endpoint
    program:promotion         no model at all (``flywheel.promoting``)

The base is loaded once; adapters are put beside it when the first conversation wants them, while others speak. Knows no
thread: ``dojang/runs.py`` looks there.
"""

from __future__ import annotations

import hashlib
import logging
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from adapters.errors import AdapterGone, AdapterNotUsable
from adapters.registry import folders
from adapters.registry.aliases import ALIASES, CANDIDATE, CHAMPION
from adapters.serving import EMBEDDED, EMBEDDED_ADAPTER, ENDPOINT, base_fingerprint
from dojang.served import registry_of

if TYPE_CHECKING:
    from dojang.settings import Settings
    from nodes.ports import Generator

_log = logging.getLogger(__name__)
_MARK: Final = "#"
_ID: Final = re.compile(r"[0-9a-f]{16}")
Beside = Callable[[str, Path], "Generator"]
"""From a name and a folder to a generator of that adapter on the base that is loaded."""
Named = Callable[[str], "Generator"]
"""From a name at the endpoint to a generator that speaks with it."""


class Voices:
    """The speakers of a home. Thread-safe.

    Args:
        settings: Which model, which adapter, which share for the candidate.
        default: Gives the generator of what goes with the model.
        beside: Loads an adapter of a folder on the same base.
        named: Speaks with an adapter of an endpoint.
    """

    def __init__(self, settings: Settings, default: Callable[[], Generator], beside: Beside, named: Named) -> None:
        self.settings = settings
        self.registry = registry_of(settings)
        self._default, self._beside, self._named = default, beside, named
        self._made: dict[str, Generator] = {}
        self._lock = threading.Lock()
        self._base: str | None = None

    # -- who begins -----------------------------------------------------------------------------------------------

    def begin(self, thread_id: str) -> str:
        """The adapter of a new thread: the one that the settings name, else the champion of this base, else "".

        Raises:
            AdapterNotUsable: what the settings name is not there, or the champion is gone from the disk.
            DamagedPromotions: the log that says who is champion was changed.
        """
        wanted = self.settings.adapter or ""
        if self.endpoint and not self.served:
            return self.registry.aliases().get(wanted, wanted) if wanted in ALIASES else wanted
        if wanted in ("", CHAMPION):
            return self._champion(thread_id, needed=bool(wanted))
        if wanted in ALIASES:
            return self.registry.resolve(wanted)
        if self.endpoint:
            return wanted
        if wanted == EMBEDDED_ADAPTER and self.settings.model == EMBEDDED and wanted not in self.settings.adapters:
            return ""
        folder = Path(self.settings.adapters.get(wanted, wanted)).expanduser().absolute()
        return kept_as(folder) if folder.is_dir() else self._registered(wanted)

    def champion(self) -> str:
        """The champion, where it is one of this base; else "". Raises AdapterGone where it is gone from the disk."""
        return self._fitting(self.registry.aliases().get(CHAMPION, ""))

    def candidate(self) -> str:
        """The candidate, where it is there and of this base; else "". Only an endpoint that is given it has one."""
        if self.endpoint and not self.served:
            return ""
        try:
            return self._fitting(self.registry.aliases().get(CANDIDATE, ""))
        except AdapterGone as gone:
            _log.warning("the candidate is left aside: %s", gone)
            return ""

    @property
    def endpoint(self) -> bool:
        """Whether another server has the model: then it has the adapters, too."""
        return self.settings.model.startswith(ENDPOINT)

    @property
    def served(self) -> bool:
        """Whether that server is given the adapters of this registry."""
        return self.endpoint and self.registry.server is not None

    def _champion(self, thread_id: str, *, needed: bool) -> str:
        if in_share(thread_id, self.settings.canary) and (candidate := self.candidate()):
            return candidate
        if champion := self.champion():
            return champion
        if not needed:
            return ""
        found = self.registry.resolve(CHAMPION)  # says so where there is none
        raise AdapterNotUsable(
            f"the champion {found} was trained on another base than {self.settings.model}; serve its own base, or "
            "promote an adapter of this one"
        )

    def _registered(self, wanted: str) -> str:
        try:
            return self.registry.resolve(wanted)
        except AdapterNotUsable:
            known = ", ".join([*self.settings.adapters, *(entry["id"] for entry in self.registry.entries())]) or "none"
            raise AdapterNotUsable(
                f"no adapter {wanted!r}: neither a folder nor a name of DOJANG_ADAPTERS or the registry (known: "
                f"{known}); correct DOJANG_ADAPTER"
            ) from None

    def _fitting(self, adapter: str) -> str:
        if not adapter:
            return ""
        if not (self.registry.adapters / adapter).is_dir():
            raise gone(adapter)
        if self.endpoint:  # its base is not here to be looked at: it refused what is of another when the name moved
            return adapter
        if self._base is None:
            self._base = base_fingerprint(self.settings.model, download=self.settings.model_download)
        return adapter if folders.entry(self.registry.adapters, adapter)["base"] == self._base else ""

    # -- who goes on ----------------------------------------------------------------------------------------------

    def speaker(self, adapter: str) -> Generator:
        """The generator of an adapter, as :meth:`begin` names it; loaded when it is first wanted.

        Raises:
            AdapterGone: it is not there, or another one by now; nobody speaks in its place.
            DamagedAdapter: its files in the registry were changed.
            AdapterNotUsable: it does not fit the model that is set.
        """
        if not adapter:
            return self._default()
        made = self._made.get(adapter)
        if made is not None:
            return made
        with self._lock:
            if adapter not in self._made:
                self._made[adapter] = self._load(adapter)
            return self._made[adapter]

    def _load(self, adapter: str) -> Generator:
        if self.endpoint:
            if self.served and _ID.fullmatch(adapter) and not self.registry.has(adapter):
                raise gone(adapter)
            return self._named(adapter)
        path, mark, weights = adapter.rpartition(_MARK)
        if mark:
            return self._of_folder(Path(path), weights)
        if not (self.registry.adapters / adapter).is_dir():
            raise gone(adapter)
        folders.verify(self.registry.adapters, adapter)
        return self._beside(adapter, self.registry.adapters / adapter)

    def _of_folder(self, folder: Path, weights: str) -> Generator:
        if not folder.is_dir() or kept_as(folder) != f"{folder}{_MARK}{weights}":
            raise AdapterGone(
                f"the adapter that this conversation began with is not in {folder} any more; put its weights back "
                f"there (fingerprint {weights}), or begin another conversation"
            )
        return self._beside(folder.resolve().name.replace(".", "-"), folder)


def kept_as(folder: Path) -> str:
    """What a thread keeps of an adapter that is only a folder: where, and which weights."""
    from adapters.local.loading import fingerprint

    return f"{folder}{_MARK}{fingerprint(folder)}"


def in_share(thread_id: str, share: float) -> bool:
    """Whether a thread is among this share of all, by the hash of its id: the same in every process."""
    place = int.from_bytes(hashlib.sha256(thread_id.encode("utf-8", "surrogatepass")).digest()[:8], "big")
    return place < share * 2**64


def gone(adapter: str) -> AdapterGone:
    """What is said of an adapter of the registry that is not there."""
    return AdapterGone(
        f"adapter {adapter} is not in the registry of this home, and no other speaks in its place; put it back with "
        "`dojang adapters add DIR` (the same files are the same adapter)"
    )


__all__ = ["Voices", "gone", "in_share", "kept_as", "registry_of"]
