"""Work that takes longer than a page should: one thing at a time, watched on a page of its own, kept in memory only.

A restart forgets it, and the page then says so. It changes nothing: what must survive a kill (uploads, runs) has its
own record on the disk.
"""

from __future__ import annotations

import logging
import queue
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from starlette.requests import Request

from dojang.workspace import UnknownReview
from state import DojangError, PassingFault, person_of

log = logging.getLogger(__name__)
WAITING_MOST: Final = 5
KEPT: Final = 40
Tell = Callable[[str], None]
Task = Callable[[Tell], Any]


class UnknownJob(UnknownReview):
    """There is no such work, or the server was started again since."""


class TooBusy(PassingFault):
    """Others' work waits already."""


@dataclass
class Job:
    """One piece of work. ``result`` is there once it is done."""

    id: str
    kind: str
    by: str
    at: datetime
    state: Literal["waiting", "working", "done", "failed"] = "waiting"
    step: str = ""  # what it is at
    error: str = ""
    result: Any = None

    @property
    def over(self) -> bool:
        """Whether there is nothing to wait for."""
        return self.state in ("done", "failed")


class Jobs:
    """The work of one server process. Thread-safe."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._queue: queue.SimpleQueue[tuple[Job, Task]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def begin(self, kind: str, by: str, at: datetime, task: Task) -> Job:
        """Put work in line. Raises TooBusy where enough waits already."""
        with self._lock:
            if sum(not job.over for job in self._jobs.values()) >= WAITING_MOST:
                raise TooBusy("the server is busy with other work of this kind; try again in a minute")
            job = Job(f"jb_{secrets.token_hex(8)}", kind, by, at)
            self._jobs[job.id] = job
            for old in [one.id for one in self._jobs.values() if one.over][: max(0, len(self._jobs) - KEPT)]:
                del self._jobs[old]
            self._queue.put((job, task))
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="dojang-jobs", daemon=True)
                self._thread.start()
        return job

    def get(self, job_id: str, kind: str, by: str) -> Job:
        """Somebody's own work. Raises UnknownJob."""
        job = self._jobs.get(job_id)
        if job is None or job.kind != kind or person_of(job.by) != person_of(by):
            raise UnknownJob("this is not known any more: the server was started again since, or it is long ago")
        return job

    def last(self, kind: str, by: str) -> Job | None:
        """The newest of somebody's own work of a kind."""
        mine = [job for job in self._jobs.values() if job.kind == kind and person_of(job.by) == person_of(by)]
        return mine[-1] if mine else None

    def wait(self) -> None:
        """Return when nothing is under way any more; for whoever has to know."""
        done = threading.Event()
        self.begin("wait", "", datetime.min, lambda tell: done.set())
        done.wait()

    def _serve(self) -> None:
        while True:
            job, task = self._queue.get()
            job.state = "working"

            def tell(step: str, job: Job = job) -> None:
                job.step = step

            try:
                job.result, job.state = task(tell), "done"
            except DojangError as error:
                job.error, job.state = str(error), "failed"
            except Exception as error:  # a bug of ours: the page says so, the log has it
                log.exception("%s failed", job.kind)
                job.error, job.state = f"something went wrong inside ({type(error).__name__})", "failed"


def jobs_of(request: Request) -> Jobs:
    """The work of the application."""
    found: Jobs = request.app.state.jobs
    return found
