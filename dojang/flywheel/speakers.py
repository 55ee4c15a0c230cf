"""Who is compared at the gate: one base in memory, its adapters switched; at an endpoint, names that the server knows.

A speaker is named by what it is, so that what it said can be kept: fingerprints of base and adapter, how it decodes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from adapters.gate.nearest import SHOWN_TURNS, PastEdit, Reminded
from adapters.gate.replies import Speaker, speaker_name
from state import JSON

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from adapters.generator import ChatGenerator
    from adapters.local.chat import ChatLlama
    from dojang.settings import Settings

ENDPOINT = "openai:"


@dataclass(frozen=True)
class Adapter:
    """One adapter to compare. ``id`` in the registry, "" for what goes with the model; no ``folder``: the base alone.

    ``served``: its name at an endpoint.
    """

    id: str
    folder: Path | None = None
    served: str = ""


class Panel:
    """Speakers over one base, which is loaded once, when the first of them is wanted."""

    def __init__(self, settings: Settings, adapters: list[Adapter]) -> None:
        self._settings, self._adapters = settings, adapters
        self._day = ""
        self._chat: ChatLlama | None = None

    def speaker(self, adapter: Adapter | None) -> Speaker:
        """An adapter, or the base alone."""
        what, generator = self._endpoint(adapter) if self._remote else self._local(adapter)
        return Speaker(speaker_name(**what), generator, self._tell)

    def reminded(self, adapter: Adapter | None, edits: list[PastEdit], k: int) -> Speaker:
        """The same, shown the nearest past edits."""
        what, generator = self._endpoint(adapter) if self._remote else self._local(adapter)
        shown = Reminded(generator, edits, k=k, short=self.reading)
        return Speaker(speaker_name(**what, nearest=[k, SHOWN_TURNS]), shown, self._tell)

    @property
    def reading(self) -> bool:
        """Whether the base is one of this project, which reads few turns and was taught the front desk."""
        from adapters.decoding import Decoding

        if self._remote:
            return False
        return Decoding.read(self._loaded().engine.local.directory).strategy == "reading"

    # -- inside ---------------------------------------------------------------------------------------------------

    @property
    def _remote(self) -> bool:
        return self._settings.model.startswith(ENDPOINT)

    def _tell(self, day: str) -> None:
        self._day = day

    def _today(self) -> str:
        from datetime import date

        return self._day or date.today().isoformat()

    def _local(self, adapter: Adapter | None) -> tuple[dict[str, JSON], ChatGenerator]:
        from adapters.decoding import Decoding
        from adapters.generator import ChatGenerator
        from adapters.local.loading import fingerprint
        from adapters.serving import decoding_of

        loaded = self._loaded()
        local, folder = loaded.engine.local, adapter.folder if adapter else None
        named = next((name for name, path in local.adapters.items() if path == folder), None)
        chat = loaded.model_copy(update={"adapter": named})
        decoding = decoding_of(chat) or Decoding()
        what: dict[str, JSON] = {
            "base": local.fingerprint, "quantization": local.quantization, "decoding": asdict(decoding),
            "adapter": [fingerprint(folder), _config(folder)] if folder else [],
        }  # fmt: skip
        return what, ChatGenerator(chat, today=self._today, decoding=decoding)

    def _endpoint(self, adapter: Adapter | None) -> tuple[dict[str, JSON], ChatGenerator]:
        from adapters.generator import ChatGenerator

        s, served = self._settings, (adapter.served or None) if adapter else None
        what: dict[str, JSON] = {"model": s.model, "url": s.model_base_url, "adapter": served, "strict": s.model_strict}
        return what, ChatGenerator(self._load(served), today=self._today, strict=s.model_strict, prices=s.model_prices)

    def _loaded(self) -> ChatLlama:
        if self._chat is None:
            folders = {f"gate{n}": str(a.folder) for n, a in enumerate(self._adapters) if a.folder is not None}
            self._chat = cast("ChatLlama", self._load(None, folders))
        return self._chat

    def _load(self, adapter: str | None, adapters: dict[str, str] | None = None) -> BaseChatModel:
        from adapters import load_chat
        from dojang.served import putting_back

        s = self._settings
        options: dict[str, Any] = {
            "quantization": s.quantization, "device": s.device, "int8_threshold": s.int8_threshold,
            "allow_pickle": s.allow_pickle, "download": s.model_download, "base_url": s.model_base_url,
            "api_key": s.model_api_key.get_secret_value() if s.model_api_key else None,
            "timeout_s": s.model_timeout_s, "max_retries": s.model_retries, "budget_s": s.model_budget_s,
            "put_back": putting_back(s),
        }  # fmt: skip
        return load_chat(s.model, adapter=adapter, adapters=adapters, **options)


def _config(folder: Path) -> str:
    """The hash of how an adapter's weights are applied: the same ones at another scale are another adapter."""
    return hashlib.sha256((folder / "adapter_config.json").read_bytes()).hexdigest()[:16]


Progress = Callable[[int, int, str], None]

__all__ = ["Adapter", "Panel", "Progress"]
