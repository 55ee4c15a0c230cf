"""The operator console: server-rendered pages over the workspace. ADR 25 says how it is laid out.

One module a part: ``desk`` is what every handler has at hand, ``frame`` the pane on the left, ``inbox`` the list,
``reviews`` and ``item`` the card, ``deciding`` what is said to it, then a module a place. Templates and static files
lie beside them in folders of the same names.
"""

from typing import Final

from fastapi import APIRouter

from dojang.server.console import (
    adapters,
    audit,
    bulk,
    checks,
    deciding,
    documents,
    following,
    halting,
    handing,
    history,
    inbox,
    live,
    passages,
    reference,
    reviews,
    shift,
    taking,
    talking,
    thread,
    threads,
    training,
    uploading,
)

ROUTERS: Final[tuple[APIRouter, ...]] = (
    inbox.router,
    reviews.router,
    deciding.router,
    bulk.router,
    halting.router,
    taking.router,
    threads.router,
    talking.router,
    thread.router,
    following.router,
    history.router,
    live.router,
    documents.router,
    passages.router,
    uploading.router,
    training.router,
    adapters.router,
    audit.router,
    shift.router,
    handing.router,
    checks.router,
    reference.router,
)
"""In the order in which their routes are asked; ``app.py`` includes them."""
