"""Runs the application with uvicorn on a loopback address."""

from __future__ import annotations

import errno
import ipaddress
import socket

import uvicorn

from dojang.server.app import create_app
from dojang.settings import Settings
from dojang.workspace import Workspace
from state import UserError


class CannotServe(UserError):
    """The address cannot be bound. ``host`` and ``port`` say which."""

    def __init__(self, host: str, port: int, message: str) -> None:
        super().__init__(message)
        self.host = host
        self.port = port


def loopback_address(host: str, port: int) -> str:
    """The address to bind for ``host``.

    Raises:
        CannotServe: any other machine could reach it. There is no log-in yet, so that would hand out the stamp.
    """
    name = "127.0.0.1" if host.strip().lower() == "localhost" else host.strip().strip("[]")
    try:
        safe = ipaddress.ip_address(name).is_loopback and name in ("127.0.0.1", "::1")
    except ValueError:
        safe = False
    if not safe:
        raise CannotServe(
            host,
            port,
            f"DOJANG_HOST={host}: the console has no log-in, so it is served on 127.0.0.1 only; "
            f"from another machine, use `ssh -L 8723:127.0.0.1:8723 <this machine>`",
        )
    return name


def bind(host: str, port: int) -> socket.socket:
    """A listening socket on a loopback address; port 0 takes any free one.

    Raises:
        CannotServe: the address is not loopback, or the port is taken or not allowed.
    """
    address = loopback_address(host, port)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
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
            host, port, f"port {port} of {address} {why}; choose another with DOJANG_PORT or --port, or stop who has it"
        ) from None
    return listener


def url_of(listener: socket.socket) -> str:
    """The address to open in a browser."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def server_for(workspace: Workspace) -> uvicorn.Server:
    """A uvicorn server for the application; ``run(sockets=[bind(…)])`` starts it."""
    config = uvicorn.Config(
        create_app(workspace), log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=5
    )
    return uvicorn.Server(config)


def serve(settings: Settings, *, workspace: Workspace | None = None) -> None:
    """Serve until interrupted. The port is bound before anything is opened, so a mistake is told at once.

    Args:
        settings: ``host``, ``port`` and where the data lives.
        workspace: the one to serve; opened from the settings, and closed at the end, when None.

    Raises:
        CannotServe: a host that is not loopback, or a port that is taken.
    """
    with bind(settings.host, settings.port) as listener:
        if workspace is not None:
            server_for(workspace).run(sockets=[listener])
            return
        with Workspace(settings) as opened:
            server_for(opened).run(sockets=[listener])
