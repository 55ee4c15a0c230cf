"""What the settings choose of one part, for whoever needs that part alone: ``dojang.parts`` and a few commands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dojang.settings import Settings, outside

if TYPE_CHECKING:
    from store.models.embedding import Embedder
    from tools.mcp.servers import McpServers


def mcp_servers_of(settings: Settings, *, connects: bool) -> McpServers | None:
    """The MCP servers that the settings name; without ``connects`` only as they were accepted. BrokenServers."""
    if settings.mcp is None:
        return None
    from tools.mcp.servers import McpServers

    return McpServers.open(settings.mcp, outside=outside(), logs=settings.home / "mcp", connects=connects)


def qdrant_place(settings: Settings) -> str | None:
    """Folder or URL where the settings choose Qdrant; None for PostgreSQL."""
    kind, _, place = settings.store.partition(":")
    return place if kind == "qdrant" else None


def store_key(settings: Settings) -> str | None:
    """The key of the Qdrant server."""
    return settings.store_api_key.get_secret_value() if settings.store_api_key else None


def load_embedder_of(settings: Settings) -> Embedder | None:
    """The embedding model that the settings name; None for ``none``."""
    from store import load_embedder

    return load_embedder(settings.embedding, **embedder_options(settings))


def embedder_options(settings: Settings) -> dict[str, Any]:
    """What ``store.load_embedder`` is told beside the model's name, here and in other processes."""
    return {
        "base_url": settings.embedding_base_url,
        "api_key": settings.embedding_api_key.get_secret_value() if settings.embedding_api_key else None,
        "dimension": settings.embedding_dimension,
        "languages": list(settings.embedding_languages),
    }
