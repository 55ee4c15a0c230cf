"""A vLLM server that is given adapters of the registry while it runs, by its routes for that.

``POST /v1/load_lora_adapter {lora_name, lora_path}``, ``POST /v1/unload_lora_adapter {lora_name}`` and
``GET /v1/models``, which lists what is loaded (https://docs.vllm.ai/en/latest/features/lora/). The server reads the
folder itself, at a path of its own: in a container the registry is mounted somewhere. An adapter is called by its id,
so that one name never means two adapters. Knows no alias and starts no server.
"""

from __future__ import annotations

import logging
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from adapters.errors import EndpointFault, EndpointRefused
from state import DojangError

_RANK: Final = re.compile(r"rank (\d+) is greater than max_lora_rank (\d+)")
_OFF: Final = re.compile(r"LoRA is not enabled", re.IGNORECASE)
_FULL: Final = re.compile(r"max_loras|max_cpu_loras|lora slots?\b|lora capacity", re.IGNORECASE)
_SHOWN: Final = 200
_BUSY: Final = frozenset({429, 502, 503, 504})
"""What a proxy or a server says that is starting, or is too busy."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class VllmServer:
    """One server.

    ``base_url``: as clients of it have it, ``http://host:8000/v1``. ``folder``: where it finds the registry's folder of
    adapters, as it calls it. ``timeout_s``: how long a load may take, a reading of weights from a disk included.
    """

    base_url: str
    folder: str
    api_key: str | None = None
    timeout_s: float = 60.0

    def load(self, adapter: str) -> None:
        """Have an adapter of the registry loaded; nothing to do where it is.

        Raises:
            EndpointFault: the server is away, too busy or starting.
            EndpointRefused: it does not take adapters, finds none there, or not this one; the message says why.
        """
        path = f"{self.folder.rstrip('/')}/{adapter}"
        answer = self._ask("POST", "load_lora_adapter", {"lora_name": adapter, "lora_path": path})
        if answer.is_success or (not _no_such_route(answer) and self._has(adapter)):
            return  # a second load of one name is refused, whoever did the first
        raise self._refusal(answer, adapter, path)

    def unload(self, adapter: str) -> None:
        """Have an adapter forgotten, where the server is up and knows it; what fails is logged."""
        try:
            answer = self._ask("POST", "unload_lora_adapter", {"lora_name": adapter})
        except EndpointFault as away:
            _log.warning("adapter %s was not unloaded: %s", adapter, away)
            return
        if not answer.is_success and answer.status_code != 404:  # 404: it has none of that name
            _log.warning("adapter %s was not unloaded: %s (HTTP %d)", adapter, self._url, answer.status_code)

    def loaded(self) -> list[str]:
        """The names that it answers to, its base among them. Raises as :meth:`load`."""
        answer = self._ask("GET", "models")
        if not answer.is_success:
            raise self._refusal(answer, "", "")
        try:
            return [str(model["id"]) for model in answer.json()["data"]]
        except (ValueError, KeyError, TypeError):
            raise EndpointRefused(f"{self._url} lists no models; check the model's URL") from None

    # -- inside ---------------------------------------------------------------------------------------------------

    @property
    def _url(self) -> str:
        return re.sub(r"//[^/@]*@", "//", self.base_url)

    def _has(self, adapter: str) -> bool:
        try:
            return adapter in self.loaded()
        except EndpointRefused:
            return False

    def _ask(self, method: str, route: str, body: dict[str, str] | None = None) -> Any:
        import httpx

        headers = {"Authorization": f"Bearer {self.api_key}"} if self.api_key else {}
        url = f"{self.base_url.rstrip('/')}/{route}"
        try:
            answer = httpx.request(method, url, json=body, headers=headers, timeout=self.timeout_s)
        except httpx.TimeoutException:
            raise EndpointFault(
                f"{self._url} did not answer in time; try again, or raise the model's time limit"
            ) from None
        except (httpx.HTTPError, httpx.InvalidURL):
            raise EndpointFault(
                f"{self._url} cannot be reached; check that the server runs and the URL is right"
            ) from None
        if answer.status_code in _BUSY:
            raise EndpointFault(f"{self._url} failed (HTTP {answer.status_code}); try again later")
        return answer

    def _refusal(self, answer: Any, adapter: str, path: str) -> DojangError:
        """Why an adapter was not taken, in a line that says what to do; nothing that the server says has the key."""
        told, url, status = self._told(answer), self._url, answer.status_code
        if status in (401, 403):
            return EndpointRefused(f"{url} refused the API key (HTTP {status}); set another key")
        if _no_such_route(answer):
            return EndpointRefused(
                f"{url} takes no adapters while it runs; start vLLM with --enable-lora and "
                "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True"
            )
        if ranks := _RANK.search(told):
            rank, most = ranks.groups()
            return EndpointRefused(
                f"adapter {adapter} has rank {rank}, and {url} takes {most} at most; start vLLM with --max-lora-rank "
                f"{rank} or more, or train with a smaller --rank"
            )
        if _OFF.search(told):
            return EndpointRefused(f"{url} serves no adapters; start vLLM with --enable-lora")
        if _FULL.search(told):
            return EndpointRefused(
                f"{url} has no room for adapter {adapter}; start vLLM with more --max-loras and --max-cpu-loras, or "
                "delete what nobody uses with `dojang adapters gc`"
            )
        if status == 404:
            return EndpointRefused(
                f"{url} finds no adapter at {path}; let it see the registry's folder, and set "
                "DOJANG_MODEL_SERVER_ADAPTERS to where that is for the server"
            )
        if status >= 500 and not told:
            return EndpointFault(f"{url} failed (HTTP {status}); try again later")
        return EndpointRefused(f"{url} did not take adapter {adapter} (HTTP {status}): {told or 'it said nothing'}")

    def _told(self, answer: Any) -> str:
        """What the server says is wrong, as one short line."""
        told = ""
        with suppress(ValueError, AttributeError):
            body = answer.json()
            inner = body.get("error", body)  # before 0.10 the error was the whole body
            told = str((inner if isinstance(inner, dict) else body).get("message") or "")
        line = " ".join(told.split())
        line = line.replace(self.api_key, "…") if self.api_key else line
        return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}…"


def _no_such_route(answer: Any) -> bool:
    """Whether the server has no such route at all; an adapter that it does not find is told in another form."""
    if answer.status_code not in (404, 405):
        return False
    try:
        body = answer.json()
    except ValueError:
        return True
    return not isinstance(body, dict) or "detail" in body


__all__ = ["VllmServer"]
