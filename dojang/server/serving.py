"""Binds an address and runs an application on it with uvicorn. Knows no page and no workspace."""

from __future__ import annotations

import contextlib
import errno
import gc
import ipaddress
import logging
import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

import uvicorn
from starlette.types import ASGIApp

from checkpoints.files.locks import OsLock
from dojang.observing.logs import Level
from state import UserError

log = logging.getLogger(__name__)
OPEN_FILES: Final = 8_192
"""Files and connections that a server wants to have open at once: a reader of a stream is one."""
ENOUGH: Final = 2_048
"""With fewer than that it says how many readers there can be."""


KEEP_ALIVE_S: Final = 75
"""How long a connection may rest between two requests. Longer than clients (5 s) and proxies (60 s) keep one to use it
again: who closes first must be they, or a request is sent into a connection that is being closed, and is lost."""


class CannotServe(UserError):
    """The address cannot be bound. ``host`` and ``port`` say which."""

    def __init__(self, host: str, port: int, message: str) -> None:
        super().__init__(message)
        self.host = host
        self.port = port


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server that is bound to ``host``."""
    return host.strip().strip("[]").lower() in ("127.0.0.1", "::1", "localhost")


def is_wildcard(host: str) -> bool:
    """Whether a server that is bound to ``host`` is reached by every address of this machine."""
    return host.strip().strip("[]") in ("0.0.0.0", "::")


BY_SETTINGS: Final = ("DOJANG_HOST", "DOJANG_PORT or --port")
"""What says the address and the port of a server."""


def address_to_bind(host: str, port: int, said_by: str = BY_SETTINGS[0]) -> str:
    """The address to bind for ``host``.

    Raises:
        CannotServe: it is no address of a machine.
    """
    name = "127.0.0.1" if host.strip().lower() == "localhost" else host.strip().strip("[]")
    try:
        ipaddress.ip_address(name)
    except ValueError:
        raise CannotServe(
            host, port, f"{said_by}={host}: write an IP address of this machine, like 127.0.0.1"
        ) from None
    return name


def bind(host: str, port: int, said_by: tuple[str, str] = BY_SETTINGS) -> socket.socket:
    """A listening socket; port 0 takes any free one. ``said_by``: what says the address, and what the port.

    Raises:
        CannotServe: the address is none of this machine, or the port is taken or not allowed.
    """
    address = address_to_bind(host, port, said_by[0])
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    # Named as TCP: on a socket that does not say so (protocol 0) asyncio leaves Nagle's algorithm, and the body of an
    # answer then waits for the client's delayed acknowledgement of its head, which takes 40 ms on Linux.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if hasattr(socket, "SO_EXCLUSIVEADDRUSE"):  # Windows: there SO_REUSEADDR would let two servers share a port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        why = "is taken" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror or error})"
        raise CannotServe(
            host, port, f"port {port} of {address} {why}; choose another with {said_by[1]}, or stop who has it"
        ) from None
    return listener


@contextlib.contextmanager
def only_server(home: Path, listener: socket.socket) -> Iterator[None]:
    """Be the one server of a home: readers of a run's events are where the run is carried out.

    The operating system gives the place up with the process, kill -9 included. Commands beside it need none.

    Raises:
        CannotServe: another server has this home.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock, (host, port) = OsLock(home / "serve.lock"), listener.getsockname()[:2]
    if not lock.acquire(wait=False):
        other = lock.path.read_text(encoding="utf-8", errors="replace").strip() or "another process"
        text = f"{home} has a server already ({other}); use that one, stop it, or name another folder with --home"
        raise CannotServe(host, port, text)
    try:
        os.ftruncate(lock.fd, 0)
        os.write(lock.fd, f"{url_of(listener)} of process {os.getpid()}".encode())
        yield
    finally:
        lock.release()


def room_for_readers(wanted: int = OPEN_FILES) -> int:
    """Let this process have so many files open, as far as the system's hard limit goes; how many there may be now."""
    try:
        import resource
    except ImportError:  # Windows has no such limit for sockets
        return wanted
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    possible = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < possible:
        with contextlib.suppress(ValueError, OSError):  # macOS has a second limit, which it tells nobody
            resource.setrlimit(resource.RLIMIT_NOFILE, (possible, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    if soft < min(wanted, ENOUGH):
        log.warning(
            "only %d files may be open at once, so about %d clients can follow runs; raise the limit "
            "(ulimit -Hn, or LimitNOFILE= of the service) where there are more",
            soft,
            soft // 2,
        )
    return soft


def url_of(listener: socket.socket) -> str:
    """The address to open in a browser."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


class Server(uvicorn.Server):
    """Says when it begins to end, and returns from a signal instead of dying of it, so that the rest can be closed."""

    def __init__(self, config: uvicorn.Config, on_end: Callable[[], object]) -> None:
        super().__init__(config)
        self.on_end = on_end

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal: end; a second one: at once. uvicorn would send it again, to whoever handled it before."""
        self.force_exit = self.should_exit
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Tell those who hold answers open, then wait for them."""
        lines = logging.getLogger("uvicorn.error")
        lines.addFilter(_is_news)
        try:
            self.on_end()
            await super().shutdown(sockets)
        finally:
            lines.removeFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    """Whether a line says more than that a stream was broken off, which is how one ends with its server."""
    return "without completing response" not in record.getMessage()


def server_for(
    app: ASGIApp, *, log_level: Level = "warning", on_end: Callable[[], object] = lambda: None
) -> uvicorn.Server:
    """A uvicorn server for an application; ``run(sockets=[bind(…)])`` starts it. Its lines go where all others go.

    ``on_end`` is called on its event loop when it begins to end; what waits for something has to stop waiting then.
    """
    # uvicorn silences this logger of the process for a server without access log, and never lets it speak again
    logging.getLogger("uvicorn.access").propagate = True
    config = uvicorn.Config(
        app,
        log_config=None,
        log_level=log_level,
        access_log=log_level in ("debug", "info"),
        server_header=False,
        timeout_graceful_shutdown=5,
        timeout_keep_alive=KEEP_ALIVE_S,
    )
    return Server(config, on_end)


@contextlib.contextmanager
def few_collections() -> Iterator[None]:
    """Let Python's collector pass over what is there when a server begins, which stays until it ends.

    A million objects of modules and schemas, walked through at every full collection: a tenth of a second, in which
    nobody is served, once in some forty runs.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def end_process() -> NoReturn:
    """End this process without waiting for its threads, as Python would for the pools in which LangGraph runs steps."""
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(0)


def run_until_interrupted(
    app: ASGIApp,
    listener: socket.socket,
    *,
    log_level: Level = "warning",
    on_end: Callable[[], object] = lambda: None,
) -> None:
    """Serve on a listening socket; returns after Ctrl-C or a termination signal, when open requests are answered."""
    with contextlib.suppress(KeyboardInterrupt), few_collections():  # a Ctrl-C before it listens to signals, or after
        server_for(app, log_level=log_level, on_end=on_end).run(sockets=[listener])
