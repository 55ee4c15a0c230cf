"""The routes of a LangGraph server, so that ``langgraph-sdk``, ``RemoteGraph`` and what is built on them work.

Each module is one resource. They translate between the SDK's words and ours; what happens is the workspace's doing, and
runs are :mod:`dojang.server.work`'s. Crons are not served: nothing here acts by the clock without a person.
"""

from typing import Final

from fastapi import APIRouter

from dojang.server.langgraph import assistants, commands, events, items, runs, states, threads

ROUTERS: Final[tuple[APIRouter, ...]] = tuple(
    part.router for part in (assistants, commands, events, items, runs, states, threads)
)
"""In the order in which their routes are asked; ``app.py`` takes them in."""

__all__ = ["ROUTERS"]
