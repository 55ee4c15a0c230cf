"""Whether the server is there."""

from __future__ import annotations

from fastapi import APIRouter

import dojang
from dojang.server.models import Health

router = APIRouter()


@router.get("/ok", tags=["server"])
async def ok() -> Health:
    """Whether the server answers. Touches neither files nor database."""
    return Health(version=dojang.__version__)
