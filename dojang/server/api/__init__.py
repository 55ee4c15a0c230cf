"""Our own HTTP API, one module a noun (ADR 21). Each makes the calls that the command line makes as well.

Nothing is decided here: who may is the table of access, what may happen is the workspace's.
"""

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
from dojang.server.programs import ProgramRoute

router = APIRouter()
router.include_router(health.router)
programs = APIRouter(route_class=ProgramRoute)
for part in (reviews, threads, documents, passages, uploads, search, adapters, datasets, policy, audit):
    programs.include_router(part.router)
router.include_router(programs)

__all__ = ["router"]
