"""Which MCP servers there are and what their tools do to the world: ``mcp.toml``, read and checked. Connects nowhere.

A file::

    [server.orders]
    command = "python"              # this Python; or url = "https://orders.example.com/mcp"
    args = ["orders_server.py"]     # relative to this file
    pass_env = ["ORDERS_TOKEN"]     # nothing else of the environment is handed on

    [server.orders.tool.find_order]
    effect = "read"

    [server.orders.tool.place_order]
    effect = "write"
    key = "request_id"              # the argument that takes the effect's key: the server does the same key once
    text = "Orders {quantity} of {item}."
    text_ko = "{item} {quantity}개를 주문합니다."

A tool that is not named counts as irreversible and at most once, whatever its server says of it.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from state import JSON, EffectClass, Recovery, Trust, UserError

NAME: Final = re.compile(r"[a-z][a-z0-9]{0,23}")
THIS_PYTHON: Final = "python"


class BrokenServers(UserError):
    """A file of MCP servers that cannot be taken as it is; none of them is used."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Declared(_Strict):
    """What the house says of one tool of a server."""

    effect: EffectClass = "irreversible"
    reversible: bool | None = None
    """None: a read is, nothing else."""
    key: str = ""
    """Argument that takes the effect's idempotency key; the model neither sees nor sets it."""
    probe: str = ""
    """A read of the same server that takes ``key`` and answers ``{"happened": true or false}``."""
    once: bool = False
    """Whether the server does the same key once only, so that a call may be tried again with it."""
    error: Literal["unknown", "unchanged"] = "unknown"
    """What an error that the tool itself reports says of the effect."""
    text: str = ""
    text_ko: str = ""
    """One sentence with ``{argument}`` in it: what will happen."""
    ko: str = ""
    """The description in Korean."""

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.once and not self.key:
            raise ValueError("once needs key: the argument by which the server knows a call again")
        if self.probe and not self.key:
            raise ValueError("probe needs key: the argument by which the effect is looked up")
        if self.probe and self.once:
            raise ValueError("give either once or probe: what is done once is never in doubt")
        if self.effect == "irreversible" and self.reversible:
            raise ValueError("effect is irreversible and reversible is true; choose one")
        return self

    @property
    def recovery(self) -> Recovery:
        """What may be done with an effect that broke off."""
        return "idempotent" if self.effect == "read" or self.once else "at_most_once"


class OAuth(_Strict):
    """How a process gets a token for a server by itself: the client credentials grant (RFC 6749, 4.4)."""

    issuer: str
    """Who gives tokens out, exactly as it calls itself. The secret goes there and nowhere else, wherever a server
    says that tokens are to be had."""
    client_id: str
    secret_env: str = ""
    """Variable with the client's secret."""
    secret_file: Path | None = None
    """Or file with it, read again where a token is asked for."""
    scopes: str = ""
    send: Literal["basic", "post"] = "basic"
    """Whether the secret goes in a header or in the body."""

    @model_validator(mode="after")
    def _one_secret(self) -> Self:
        if not self.issuer.startswith(("http://", "https://")):
            raise ValueError("issuer must begin with http:// or https://")
        if bool(self.secret_env) == bool(self.secret_file):
            raise ValueError("give either secret_env or secret_file")
        return self


class Server(_Strict):
    """One server: a program to start, or an address."""

    name: str = ""
    command: str = ""
    args: list[str] = []
    cwd: Path | None = None
    env: dict[str, str] = {}
    pass_env: list[str] = []
    url: str = ""
    token_env: str = ""
    """Variable whose value is sent as a bearer token."""
    token_file: Path | None = None
    """Or file with it, read again at each connection."""
    oauth: OAuth | None = None
    trust: Trust = "untrusted"
    """Whether what its tools answer may stand beside the house's own documents."""
    required: bool = False
    """Whether nothing is asked at all while it is down."""
    start_s: float = Field(default=15.0, gt=0, le=300)
    """Seconds that starting it, or listing its tools, may take."""
    timeout_s: float = Field(default=60.0, gt=0, le=3600)
    """Seconds that one call may take."""
    tool: dict[str, Declared] = {}

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if bool(self.command) == bool(self.url):
            raise ValueError("give either command or url")
        if self.url and not self.url.startswith(("http://", "https://")):
            raise ValueError("url must begin with http:// or https://")
        if "@" in self.url.partition("://")[2].partition("/")[0]:
            raise ValueError("url must not hold a password, which would be written down; use token_env")
        ways = [name for name in ("token_env", "token_file", "oauth") if getattr(self, name)]
        if self.command and ways:
            way = ways[0]
            raise ValueError(f"{way} is for a url; a command gets pass_env")
        if len(ways) > 1:
            way, other = ways[:2]
            raise ValueError(f"give either {way} or {other}")
        return self

    @property
    def where(self) -> dict[str, JSON]:
        """What makes it this server: part of what is accepted, and of every approval."""
        return {"url": self.url} if self.url else {"command": self.command, "args": list(self.args)}

    @property
    def link(self) -> dict[str, Any]:
        """What a connection to it is made of."""
        return self.model_dump(exclude={"tool", "trust", "required"})

    def program(self) -> str:
        """What is started: ``python`` is the Python that runs this."""
        return sys.executable if self.command == THIS_PYTHON else self.command

    def declared(self, tool: str) -> Declared:
        """What the house says of a tool; nothing: the strictest there is."""
        return self.tool.get(tool, _UNDECLARED)

    def environment(self, outside: Mapping[str, str]) -> dict[str, str]:
        """What the program gets beside what every program needs. UserError where a variable is not set."""
        for name in self.pass_env:
            if name not in outside:
                raise BrokenServers(f"MCP server {self.name}: the variable {name} of pass_env is not set; set it")
        return {**self.env, **{name: outside[name] for name in self.pass_env}}

    def headers(self, outside: Mapping[str, str]) -> dict[str, str]:
        """What every request bears. UserError where there is no token."""
        token = self._secret("token", self.token_env, self.token_file, outside)
        return {"Authorization": f"Bearer {token}"} if token else {}

    def client_secret(self, outside: Mapping[str, str]) -> str:
        """The secret of this client at whoever gives tokens out; "" where none is asked. UserError as above."""
        oauth = self.oauth
        return self._secret("secret", oauth.secret_env, oauth.secret_file, outside) if oauth is not None else ""

    def _secret(self, what: str, variable: str, file: Path | None, outside: Mapping[str, str]) -> str:
        if variable and not outside.get(variable):
            raise BrokenServers(f"MCP server {self.name}: the variable {variable} of {what}_env is not set; set it")
        if file is None:
            return outside[variable] if variable else ""
        assert self.cwd is not None
        try:
            found = (self.cwd / file).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or type(error).__name__
            raise BrokenServers(f"MCP server {self.name}: the file of {what}_file cannot be read ({why})") from error
        if not found:
            raise BrokenServers(f"MCP server {self.name}: the file of {what}_file is empty")
        return found


_UNDECLARED: Final = Declared()


def read_servers(path: Path) -> list[Server]:
    """The servers of a file, in order.

    Raises:
        BrokenServers: naming file, server and field.
    """
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise BrokenServers(f"{path}: cannot be read ({error.strerror}); give the path of an mcp.toml") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BrokenServers(f"{path.name}: is no valid TOML: {error}") from error
    tables = document.pop("server", {})
    if document or not isinstance(tables, dict):
        raise BrokenServers(f"{path.name}: only tables [server.NAME] are known, not {next(iter(document), 'server')!r}")
    return [_server(path, name, table) for name, table in tables.items()]


def _server(path: Path, name: str, table: Any) -> Server:
    if not NAME.fullmatch(name):
        raise BrokenServers(f"{path.name}: {name!r} is no name for a server; write up to 24 small letters and digits")
    if not isinstance(table, dict) or "name" in table:
        raise BrokenServers(f"{path.name}: server {name}: write a table [server.{name}] without a name in it")
    try:
        server = Server.model_validate({**table, "name": name})
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "table"
        said = str(first["msg"]).removeprefix("Value error, ")
        raise BrokenServers(f"{path.name}: server {name}, field {field!r}: {said}") from error
    folder = path.absolute().parent
    return server.model_copy(update={"cwd": (folder / server.cwd) if server.cwd else folder})
