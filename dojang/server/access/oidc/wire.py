"""One request to the provider: bounded in time and size, no redirects, a JSON object or a clear line.

A connection is made for each: they are few, and a provider that moves is found again.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import httpx
import orjson

from dojang.server.access.oidc.errors import ProviderFault

TIMEOUT_S: Final = 10.0
MAX_BYTES: Final = 1_048_576


@dataclass(frozen=True)
class Reply:
    """What the provider answered."""

    status: int
    body: dict[str, Any]


def ask(
    method: str,
    url: str,
    *,
    form: Mapping[str, str] | None = None,
    auth: tuple[str, str] | None = None,
    bearer: str = "",
    timeout_s: float = TIMEOUT_S,
) -> Reply:
    """Ask, and read a JSON object.

    Raises:
        ProviderFault: no connection, no answer within ``timeout_s`` in all, a server error, or no JSON object.
    """
    host = httpx.URL(url).host
    headers = {"accept": "application/json"} | ({"authorization": f"Bearer {bearer}"} if bearer else {})
    try:
        status, body = _read(method, url, headers, form, auth, timeout_s)
    except httpx.HTTPError as error:
        raise ProviderFault(
            f"the log-in provider {host} cannot be reached ({type(error).__name__}); nobody was logged in, try again"
        ) from error
    if status >= 500:
        raise ProviderFault(f"the log-in provider {host} has a fault ({status}); nobody was logged in, try again")
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise ProviderFault(f"the log-in provider {host} answered no JSON ({status}); look at DOJANG_OIDC_ISSUER")
    return Reply(status, found)


def _read(
    method: str,
    url: str,
    headers: Mapping[str, str],
    form: Mapping[str, str] | None,
    auth: tuple[str, str] | None,
    timeout_s: float,
) -> tuple[int, bytes]:
    ends = time.monotonic() + timeout_s
    options: dict[str, Any] = {"headers": headers, "data": form} | ({"auth": auth} if auth else {})
    http = httpx.Client(timeout=timeout_s, follow_redirects=False, verify=_trusted())
    with http, http.stream(method, url, **options) as answer:
        body = bytearray()
        for chunk in answer.iter_bytes():
            body += chunk
            if len(body) > MAX_BYTES or time.monotonic() > ends:  # a timeout of httpx is one of each read
                raise httpx.ReadTimeout("too slow, or too long")
        return answer.status_code, bytes(body)


@lru_cache
def _trusted() -> ssl.SSLContext:
    """Whom we believe to be who they say: reading the certificates takes longer than a request."""
    return httpx.create_ssl_context()
