"""Procrastinate's worker in a thread of its own: it hears of jobs, and says which run somebody here is to look at."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import psycopg
import psycopg_pool
from procrastinate import App, PsycopgConnector
from procrastinate.exceptions import ProcrastinateException
from procrastinate.worker import Worker

from checkpoints.postgres.database import DEAD_S, SETTINGS
from dojang.server.work.postgres.tables import QUEUE, TASK

log = logging.getLogger(__name__)

POLL_S: Final = 0.5
"""How often it looks for jobs whose time has come: PostgreSQL tells of those that are made."""
HEART_S: Final = 2.0
AGAIN_S: Final = 1.0
CONNECTIONS: Final = 3
CONNECT_S: Final = 5.0


class Dispatch:
    """Carries out jobs until it is told to stop; a database that goes away is waited for.

    Args:
        dsn: the database.
        carry: called with a run's id, in a thread: it may carry it out, which takes as long as it takes.
        workers: how many at a time.
        name: of this process, in logs.
    """

    def __init__(self, dsn: str, carry: Callable[[str], None], *, workers: int, name: str) -> None:
        self.dsn, self.carry, self.workers, self.name = dsn, carry, workers, name
        self.thread = threading.Thread(target=self._run, name="dojang-queue", daemon=True)
        self.listening = threading.Event()
        self._lock = threading.Lock()
        self._stopping = False
        self._worker: Any = None  # procrastinate.worker.Worker, whose methods have no types
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="dojang-worker")

    @property
    def worker_id(self) -> int | None:
        """By which number the database knows it; None while it is not known there."""
        worker = self._worker
        return worker.worker_id if worker is not None and self.listening.is_set() else None

    def stop(self) -> None:
        """Take nothing more; the thread ends when what is under way has come to its end. From any thread."""
        with self._lock:
            self._stopping = True
            worker = self._worker
        if worker is not None:
            worker.stop()

    def _run(self) -> None:
        logging.getLogger("procrastinate").setLevel(logging.CRITICAL)  # what happens is told by us
        try:
            asyncio.run(self._go())
        finally:
            self._pool.shutdown(wait=False)

    async def _go(self) -> None:
        while not self._stopping:
            try:
                await self._work()
            except (ProcrastinateException, psycopg.Error, psycopg_pool.PoolTimeout, OSError) as error:
                log.warning("%s waits for the database: %s", self.name, error.__cause__ or error)
            except Exception:
                log.exception("%s stumbled; it goes on", self.name)
            finally:
                self.listening.clear()
            if not self._stopping:
                await asyncio.sleep(AGAIN_S)

    async def _work(self) -> None:
        connector = PsycopgConnector(
            conninfo=self.dsn,
            configure=_configure,
            min_size=1,
            max_size=CONNECTIONS,
            timeout=CONNECT_S,
            reconnect_timeout=CONNECT_S,
            kwargs={"connect_timeout": int(CONNECT_S)},
        )
        app = App(connector=connector)
        loop = asyncio.get_running_loop()

        @app.task(name=TASK, queue=QUEUE)
        async def look(run_id: str) -> None:
            await loop.run_in_executor(self._pool, self.carry, run_id)

        async with app.open_async():
            worker: Any = Worker(
                app,
                queues=[QUEUE],
                name=self.name,
                concurrency=self.workers,
                fetch_job_polling_interval=POLL_S,
                abort_job_polling_interval=3600.0,  # nobody aborts jobs: a run is stopped by its row
                delete_jobs="always",
                install_signal_handlers=False,
                update_heartbeat_interval=HEART_S,
                stalled_worker_timeout=DEAD_S,
            )
            with self._lock:
                if self._stopping:
                    return
                self._worker = worker
            running = asyncio.create_task(worker.run())
            while worker.worker_id is None and not running.done():
                await asyncio.sleep(0.01)
            self.listening.set()
            if self._stopping:  # said while it began, when it would have been forgotten
                worker.stop()
            await running


async def _configure(db: psycopg.AsyncConnection[Any]) -> None:
    """As ours; but what is lost of jobs in a crash of the database is made again, so nobody waits for its disk."""
    await db.execute(f"{SETTINGS}; SET synchronous_commit = off")
    await db.commit()
