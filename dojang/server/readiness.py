"""Whether a process could do its work now, and if not, why: short reasons that name no address, person or text.

A server is ready that can show pages, record decisions and take runs in. That nobody is there to carry them out is
told, and is no reason to send people away from their inbox.

Each look is made on a thread of its own and waited for no longer than ``LIMIT_S`` from its beginning: what hangs is not
ready, is not asked a second time while it hangs, and holds up nobody who asks later. What was found counts for a
second, however many ask.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from dojang.parts import Parts
from dojang.server.work import Work

LIMIT_S: Final = 1.0
KEPT_S: Final = 1.0
OPENAI: Final = "https://api.openai.com/v1"
Look = Callable[[], str]
"""Says what is wrong; "" for nothing. Whatever it raises is wrong, too, and is told by its type only."""


class Readiness:
    """Makes its looks, by name. Thread-safe; what is wrong in those that are ``only_told`` is a warning."""

    def __init__(self, looks: Mapping[str, Look], *, only_told: Collection[str] = ()) -> None:
        self.looks, self.only_told = dict(looks), frozenset(only_told)
        self._lock = threading.Lock()
        self._running: dict[str, tuple[float, Future[str]]] = {}
        self._found: tuple[float, dict[str, str]] = (-KEPT_S, {})

    def told(self) -> tuple[dict[str, str], dict[str, str]]:
        """Why it is not ready, and what is wrong besides; both by name, {} for nothing."""
        found = self.found()
        problems = {name: wrong for name, wrong in found.items() if name not in self.only_told}
        return problems, {name: wrong for name, wrong in found.items() if name in self.only_told}

    def found(self) -> dict[str, str]:
        """All that is wrong, by name."""
        with self._lock:
            at, found = self._found
            if time.monotonic() - at < KEPT_S:
                return found
            asked = {name: self._asked(name, look) for name, look in self.looks.items()}
            answers = {name: _answer(begun + LIMIT_S, future) for name, (begun, future) in asked.items()}
            found = {name: wrong for name, wrong in answers.items() if wrong}
            self._found = (time.monotonic(), found)
            return found

    def _asked(self, name: str, look: Look) -> tuple[float, Future[str]]:
        """When a look began, and what becomes of it: the one that is under way, or a new one.

        A thread of its own, and a daemon: one that hangs must not hold up an exit.
        """
        running = self._running.get(name)
        if running is not None and not running[1].done():
            return running
        future: Future[str] = Future()

        def ask() -> None:
            try:
                future.set_result(look())
            except Exception as error:
                future.set_exception(error)

        self._running[name] = (time.monotonic(), future)
        threading.Thread(target=ask, name=f"dojang-ready-{name}", daemon=True).start()
        return self._running[name]


def of_server(parts: Parts, work: Work) -> Readiness:
    """What a server needs; what runs wait for is told."""
    looks = {
        "database": lambda: database(parts),
        "files": lambda: files(parts.settings.home),
        "server": lambda: "draining" if work.draining else "",
        "queue": lambda: queue(work),
        "workers": work.ailing,
        "model": lambda: model(parts),
    }
    return Readiness(looks, only_told=("workers", "model"))


def of_worker(parts: Parts, work: Work) -> Readiness:
    """What a process needs that carries runs out."""
    return Readiness(
        {
            "database": lambda: database(parts),
            "files": lambda: files(parts.settings.home),
            "workers": work.ailing,
            "model": lambda: model(parts),
        }
    )


def _answer(until: float, future: Future[str]) -> str:
    try:
        return future.result(max(0.0, until - time.monotonic()))
    except TimeoutError:
        return f"no answer within {LIMIT_S:.0f} s"
    except Exception as error:  # whatever it says may name an address or a user; the log of who uses it has that
        return f"does not answer ({type(error).__name__})"


def database(parts: Parts) -> str:
    """A statement of its own, on a new connection. The embedded server is started, if it is not up."""
    from store.database import connect

    with closing(connect(parts.dsn, autocommit=True)) as connection:
        connection.execute("SELECT 1")
    return ""


def files(home: Path) -> str:
    """A byte that is written where the sessions lie."""
    path = home / f".ready-{os.getpid()}"
    try:
        if not home.exists():  # with sessions in a database nothing has made it yet
            home.mkdir(mode=0o700, parents=True)
        path.write_bytes(b"1")
        path.unlink()
    except OSError as error:
        return f"cannot be written ({error.strerror or type(error).__name__})"
    return ""


def model(parts: Parts) -> str:
    """A local model is loaded, now if it was not yet; an endpoint takes connections, and is asked nothing."""
    settings = parts.settings
    if not settings.model.startswith("openai:"):
        assert parts.generator_of_model is not None
        return ""
    url = urlsplit(settings.model_base_url or OPENAI)
    port = url.port or (443 if url.scheme == "https" else 80)
    socket.create_connection((url.hostname or "", port), timeout=LIMIT_S).close()
    return ""


def queue(work: Work) -> str:
    """Another run would be taken."""
    waiting = work.rows.standing()[0]
    return f"full: {waiting} runs wait" if waiting >= work.capacity else ""
