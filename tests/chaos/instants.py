"""The instants at which a child process can be killed: every write, fsync, rename, statement and effect.

The product is not told of it: the child puts these in front of ``os`` and psycopg in its own process. A death is a real
SIGKILL that the process sends itself, before the call, after it, or (of a write) when half of it is in the file.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

When = Literal["before", "torn", "after"]


class Plan(NamedTuple):
    """When a life ends: at the ``fatal``-th instant (0: at none), or ``after_s`` seconds after its birth (None: not).

    With a ``phase`` the instants are counted in that phase only.
    """

    fatal: int = 0
    when: When = "before"
    after_s: float | None = None
    phase: str = ""


class Instants:
    """Counts them, and dies at the one that the plan names; ``tell`` hears of it in the last moment."""

    def __init__(self, plan: Plan, tell: Callable[[str], None]) -> None:
        self.plan = plan
        self.tell = tell
        self.phase = ""
        self.seen: Counter[str] = Counter()  # by phase

    def watch_files(self) -> None:
        """From now on every call that changes a file is an instant."""
        for name in ("fsync", "fdatasync", "replace", "rename", "ftruncate", "mkdir", "unlink"):
            setattr(os, name, self.around(name, getattr(os, name)))
        real = os.write

        def write(fd: int, data: Any) -> int:
            self.here("write", "before")
            if self._fatal("torn"):
                real(fd, bytes(data)[: len(data) // 2])
                self._die("write", "torn")
            written = real(fd, data)
            self.here("write", "after")
            return written

        setattr(os, "write", write)  # noqa: B010  # mypy takes no assignment to a function of a module

    def watch(self, owner: Any, *methods: str) -> None:
        """From now on every call of these methods of a class is an instant."""
        for name in methods:
            setattr(owner, name, self.around(f"{owner.__name__}.{name}", getattr(owner, name)))

    def around(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, with an instant before it and one after it."""

        def watched(*args: Any, **kwargs: Any) -> Any:
            self.here(name)
            result = real(*args, **kwargs)
            self.here(name, "after")
            return result

        return watched

    def here(self, name: str, *when: When) -> None:
        """An instant: die if it is the one. What is no write cannot be torn: such a plan dies before it."""
        whens: tuple[When, ...] = when or ("before", "torn")
        self.seen[self.phase] += "before" in whens
        for each in whens:
            if self._fatal(each):
                self._die(name, each)

    def _fatal(self, when: When) -> bool:
        phase, fatal = self.plan.phase, self.plan.fatal
        if not fatal or when != self.plan.when or phase not in ("", self.phase):
            return False
        return fatal == (self.seen[phase] if phase else self.seen.total())

    def _die(self, name: str, when: str) -> None:
        self.tell(f"{when} {name}")
        os.kill(os.getpid(), signal.SIGKILL)
