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
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import TypedDict

LEASE_S = 30.0
BEAT_S = 10.0
OUTERMOST = "pid:[4026531836]"
"""The namespace of process ids that Linux starts with (PROC_PID_INIT_INO)."""


class Holder(TypedDict):
    """One process on one machine; its start tells it from a later one with the same number."""

    host: str
    boot: str  # of the machine, since it was last started; "" where the system does not say
    pid: int
    started: str  # of the process, in the system's own count; "" where it does not say


@lru_cache(maxsize=1)
def _machine() -> tuple[str, str]:
    """Its name, and since when it runs. Who numbers processes apart, as containers do, is a machine of its own."""
    host, boot = socket.gethostname(), ""
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        numbers = os.readlink("/proc/self/ns/pid")
        host = host if numbers == OUTERMOST else f"{host} {numbers}"
    return host, boot


def this_process() -> Holder:
    """The holder that this process is; a forked child is another one."""
    host, boot = _machine()
    return Holder(host=host, boot=boot, pid=os.getpid(), started=_started(os.getpid()))


_held: list[tuple[str, str]] = []
"""The effects, by thread and key, whose leases are held in this process now."""


@contextmanager
def held(thread_id: str, key: str) -> Iterator[None]:
    """This process is at this effect until the block ends."""
    _held.append((thread_id, key))
    try:
        yield
    finally:
        _held.remove((thread_id, key))


def given_up(holder: Holder, thread_id: str, key: str) -> bool:
    """Whether a lease is of this process, which is not at it any more: it could not write that its end had come."""
    return holder == this_process() and (thread_id, key) not in _held


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


class _Heart:
    """One thread for all leases of the process: an effect that is short starts none and waits for none."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._beats: dict[object, tuple[float, float, Callable[[], None]]] = {}  # (next at, every, beat), monotonic s
        self._wakes_at = 0.0
        self._thread: threading.Thread | None = None

    def add(self, token: object, beat: Callable[[], None], every_s: float) -> None:
        first = time.monotonic() + every_s
        with self._changed:
            self._beats[token] = (first, every_s, beat)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="dojang-leases", daemon=True)
                self._thread.start()
            elif first < self._wakes_at:
                self._changed.notify()

    def drop(self, token: object) -> None:
        with self._changed:
            self._beats.pop(token, None)

    def _run(self) -> None:
        while True:
            with self._changed:
                now = time.monotonic()
                self._wakes_at = min((at for at, _, _ in self._beats.values()), default=now + LEASE_S)
                if self._wakes_at > now:
                    self._changed.wait(self._wakes_at - now)
                    continue
                due = [(token, every, beat) for token, (at, every, beat) in self._beats.items() if at <= now]
                for token, every, beat in due:
                    self._beats[token] = (now + every, every, beat)
            for _, _, beat in due:
                with contextlib.suppress(Exception):
                    beat()


_heart = _Heart()


def _new_heart() -> None:
    global _heart
    _heart = _Heart()


if hasattr(os, "register_at_fork"):  # a child has no threads of its parent, and perhaps a lock that one of them held
    os.register_at_fork(after_in_child=_new_heart)


@contextmanager
def beating(beat: Callable[[], None], every_s: float) -> Iterator[None]:
    """Call ``beat`` every ``every_s`` seconds until the block ends; one that is under way may end after it.

    A beat that fails is left out: the lease of a process that cannot write any more runs out for other machines, and
    the outcome will fail in the same way, where it is told.
    """
    heart, token = _heart, object()
    heart.add(token, beat, every_s)
    try:
        yield
    finally:
        heart.drop(token)
