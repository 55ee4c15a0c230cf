"""The operator console: server-rendered pages over the workspace. ADR 25 says how it is laid out.

One module a part: ``desk`` is what every handler has at hand, ``frame`` the pane on the left, ``inbox`` the list,
``reviews`` and ``item`` the card, ``deciding`` what is said to it, then a module a place. Templates and static files
lie beside them in folders of the same names.
"""

from typing import Final

from fastapi import APIRouter

from dojang.server.console import bulk, deciding, documents, halting, inbox, reference, reviews, taking, threads

ROUTERS: Final[tuple[APIRouter, ...]] = (
    inbox.router,
    reviews.router,
    deciding.router,
    bulk.router,
    halting.router,
    taking.router,
    threads.router,
    documents.router,
    reference.router,
)
"""In the order in which their routes are asked; ``app.py`` includes them."""
