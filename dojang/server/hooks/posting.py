"""One signed POST to an address that was judged: no redirects, no proxy, within a time and a size.

The signature is that of Standard Webhooks (github.com/standard-webhooks): HMAC-SHA256 over ``id.timestamp.body``, so
that receivers can check it with their own libraries. ``httpcore`` is used directly: it lets the connection be ours.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ssl
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import httpcore
from pydantic import SecretStr

from dojang.server.hooks.addresses import AddressRefused, NotFound, Reach

TIMEOUT_S: Final = 10.0
"""For a whole attempt, however slowly the answer drips."""
MOST_READ: Final = 64 * 1024
"""Bytes of an answer that are taken in all: only its status is of use."""


class NotDelivered(Exception):
    """This attempt failed. ``last``: no other will do better."""

    def __init__(self, why: str, *, last: bool = False) -> None:
        super().__init__(why)
        self.last = last


def signed(secret: SecretStr, delivery: str, at: int, body: bytes) -> dict[str, str]:
    """The headers that name and sign a delivery. ``at``: seconds since 1970."""
    told = secret.get_secret_value()
    key = base64.b64decode(told.removeprefix("whsec_")) if told.startswith("whsec_") else told.encode()
    digest = hmac.new(key, f"{delivery}.{at}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": delivery,
        "webhook-timestamp": str(at),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


@dataclass(frozen=True)
class Poster:
    """Posts to where ``reach`` lets it."""

    reach: Reach
    secret: SecretStr
    timeout_s: float = TIMEOUT_S
    tls: ssl.SSLContext | None = None  # None: the system's roots
    now: Callable[[], float] = time.time

    def post(self, url: str, delivery: str, body: bytes) -> None:
        """Deliver; returns when the receiver has said 2xx.

        Raises:
            NotDelivered: it has not, or it cannot be reached.
        """
        headers = {
            "content-type": "application/json",
            "user-agent": "dojang",
            **signed(self.secret, delivery, int(self.now()), body),
        }
        until = time.monotonic() + self.timeout_s
        limits = {"timeout": dict.fromkeys(("connect", "read", "write", "pool"), self.timeout_s)}
        try:
            self.reach.check(url)
            with httpcore.ConnectionPool(
                ssl_context=self.tls or ssl.create_default_context(), network_backend=_Checked(self.reach, until)
            ) as pool:
                with pool.stream("POST", url, headers=list(headers.items()), content=body, extensions=limits) as answer:
                    status = answer.status
        except AddressRefused as refused:
            raise NotDelivered(str(refused), last=True) from None
        except (NotFound, httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, OSError) as error:
            raise NotDelivered(f"{type(error).__name__}: {error}"[:300]) from None
        if not 200 <= status < 300:
            raise NotDelivered(f"it was answered with {status}", last=status == 410)  # 410 Gone: nobody wants more


class _Checked(httpcore.NetworkBackend):
    """Connects to addresses that were judged, and to nothing else."""

    def __init__(self, reach: Reach, until: float) -> None:
        self._reach, self._until = reach, until
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """To the first address of ``host`` that answers. TLS still asks for the name."""
        failed: Exception = NotFound(f"{host} has no address")
        for address in self._reach.resolved(host, port):
            try:
                stream = self._inner.connect_tcp(address, port, _left(self._until), local_address, socket_options)
                return _Bounded(stream, self._until)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
        raise failed


class _Bounded(httpcore.NetworkStream):
    """A connection that ends at a time, and when it has given enough."""

    def __init__(self, inner: httpcore.NetworkStream, until: float) -> None:
        self._inner, self._until, self._given = inner, until, 0

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Bytes, within what is left."""
        data = self._inner.read(max_bytes, _left(self._until))
        self._given += len(data)
        if self._given > MOST_READ:
            raise httpcore.ReadError(f"the answer has more than {MOST_READ} bytes")
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """All of it, within what is left."""
        self._inner.write(buffer, _left(self._until))

    def close(self) -> None:
        """End it."""
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """The same under TLS."""
        return _Bounded(self._inner.start_tls(ssl_context, server_hostname, _left(self._until)), self._until)

    def get_extra_info(self, info: str) -> Any:
        """As the connection has it."""
        return self._inner.get_extra_info(info)


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout("the attempt took too long")
    return left
