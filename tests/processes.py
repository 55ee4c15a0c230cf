"""Processes that begin with the libraries imported already: forks of a server that has done nothing else.

A process that starts from nothing spends 1.2 s on its imports, twenty times what most tests want of it. These are as
real: an id, a memory, files and an end of their own, and ``kill -9``. What a process imports, and how it starts, is
tested with ``subprocess``. The server ends with the process of the tests.
"""

from __future__ import annotations

import atexit
import contextlib
import io
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.reduction import DupFd
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

FORKS: Any = multiprocessing.get_context("forkserver" if hasattr(signal, "SIGKILL") else "spawn")
"""The one fork server of a process of the tests: ``multiprocessing`` has no second, so what it imports stands here."""
if hasattr(signal, "SIGKILL"):
    FORKS.set_forkserver_preload(["tests.preloaded"])


class Forked:
    """A process that runs a module as its program, with what tests use of ``subprocess.Popen``; text is UTF-8.

    Args:
        module: what ``python -m`` would be given; "" for ``code``.
        words: its arguments.
        code: what ``python -c`` would be given.
        environment: all of it; that of the tests when None.
        cwd: where it runs; the folder of the tests' process when None.
        stdin: whether it can be written to; at its end from the start otherwise.
        stderr: whether what it says there can be read; it goes where that of the tests goes otherwise.
    """

    def __init__(
        self,
        module: str = "",
        words: Sequence[str] = (),
        *,
        code: str = "",
        environment: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdin: bool = False,
        stderr: bool = True,
    ) -> None:
        theirs_in, ours_in = os.pipe()
        pipes = [os.pipe(), os.pipe()]
        theirs = [theirs_in, *(write for _, write in pipes)]
        if not stderr:
            os.close(theirs.pop())
        what = (module, code, list(words), dict(os.environ if environment is None else environment), str(cwd or "."))
        self._process = FORKS.Process(target=_begin, args=(*what, _Files(theirs)))
        self._process.start()
        for fd in theirs:
            os.close(fd)
        self.stdin: IO[str] = open(ours_in, "w", encoding="utf-8", buffering=1)
        self.stdout, self.stderr = (open(read, encoding="utf-8") for read, _ in pipes)
        if not stdin:
            self.stdin.close()

    @property
    def pid(self) -> int:
        """Its process id."""
        return int(self._process.pid)

    @property
    def returncode(self) -> int | None:
        """Its exit code, below zero where a signal ended it; None while it runs."""
        code: int | None = self._process.exitcode
        return code

    def poll(self) -> int | None:
        """As ``returncode``."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, once it has ended. TimeoutExpired."""
        self._process.join(timeout)
        code = self.returncode
        if code is None:
            raise subprocess.TimeoutExpired(str(self._process.name), timeout or 0.0)
        return code

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """All that it still says, and its end."""
        self.stdin.close()
        with ThreadPoolExecutor(2) as pool:
            out, err = (pool.submit(_rest, file) for file in (self.stdout, self.stderr))
            try:
                self.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()  # or its output would be waited for
                raise
            said = out.result(), err.result()
        self.stdout.close()
        self.stderr.close()
        return said

    def send_signal(self, sign: int) -> None:
        """Send a signal, as long as it runs."""
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, sign)

    def kill(self) -> None:
        """End it by SIGKILL."""
        self._process.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in (self.stdin, self.stdout, self.stderr):
            file.close()
        self.wait()


def _rest(file: IO[str]) -> str:
    return "" if file.closed else file.read()


@dataclass(frozen=True)
class Ended:
    """How a process ended: its exit code, below zero where a signal ended it, and what it said."""

    returncode: int
    stdout: str
    stderr: str


def ran(
    module: str = "",
    words: Sequence[str] = (),
    *,
    code: str = "",
    environment: Mapping[str, str] | None = None,
    timeout: float = 300,
) -> Ended:
    """Start a process as :class:`Forked` says and wait for its end."""
    process = Forked(module, words, code=code, environment=environment)
    out, err = process.communicate(timeout)
    return Ended(process.wait(), out, err)


class _Files:
    """File descriptors that go with a process that is being started."""

    def __init__(self, fds: Sequence[int]) -> None:
        self.fds: Sequence[Any] = fds

    def __getstate__(self) -> list[Any]:
        return [DupFd(fd) for fd in self.fds]

    def __setstate__(self, state: list[Any]) -> None:
        self.fds = [one.detach() for one in state]


def _begin(module: str, code: str, words: list[str], environment: dict[str, str], cwd: str, files: _Files) -> None:
    """What the fork does."""
    for number, fd in enumerate(files.fds):
        os.dup2(fd, number)
        os.close(fd)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    sys.stdin = open(0, encoding="utf-8", closefd=False)
    sys.stdout = io.TextIOWrapper(open(1, "wb", closefd=False), encoding="utf-8")
    sys.stderr = io.TextIOWrapper(open(2, "wb", closefd=False), encoding="utf-8", line_buffering=True)
    sys.argv = [module or "-c", *words]
    try:
        if module:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        else:
            exec(compile(code, "<code>", "exec"), {"__name__": "__main__"})
    finally:
        atexit._run_exitfuncs()
