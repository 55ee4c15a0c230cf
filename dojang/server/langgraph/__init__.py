"""The routes of a LangGraph server, so that ``langgraph-sdk``, ``RemoteGraph`` and what is built on them work.

Each module is one resource. They translate between the SDK's words and ours; what happens is the workspace's doing, and
runs are :mod:`dojang.server.work`'s. Crons are not served: nothing here acts by the clock without a person.
"""

from fastapi import APIRouter

from dojang.server.langgraph import assistants, commands, events, items, runs, states, threads
from dojang.server.langgraph.document import REFUSALS
from dojang.server.programs import ProgramRoute

router = APIRouter(route_class=ProgramRoute, responses=REFUSALS)
for part in (assistants, commands, events, items, runs, states, threads):
    router.include_router(part.router)

__all__ = ["router"]
