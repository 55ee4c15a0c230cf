"""Our own HTTP API, one module a noun (ADR 21). Each makes the calls that the command line makes as well.

Nothing is decided here: who may is the table of access, what may happen is the workspace's.
"""

from typing import Final

from fastapi import APIRouter

from dojang.server.api import (
    adapters,
    audit,
    datasets,
    documents,
    health,
    passages,
    policy,
    reviews,
    search,
    threads,
    uploads,
)

_PARTS: Final = (health, reviews, threads, documents, passages, uploads, search, adapters, datasets, policy, audit)
ROUTERS: Final[tuple[APIRouter, ...]] = tuple(part.router for part in _PARTS)
"""In the order in which their routes are asked; ``app.py`` takes them in."""

__all__ = ["ROUTERS"]
