"""What is saved of a run is saved by the thread that runs it, and not by a pool that is made for each run.

LangGraph hands every call of the saver to a pool of threads of its own, one pool a run, and with ``durability="sync"``
waits for it: a dozen times a run a thread is begun or woken to do what takes a tenth of a millisecond, while the one
that woke it stands still. That is a quarter of what a run costs. LangGraph has no setting for it: its pool comes from
one function, in whose place :func:`install` puts ours. Where LangGraph is another one some day, nothing is put in its
place, and runs cost what they did (ADR 41).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final, cast

from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ContextThreadPoolExecutor
from langgraph.pregel import _executor

MARK: Final = "__dojang_saves_at_once"
"""Member of a run's ``configurable`` that asks for it. LangGraph keeps none that begins so in a checkpoint."""
SAVES: Final = ("put_writes", "_checkpointer_put_after_previous")
"""What LangGraph's loop calls to have something saved, by its name."""
_NAME: Final = "get_executor_for_config"

Pool = Callable[[RunnableConfig | None], AbstractContextManager[Any]]


class AtOnce(ContextThreadPoolExecutor):
    """LangGraph's pool, but for what saves: that is done when it is handed in, and its future is over on return.

    Everything else still gets a thread: tasks side by side, and whoever waits for words of a model.
    """

    def submit(  # type: ignore[override]
        self, func: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> Future[Any]:
        """As of every pool. ``func`` is ``Context.run``, its first argument what LangGraph wants to have called."""
        if not args or getattr(args[0], "__name__", "") not in SAVES:
            return super().submit(func, *args, **kwargs)
        done: Future[Any] = Future()
        try:
            done.set_result(func(*args, **kwargs))
        except Exception as failed:  # a Ctrl-C is nobody's failure to save, and ends the run here
            done.set_exception(failed)
        return done


def install() -> bool:
    """Give runs that carry :data:`MARK` our pool, once a process; whether LangGraph takes it."""
    theirs: Pool | None = getattr(_executor, _NAME, None)
    if theirs is None or getattr(theirs, "ours", False):
        return theirs is not None

    @contextmanager
    def pool_for(config: RunnableConfig | None) -> Iterator[Any]:
        if not ((config or {}).get("configurable") or {}).get(MARK):
            with theirs(config) as pool:
                yield pool
            return
        with AtOnce(max_workers=(config or {}).get("max_concurrency")) as pool:
            yield pool

    cast(Any, pool_for).ours = True
    setattr(_executor, _NAME, pool_for)
    return True


AT_ONCE: Final[dict[str, Any]] = {MARK: True} if install() else {}
"""What a run's ``configurable`` has to have."""
