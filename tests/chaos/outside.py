"""The world outside: a counting server that no kill reaches, and the one line by which a tool does its effect there.

It serves one connection after the other, so what a dead client had sent is counted before anybody looks.
"""

from __future__ import annotations

import json
import socket
import threading
from collections import Counter
from types import TracebackType
from typing import Any, Self

Address = tuple[str, int]
TIMEOUT_S = 30.0
HELD_S = 2.0
"""How long one that was cut off while it asked holds up the others."""


class Outside:
    """Counts effects by name. ``done``: what really happened; ``tried``: how often it was asked for.

    A request with a key happens once for each key, as with any foreign system that takes idempotency keys; a request
    without one happens every time. ``host``: the address of this machine on which it is asked.
    """

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.done: Counter[str] = Counter()
        self.tried: Counter[str] = Counter()
        self.given: dict[str, list[Any]] = {}
        self._keys: set[str] = set()
        self._socket = socket.create_server((host, 0))
        host, port = self._socket.getsockname()[:2]
        self.address: Address = (str(host), int(port))
        self._thread = threading.Thread(target=self._serve, name="outside", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(TIMEOUT_S)

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            with client:
                client.settimeout(HELD_S)
                self._answer(client)

    def _answer(self, client: socket.socket) -> None:
        try:
            with client.makefile("rwb") as line:
                said = line.readline()
                if said.endswith(b"\n"):
                    line.write(json.dumps(self._count(json.loads(said))).encode() + b"\n")
        except OSError:  # killed before it could read the answer
            pass

    def _count(self, asked: dict[str, Any]) -> int:
        name, key = asked["name"], asked["key"]
        if asked["look"]:
            return self.done[name]
        self.tried[name] += 1
        if not key or key not in self._keys:
            self._keys.add(key)
            self.done[name] += 1
            self.given.setdefault(name, []).append(asked["value"])
        return self.done[name]


def ask(address: Address, name: str, *, key: str = "", look: bool = False, value: object = None) -> int:
    """Do the effect ``name`` outside, or only look; how often it has happened."""
    with socket.create_connection(address, timeout=TIMEOUT_S) as connection, connection.makefile("rwb") as line:
        line.write(json.dumps({"name": name, "key": key, "look": look, "value": value}).encode() + b"\n")
        line.flush()
        return int(line.readline())
