"""One setting chooses the model: "embedded", a folder, a hub id, or "openai:NAME" at a base URL.

Knows where the shipped weights lie; imports torch or openai only when the chosen model needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from adapters.errors import AdapterNotUsable
from state import UserError

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from adapters.decoding import Decoding
    from adapters.generator import ChatGenerator
    from adapters.local.chat import ChatLlama

WEIGHTS: Final = Path(__file__).parent / "weights"
EMBEDDED: Final = "embedded"
EMBEDDED_ADAPTER: Final = "frontdesk"
ENDPOINT: Final = "openai:"


def load_chat(
    model: str = EMBEDDED,
    *,
    adapter: str | Path | None = EMBEDDED_ADAPTER,
    adapters: Mapping[str, str | Path] | None = None,
    base_url: str | None = None,
    api_key: str | None = None,
    quantization: str = "nf4",
    device: str = "auto",
    timeout_s: float = 60.0,
    max_retries: int = 1,
    budget_s: float = 90.0,
    int8_threshold: float = 6.0,
    allow_pickle: bool = False,
    download: bool = False,
    put_back: Callable[[str], bool] | None = None,
) -> BaseChatModel:
    """The chat model that the setting names.

    Args:
        model: "embedded" (the base that ships), a folder with a checkpoint, a hub id that is in the local cache
            (``owner/name``, ``owner/name@revision``), or "openai:NAME".
        adapter: Which adapter speaks: a name out of ``adapters``, "frontdesk" (ships with the embedded base), a PEFT
            folder, or None for the base alone. A folder model without ``adapters`` speaks alone by default. At an
            endpoint: the name under which the server knows it.
        adapters: More adapters to load beside it, name to folder.
        base_url: The endpoint, for "openai:NAME", for example ``http://127.0.0.1:8000/v1``.
        api_key: Its key; servers of one's own usually need none.
        quantization: "nf4", "int8", "bf16" or "fp32", for local models.
        device: "auto", "cpu", "cuda", for local models.
        timeout_s: How long an endpoint may take to answer.
        max_retries: How often a call to an endpoint is tried again.
        budget_s: Seconds after which it is not tried again.
        int8_threshold: Activations above it stay in 16 bits, with "int8".
        allow_pickle: Whether weights that are no safetensors are loaded.
        download: Whether a hub id may be downloaded.
        put_back: Called with the name of an adapter that an endpoint says it does not know; whether it was given it
            and is to be asked again, once a call.

    Raises:
        UserError: The model, adapter, URL or setting is not usable; the message says what to do.
    """
    if model.startswith(ENDPOINT):
        from adapters.speakers.remote import endpoint_chat

        served, url = _endpoint(model.removeprefix(ENDPOINT), base_url)
        speaks = None if adapter == EMBEDDED_ADAPTER and EMBEDDED_ADAPTER not in (adapters or {}) else adapter
        return endpoint_chat(
            served,
            url,
            adapter=None if speaks is None else str(speaks),
            api_key=api_key,
            timeout_s=timeout_s,
            max_retries=max_retries,
            budget_s=budget_s,
            put_back=put_back,
        )
    from adapters.local.chat import ChatLlama
    from adapters.local.engine import Engine
    from adapters.local.loading import load_local

    shipped = model == EMBEDDED
    folder = WEIGHTS / "base" if shipped else model
    folders = dict(adapters or {})
    name = _adapter(adapter, folders, shipped=shipped)
    local = load_local(
        folder,
        adapters=folders,
        quantization=quantization,
        device=device,
        int8_threshold=int8_threshold,
        allow_pickle=allow_pickle,
        download=download,
    )
    return ChatLlama(engine=Engine(local), adapter=name)


def load_generator(
    model: str = EMBEDDED,
    *,
    today: str | Callable[[], str] | None = None,
    strict: bool = True,
    prices: tuple[float, float] | None = None,
    **options: object,
) -> ChatGenerator:
    """``load_chat`` with the generator port around it and the decoding settings that were exported with the weights."""
    from adapters.generator import ChatGenerator
    from adapters.local.chat import ChatLlama

    chat = load_chat(model, **options)  # type: ignore[arg-type]
    decoding = decoding_of(chat) if isinstance(chat, ChatLlama) else None
    return ChatGenerator(chat, today=today, decoding=decoding, strict=strict, prices=prices)


def beside(generator: ChatGenerator, name: str, folder: Path) -> ChatGenerator:
    """A generator of one more adapter on the base that a local ``generator`` speaks with, which is loaded once.

    Others may speak meanwhile. ``name``: what the speaker is called; where another folder's adapter has that name, some
    digits of the fingerprint of its weights follow. Decoding settings are the adapter's own, or else the base's.

    Raises:
        AdapterNotUsable: missing, damaged, of another base; or no adapter can be loaded beside this model.
    """
    from adapters.generator import ChatGenerator
    from adapters.local.chat import ChatLlama
    from adapters.local.loading import fingerprint

    if not isinstance(generator.chat, ChatLlama):
        raise AdapterNotUsable(f"{folder} cannot be loaded at an endpoint; name an adapter that its server knows")
    engine = generator.chat.engine
    known: dict[str, Path] = dict(engine.local.adapters)
    called = next((n for n, path in known.items() if path == folder), name)
    if known.get(called, folder) != folder:
        called = f"{called}-{fingerprint(folder)[:8]}"
    engine.add_adapter(called, str(folder))
    chat = generator.chat.model_copy(update={"adapter": called})
    return ChatGenerator(chat, today=generator.today, decoding=decoding_of(chat))


def base_fingerprint(model: str, *, download: bool = False) -> str:
    """What names the weights of a local base, without loading it; "" for an endpoint."""
    from adapters.local.hub import locate
    from adapters.local.loading import fingerprint

    if model.startswith(ENDPOINT):
        return ""
    return fingerprint(WEIGHTS / "base" if model == EMBEDDED else locate(model, download=download)[0])


def decoding_of(chat: ChatLlama) -> Decoding | None:
    """How a local model speaks: as was measured with the adapter, or else with the base."""
    from adapters.decoding import DECODING_FILE, Decoding

    local = chat.engine.local
    spoken = local.adapters.get(chat.adapter) if chat.adapter else None
    places = [p for p in (spoken, local.directory, local.directory.parent) if p and (p / DECODING_FILE).exists()]
    return Decoding.read(places[0]) if places else None


def _adapter(adapter: str | Path | None, folders: dict[str, str | Path], *, shipped: bool) -> str | None:
    """The name that speaks; puts its folder among ``folders``, under a longer name where another one has its own."""
    from adapters.local.loading import fingerprint

    if adapter is None:
        return None
    if isinstance(adapter, str) and adapter in folders:
        return adapter
    if adapter == EMBEDDED_ADAPTER:
        if shipped:
            folders[EMBEDDED_ADAPTER] = WEIGHTS / EMBEDDED_ADAPTER
            return EMBEDDED_ADAPTER
        return None
    path = Path(adapter)
    if not path.is_dir():
        known = ", ".join([*folders, *([EMBEDDED_ADAPTER] if shipped else [])]) or "none"
        raise AdapterNotUsable(f"no adapter {str(adapter)!r}: neither a loaded name (loaded: {known}) nor a folder")
    name = path.resolve().name.replace(".", "-")
    if Path(folders.get(name, path)).resolve() != path.resolve():
        name = f"{name}-{fingerprint(path)[:8]}"
    folders[name] = path
    return name


def _endpoint(name: str, base_url: str | None) -> tuple[str, str]:
    """Name and URL, both there and possible."""
    if not name:
        raise UserError("the model setting 'openai:' lacks the model's name; write openai:NAME")
    if base_url is None:
        raise UserError(
            f"model openai:{name} needs a base URL; set it to the endpoint, for example http://127.0.0.1:8000/v1"
        )
    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UserError(
            f"the base URL {base_url!r} is no http or https address; write it like http://127.0.0.1:8000/v1"
        )
    return name, base_url
