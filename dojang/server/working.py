"""A process that only carries runs out: its orders come from the database (``dojang work``).

Nobody reaches it, but for probes and Prometheus where an address is named (:mod:`dojang.server.probed`).
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType

from dojang.language import locale_language
from dojang.observing.logs import logging_as
from dojang.observing.scrubbing import Scrubber
from dojang.server.probed import bound, listening
from dojang.server.serving import url_of
from dojang.server.wording import sayer
from dojang.server.work import Work
from dojang.settings import Settings, secrets_of
from dojang.workspace import Workspace
from state import UserError
from store.database import describe

log = logging.getLogger(__name__)


def work(
    settings: Settings,
    workspace: Workspace,
    *,
    workers: int | None = None,
    name: str | None = None,
    listen: str | None = None,
    on_ready: Callable[[str, int, str, str], None],
) -> bool:
    """Carry out accepted runs until a signal to end comes; those under way are then ended as a server ends them.

    Args:
        settings: where the sessions lie.
        workspace: the one whose runs are carried out.
        workers: runs at a time; as the settings say when None.
        name: of this process, in logs; the machine's and the process's when None.
        listen: address and port at which it says how it is; None: nowhere.
        on_ready: called with the name, the number of workers, the database and where it listens ("": nowhere) when runs
            are taken.

    Returns:
        Whether everything has come to its end, as ``dojang.server.app.serve`` says it.

    Raises:
        UserError: the sessions are files, whose runs are their server's; or ``listen`` is no address.
        CannotServe: the address cannot be bound.
    """
    database = workspace.parts.sessions.database
    if database is None:
        raise UserError(
            "the runs of this home are carried out by its server; for workers beside it, on this machine or others, "
            "put the sessions into PostgreSQL: DOJANG_SESSIONS=postgres and DOJANG_DATABASE_URL"
        )
    workers = workers or settings.workers or int(Settings.model_fields["workers"].default)
    name = name or f"{socket.gethostname()}-{os.getpid()}"
    listener = bound(listen) if listen is not None else None
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    workspace.check_policy()
    if listener is not None:
        workspace.parts.observe(numbers=True)
    say = sayer(settings.language or locale_language())
    for line in workspace.server_problems():
        print(say.told(line), file=sys.stderr, flush=True)
    with (
        logging_as(settings.log_format, settings.log_level, Scrubber(secrets_of(settings))),
        _until_told() as told,
        listener or contextlib.nullcontext(),
        _working(workspace, listener, workers, name) as worker,
    ):
        assert worker.shared is not None
        assert worker.shared.dispatch is not None
        while not told.is_set() and not worker.shared.dispatch.listening.wait(0.1):
            pass
        if not told.is_set():
            on_ready(name, workers, describe(workspace.parts.dsn), url_of(listener) if listener is not None else "")
        told.wait()
        log.info("%s takes no more runs; those under way come to their next step", name)
    return not worker.left


@contextlib.contextmanager
def _working(workspace: Workspace, listener: socket.socket | None, workers: int, name: str) -> Iterator[Work]:
    """It says how it is from before it takes runs until the last one is over."""
    work = Work(workspace, workers=workers, follows=False, name=name)
    with listening(listener, workspace, work), work:
        yield work


@contextlib.contextmanager
def _until_told() -> Iterator[threading.Event]:
    """Set by the first signal to end; a second one ends the process at once."""
    told = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        told.set()
        for one, before in former.items():
            signal.signal(one, before)

    former = {one: signal.signal(one, end) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield told
    finally:
        for one, before in former.items():
            signal.signal(one, before)
