"""Files and processes for tests with the server of ``served.py``."""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

from tools.mcp.config import read_servers
from tools.mcp.definitions import LOCK, Offer, write_lock
from tools.mcp.servers import McpServers

SCRIPT = Path(__file__).with_name("served.py")
DECLARED = """
[server.shop.tool.find_order]
effect = "read"

[server.shop.tool.describe]
effect = "read"

[server.shop.tool.place_order]
effect = "write"
reversible = true
key = "request_id"
text = "Order {quantity} of {item} at the shop."
text_ko = "가게에 {item} {quantity}개를 주문합니다."
"""


def stdio(folder: Path, declared: str = DECLARED, *, more: str = "") -> Path:
    """An ``mcp.toml`` of the shop as a program."""
    return _written(
        folder, f'command = "python"\nargs = ["{SCRIPT.as_posix()}", "{folder.as_posix()}"]\n{more}', declared
    )


def http(folder: Path, port: int, declared: str = DECLARED, *, more: str = "") -> Path:
    """An ``mcp.toml`` of the shop at an address."""
    return _written(folder, f'url = "http://127.0.0.1:{port}/mcp"\n{more}', declared)


def _written(folder: Path, how: str, declared: str) -> Path:
    path = folder / "mcp.toml"
    path.write_text(f"[server.shop]\n{how}\n{declared}", "utf-8")
    return path


def accepted(path: Path) -> Path:
    """The same file, with what the server offers accepted in the lock file beside it; a process is asked only once."""
    [server] = read_servers(path)
    write_lock(path.with_name(LOCK), {"shop": replace(_offer(), where=server.where)})
    return path


@cache
def _offer() -> Offer:
    with tempfile.TemporaryDirectory() as folder:
        servers = McpServers(read_servers(stdio(Path(folder))), {})
        try:
            return servers.drift("shop")[0]
        finally:
            servers.close()


class Listening:
    """The shop over HTTP in a process; the socket is ours first, so that nobody waits until it listens."""

    def __init__(self, folder: Path, port: int = 0) -> None:
        with socket.create_server(("127.0.0.1", port)) as listener:
            self.port = int(listener.getsockname()[1])
            fd = listener.fileno()
            self.process = subprocess.Popen([sys.executable, str(SCRIPT), str(folder), str(fd)], pass_fds=[fd])

    def kill(self) -> None:
        """End it as a crash would."""
        self.process.kill()
        self.process.wait()
