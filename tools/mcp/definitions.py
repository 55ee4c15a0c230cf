"""What a server's tools are, what of them a person has accepted, and how the two differ. Pure but for one file.

``mcp.lock.json`` beside ``mcp.toml`` keeps every accepted tool whole: the model is shown these words and no others, and
a call runs only against a tool that still is what was accepted. Like the policy it belongs into git.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import rfc8785
from langchain_core.tools import BaseTool

from state import JSON, UserError
from tools.mcp.config import BrokenServers, Declared
from tools.wording import shown

LOCK: Final = "mcp.lock.json"
FORMAT: Final = 1
VERSION_HEX: Final = 32
"""128 bits: whoever writes a tool may choose what is hashed, so the 64 of our own tools would not do."""


@dataclass(frozen=True)
class Definition:
    """One tool as its server describes it. ``hints``: its annotations and ``_meta``; nothing here believes them."""

    name: str
    description: str
    schema: dict[str, JSON]
    hints: dict[str, JSON] = field(default_factory=dict)

    @classmethod
    def of(cls, tool: BaseTool) -> Definition:
        """From the LangChain tool that the adapters make of it."""
        schema = tool.args_schema if isinstance(tool.args_schema, dict) else {}
        hints = {key: value for key, value in (tool.metadata or {}).items() if value is not None}
        return cls(tool.name, tool.description, dict(schema), hints)


@dataclass(frozen=True)
class Offer:
    """A server as it answers, or as it was accepted: where it is, what it calls itself, its tools by name."""

    where: dict[str, JSON]
    info: dict[str, JSON]  # name and version
    tools: dict[str, Definition]
    by: str = ""
    at: str = ""

    @property
    def identity(self) -> dict[str, JSON]:
        """What makes it this server."""
        return {"where": self.where, "info": self.info}


def version_of(server: str, offer: Offer, tool: Definition, declared: Declared) -> str:
    """What an approval of a call is bound to: server, its version, the tool's words and schema, what the house says.

    Raises:
        UserError: the server wrote what JSON cannot hold exactly.
    """
    whole = {
        "server": server,
        **offer.identity,
        "tool": tool.name,
        "description": tool.description,
        "schema": tool.schema,
        "hints": tool.hints,
        "declared": declared.model_dump(mode="json"),
    }
    try:
        return hashlib.sha256(rfc8785.dumps(whole)).hexdigest()[:VERSION_HEX]
    except (rfc8785.CanonicalizationError, RecursionError, UnicodeEncodeError) as error:
        raise UserError(
            f"MCP server {server}: its tool {shown(tool.name)} cannot be fixed in writing ({type(error).__name__}); "
            "it is not offered"
        ) from error


@dataclass(frozen=True)
class Change:
    """One way in which a tool is not what was accepted."""

    what: str  # server, version, description, arguments, hints, gone, new
    before: str
    after: str


def changes(accepted: Offer, live: Offer, tool: str) -> list[Change]:
    """How a tool differs from what was accepted; [] where it is the same to the letter."""
    old, new = accepted.tools.get(tool), live.tools.get(tool)
    if old is None or new is None:
        return [] if old is new else [Change("new" if old is None else "gone", "", "")]
    pairs: list[tuple[str, Any, Any]] = [
        ("server", accepted.where, live.where),
        ("version", accepted.info, live.info),
        ("description", old.description, new.description),
        ("arguments", old.schema, new.schema),
        ("hints", old.hints, new.hints),
    ]
    return [Change(what, _text(one), _text(other)) for what, one, other in pairs if _text(one) != _text(other)]


def _text(value: JSON) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True, indent=1)


def read_lock(path: Path) -> dict[str, Offer]:
    """Servers as they were accepted, by name; {} where nothing was yet.

    Raises:
        BrokenServers: it is not what :func:`write_lock` writes.
    """
    try:
        document = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise BrokenServers(f"{path}: cannot be read ({error}); restore it, or accept the servers anew") from error
    try:
        if document["format"] != FORMAT:
            raise BrokenServers(f"{path.name}: is of format {document['format']}, which this version does not read")
        return {name: _offer(table) for name, table in document["servers"].items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise BrokenServers(f"{path.name}: is damaged ({error}); restore it, or accept the servers anew") from error


def _offer(table: Mapping[str, Any]) -> Offer:
    tools = {
        name: Definition(name, str(one["description"]), dict(one["schema"]), dict(one["hints"]))
        for name, one in table["tools"].items()
    }
    return Offer(dict(table["where"]), dict(table["info"]), tools, str(table["by"]), str(table["at"]))


def write_lock(path: Path, servers: Mapping[str, Offer]) -> None:
    """Write what is accepted, whole or not at all."""
    document = {
        "format": FORMAT,
        "servers": {
            name: {
                "by": offer.by,
                "at": offer.at,
                **offer.identity,
                "tools": {
                    tool.name: {"description": tool.description, "schema": tool.schema, "hints": tool.hints}
                    for tool in _sorted(offer.tools.values())
                },
            }
            for name, offer in sorted(servers.items())
        },
    }
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    beside.write_text(json.dumps(document, ensure_ascii=False, indent=2) + "\n", "utf-8")
    beside.replace(path)


def _sorted(tools: Any) -> Sequence[Definition]:
    return sorted(tools, key=lambda tool: tool.name)
