"""What every request passes before a page sees it: Host, Origin, size; and the headers on every answer.

Who asks is found out behind it (``access``). As long as that may be the local user without a token, a page of another
site must reach nothing: a foreign Host (DNS rebinding) is refused, and a POST needs the browser's own word (Origin,
Sec-Fetch-Site) that it comes from one of our pages. Plain ASGI, because the answer of a refused request must not depend
on a framework.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dojang.messages import told
from dojang.server.access.callers import LOOPBACK
from dojang.server.programs import by_program, is_program_path, is_upload, kind_of, takes_files
from dojang.server.wording import language_of
from dojang.settings import Settings

MAX_BODY: Final = 1_048_576  # bytes; the longest decision text is 20,000 characters, 9 bytes each in a Korean form
AT_ONCE: Final = 10
"""Files of the largest size that a person may send in one form."""
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # "no-referrer" would turn the Origin of our own forms into "null"
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


class Refused(Exception):
    """A request that goes no further. ``status`` is the HTTP status, the text is for a person."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True)
class Doors:
    """By which names the server is reached, and from which other sites.

    ``hosts``: as the Host header has them, besides those of the loopback interface. ``tls``: whether people reach those
    by https. ``origins``: other sites whose pages may call the API, like ``http://localhost:3000``.
    """

    hosts: frozenset[str] = frozenset()
    tls: bool = False
    origins: frozenset[str] = frozenset()

    @classmethod
    def of(cls, settings: Settings) -> Doors:
        """What the settings say; an address that is bound is a name, too, with the port."""
        host = settings.host.strip().strip("[]").lower()
        bound = f"[{host}]:{settings.port}" if ":" in host else f"{host}:{settings.port}"
        hosts = {name.lower() for name in settings.public_hosts} | {bound}
        return cls(frozenset(hosts), settings.behind_tls, frozenset(settings.cors_origins))

    def origin_of(self, host: str) -> str:
        """The origin of our own pages as a browser has it."""
        name = host if host.endswith("]") or ":" not in host else host.rpartition(":")[0]
        return f"https://{host}" if self.tls and name not in LOOPBACK else f"http://{host}"


NO_DOORS: Final = Doors()


class Guards:
    """The ASGI middleware.

    Args:
        app: what is guarded.
        max_body: largest request body in bytes; a larger one is 413.
        max_upload: the same of a file that a program sends; it is passed on as it comes, and counted where it is read.
        max_message: the same of a message, its files included.
        doors: how the server is reached, besides by its own machine.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        max_body: int = MAX_BODY,
        max_upload: int = MAX_BODY,
        max_message: int = 0,
        doors: Doors = NO_DOORS,
    ) -> None:
        self.app = app
        self.max_body = max_body
        self.max_message = max(max_body, max_message)
        self.max_upload = max_upload + MAX_BODY  # and what stands around the file
        self.doors = doors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check, then pass on; a refusal is answered here."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return  # no websockets
        dressed = _dressed(scope, send)
        try:
            headers = Headers(scope=scope)
            host = check_host(headers, scope.get("server"), self.doors)
            if scope["method"] not in SAFE_METHODS:
                check_origin(headers, host, scope, self.doors)
            if is_upload(scope):
                self._declared(headers, self.max_upload * (1 if by_program(scope) else AT_ONCE), files=True)
                await self.app(scope, receive, dressed)
                return
            body = await self._body(headers, receive, self.max_message if takes_files(scope) else self.max_body)
        except Refused as refused:
            await _answer(refused, scope, dressed)
            return
        await self.app(scope, _replay(body, receive), dressed)

    async def _body(self, headers: Headers, receive: Receive, most: int) -> bytes:
        """The whole body, read before anything acts on its first half."""
        self._declared(headers, most)
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] != "http.request":
                raise Refused(400, "the request was broken off")
            body += message.get("body", b"")
            if len(body) > most:
                raise self._too_large(most)
            if not message.get("more_body"):
                return bytes(body)

    def _declared(self, headers: Headers, most: int, *, files: bool = False) -> None:
        declared = headers.get("content-length", "0")
        if not declared.isdigit() or int(declared) > most:
            raise self._too_large(most) if not files else self._too_large_files(most)

    def _too_large_files(self, most: int) -> Refused:
        one = (self.max_upload - MAX_BODY) // 2**20
        return Refused(413, f"these files are too large: one may have {one} MiB, one sending {most // 2**20} MiB")

    def _too_large(self, most: int) -> Refused:
        return Refused(413, f"a request may have {most:,} bytes; shorten the text")


def check_host(headers: Headers, server: tuple[str, int | None] | None, doors: Doors) -> str:
    """The Host of the request, once it is known to name this server.

    Raises:
        Refused: 400 without exactly one Host, 421 when it names another machine or port.
    """
    given = headers.getlist("host")
    if len(given) != 1:
        raise Refused(400, "the request names no host, or several")
    host = given[0].lower()
    if host in doors.hosts:
        return host
    name, _, port = host.rpartition(":") if not host.endswith("]") and ":" in host else (host, "", "")
    expected = str(server[1]) if server and server[1] is not None else port
    if name not in LOOPBACK or (port or "80") != expected:
        raise Refused(421, f"this server answers to http://127.0.0.1:{expected}/ only; open that address")
    return host


def check_origin(headers: Headers, host: str, scope: Scope, doors: Doors) -> None:
    """Let a change through only if it comes from one of our own pages, or from a program that is no browser.

    Browsers send Origin with every POST, and a page cannot forge or drop it. A request with neither header is no
    browser's; it is taken with a token in a header, which no page of another site can send, or else on a path of
    programs, with a content type that no HTML form can produce, or with a file, where it does not ask for a page as
    forms do. Pages of the sites that the settings list are let through as well; the session of a browser counts for
    nothing there.

    Raises:
        Refused: 403.
    """
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    if origin in doors.origins:
        return
    foreign = (origin is not None and origin.lower() != doors.origin_of(host)) or site not in (None, "same-origin")
    if foreign:
        raise Refused(403, "this request comes from another site; open the page here and send it again")
    if origin is None and site is None:
        token = "authorization" in headers or "x-api-key" in headers
        # LangGraph's clients send some requests without a body; a form always names its type.
        program = is_program_path(scope["path"]) and kind_of(headers) in ("application/json", "")
        if not (token or program or (is_upload(scope) and by_program(scope))):
            raise Refused(403, "a form needs an Origin header; programs send JSON, see /docs")


def wants_json(path: str) -> bool:
    """Whether the answer of a path is JSON whoever asks, its errors included."""
    return path in ("/ok", "/openapi.json", "/healthz", "/readyz", "/metrics")


def _dressed(scope: Scope, send: Send) -> Send:
    """``send`` that puts our headers on every answer."""
    extra: Mapping[str, str] = HEADERS
    keep = scope["path"].startswith("/static/")

    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in extra.items():
                headers[name] = value
            headers.setdefault("Cache-Control", "no-cache" if keep else "no-store")
        await send(message)

    return wrapped


def _replay(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def replayed() -> Message:
        nonlocal sent
        if not sent:
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return replayed


async def _answer(refused: Refused, scope: Scope, send: Send) -> None:
    text, json_wanted = str(refused), wants_json(scope["path"]) or by_program(scope)
    if not json_wanted:
        text = told(text, language_of(Request(scope), scope["app"].state.workspace.settings))
    told_as = ("error", "detail") if by_program(scope) else ("error",)  # the second is what LangGraph's clients read
    body = (json.dumps(dict.fromkeys(told_as, text)) if json_wanted else text + "\n").encode()
    kind = b"application/json" if json_wanted else b"text/plain; charset=utf-8"
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode()), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
