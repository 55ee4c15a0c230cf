"""A registry whose adapters another server serves: which that is by the settings, and what is put back into it.

Knows vLLM alone (``adapters.registry.vllm``). The server's own names, and every other endpoint, are left as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from adapters.registry.aliases import Registry

if TYPE_CHECKING:
    from adapters.registry.vllm import VllmServer
    from dojang.settings import Settings


def server_of(settings: Settings) -> VllmServer | None:
    """Who serves the adapters of a home beside this process; None where nobody does.

    Also where the model of the settings is a local one: who trains beside a server moves the names that it serves, too.

    Raises:
        BadSetting: there is no URL.
    """
    from adapters.registry.vllm import VllmServer
    from dojang.settings import BadSetting

    if settings.model_server is None:
        return None
    if not settings.model_base_url:
        raise BadSetting(
            f"setting DOJANG_MODEL_SERVER: {settings.model_server} needs DOJANG_MODEL_BASE_URL, where it is"
        )
    return VllmServer(
        settings.model_base_url,
        settings.model_server_adapters or str(settings.home / "registry" / "adapters"),
        settings.model_api_key.get_secret_value() if settings.model_api_key else None,
        settings.model_timeout_s,
    )


def registry_of(settings: Settings) -> Registry:
    """The registry of a home, with whoever serves it. Raises BadSetting."""
    return Registry(settings.home / "registry", server_of(settings))


def putting_back(settings: Settings) -> Callable[[str], bool] | None:
    """What an endpoint is given that has forgotten an adapter; None where nothing is given to it."""
    if settings.model_server is None:
        return None
    registry = registry_of(settings)

    def put_back(adapter: str) -> bool:
        if not registry.has(adapter):
            return False
        registry.serve(adapter)
        return True

    return put_back


__all__ = ["putting_back", "registry_of", "server_of"]
