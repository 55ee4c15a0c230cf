"""Who is carrying out an effect right now, and whether that process still lives. Writes nothing.

A lease is *live* while its process lives. On the machine where it runs, the operating system is asked: a process that
is only stopped, or whose heart has not beaten for long, may still do the effect and is not passed over. From any other
machine only the heartbeat can be seen: the lease is live until its ``until``.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import TypedDict

LEASE_S = 30.0
BEAT_S = 10.0


class Holder(TypedDict):
    """One process on one machine; its start tells it from a later one with the same number."""

    host: str
    boot: str  # of the machine, since it was last started; "" where the system does not say
    pid: int
    started: str  # of the process, in the system's own count; "" where it does not say


@lru_cache(maxsize=1)
def _machine() -> tuple[str, str]:
    boot = ""
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return socket.gethostname(), boot


def this_process() -> Holder:
    """The holder that this process is; a forked child is another one."""
    host, boot = _machine()
    return Holder(host=host, boot=boot, pid=os.getpid(), started=_started(os.getpid()))


def is_live(holder: Holder, until: str, now: datetime) -> bool:
    """Whether the effect may still be done by the holder of this lease."""
    host, boot = _machine()
    if holder["host"] != host:
        return now < datetime.fromisoformat(until)
    if holder["boot"] != boot:
        return False
    if os.name == "nt":  # asking after a process there ends it (os.kill); the heartbeat has to do
        return now < datetime.fromisoformat(until)
    return _lives(holder)


def _lives(holder: Holder) -> bool:
    try:
        os.kill(holder["pid"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it is somebody else's, so it is there
        pass
    started = _started(holder["pid"])
    return not started or started == holder["started"]


def _started(pid: int) -> str:
    """Clock ticks from the machine's start to the process's (proc(5), field 22); "" for a zombie, which is dead."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return "dead" if fields[0] in "ZX" else fields[19]


@contextmanager
def beating(beat: Callable[[], None], every_s: float) -> Iterator[None]:
    """Call ``beat`` again and again from a thread of its own until the block ends.

    A beat that fails is left out: the lease of a process that cannot write any more runs out for other machines, and
    the outcome will fail in the same way, where it is told.
    """
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(every_s):
            with contextlib.suppress(Exception):
                beat()

    heart = threading.Thread(target=run, name="dojang-lease", daemon=True)
    heart.start()
    try:
        yield
    finally:
        stop.set()
        heart.join()
