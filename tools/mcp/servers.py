"""MCP servers as the toolbox uses them: tools as they were accepted, and what they are at this moment.

The files are looked at wherever a tool is offered, looked at or called (:meth:`McpServers.current`): what is accepted
counts from the moment it was written. Files that cannot be taken hold every tool of theirs back.

Offered to the model is what a person has accepted, in the words that were accepted, while its server answers and says
the same. A tool that differs is *drifted*: nothing that was declared or approved of it holds any more, and every call
of it goes to a person who is told so.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from langchain_core.tools import BaseTool, StructuredTool

from state import JSON, DojangError, ToolSpec, UserError
from tools.effects import METADATA_KEY, Declaration, World
from tools.errors import OutcomeUnknown, ToolChanged, ToolFailed
from tools.mcp.config import BrokenServers, Declared, Server
from tools.mcp.definitions import LOCK, Change, Definition, Offer, changes, read_lock, version_of, write_lock
from tools.mcp.files import Files, Said
from tools.mcp.link import Link, Loop, ServerDown, Unanswered
from tools.mcp.results import clean, record_of, telling
from tools.wording import shown

if TYPE_CHECKING:
    from mcp.types import CallToolResult

log = logging.getLogger(__name__)
AGAIN_S: Final = 15.0
"""A server that is down is asked again after this time, by whoever asks next."""
LONGEST_NAME: Final = 64
"""What endpoints take as the name of a tool."""
KEY_META: Final = "dojang/key"
"""Member of a call's ``_meta`` with the effect's key, for servers that want it there."""


@dataclass
class _Known:
    """What is known of a server: its last answer, or why there is none."""

    offer: Offer | None = None
    problem: str = ""
    at: float = 0.0  # monotonic seconds; 0.0: it was never asked


class McpServers:
    """The servers of a file, and their accepted tools. Thread-safe; connects when it is first asked what is so now.

    Args:
        servers: as ``mcp.toml`` has them.
        accepted: as the lock file has them.
        outside: variables of the environment that servers may be given.
        logs: folder for what their programs write to standard error.
        connects: whether it ever connects; else every accepted tool is taken to be as it was.
        before: what was so until now; connections to servers that are the same are kept.
    """

    def __init__(
        self,
        servers: Sequence[Server],
        accepted: Mapping[str, Offer],
        *,
        outside: Mapping[str, str] | None = None,
        logs: Path | None = None,
        connects: bool = True,
        before: McpServers | None = None,
    ) -> None:
        self._outside, self._logs = outside or {}, logs
        self._files: Files | None = None
        self._said: Said | None = None
        self._root: McpServers = self if before is None else before._root
        self._newest = self  # of the root: what is so now
        self._turning = threading.Lock()
        self._wrong = ""  # why none of them is used
        self.servers = {server.name: server for server in servers}
        self.accepted = {name: accepted[name] for name in self.servers if name in accepted}
        self.connects = connects
        self._loop: Loop = Loop() if before is None else before._loop
        kept = {} if before is None else before._links
        self._links: dict[str, Link] = {
            name: kept[name]
            if name in kept and kept[name].server.link == one.link
            else Link(one, self._loop, self._outside, logs)
            for name, one in self.servers.items()
        }
        self._known: dict[str, _Known] = {
            name: before._known[name] if before is not None and kept.get(name) is link else _Known()
            for name, link in self._links.items()
        }
        self._lock = threading.Lock()
        self.owners: dict[str, tuple[str, str]] = {}  # name here: (server, name there)
        self.tools: list[BaseTool] = [self._tool(name, one) for name, one in self._wanted()]

    @classmethod
    def open(cls, path: Path, **how: Any) -> McpServers:
        """From an ``mcp.toml`` and the lock file beside it. BrokenServers where either cannot be taken."""
        files = Files(path)
        said = files.read()
        return cls(said.servers, said.accepted, **how)._of(files, said)

    def current(self) -> McpServers:
        """These servers as their files say now; the same object as long as they say the same.

        Files that cannot be taken raise nothing: what comes back then offers and runs nothing, and says why.
        """
        root = self._root
        if root._newest._is_current():
            return root._newest
        with root._turning:
            if not root._newest._is_current():
                root._newest = root._newest._read_anew()
            return root._newest

    def held_back(self, why: str) -> McpServers:
        """The same servers, of which nothing is offered, asked or sent."""
        held = McpServers(
            list(self.servers.values()), self.accepted, outside=self._outside, logs=self._logs,
            connects=self.connects, before=self,
        )  # fmt: skip
        held._wrong = why
        return held

    def close(self) -> None:
        """End every connection and every program."""
        for link in self._root._newest._links.values():
            link.close()
        self._loop.close()

    def _of(self, files: Files, said: Said) -> McpServers:
        self._files, self._said = files, said
        return self

    def _is_current(self) -> bool:
        """Whether the files were not written to since they were read, for sure."""
        return self._files is None or (
            self._said is not None and self._said.settled and self._said.stamp == self._files.stamp()
        )

    def _read_anew(self) -> McpServers:
        assert self._files is not None
        stamp, settled = self._files.looked()
        try:
            said = self._files.read()
            same = self._said is not None and (said.servers, said.accepted) == (self._said.servers, self._said.accepted)
            if same and not self._wrong:
                return self._of(self._files, said)
            made = McpServers(
                said.servers, said.accepted, outside=self._outside, logs=self._logs, connects=self.connects,
                before=self,
            )  # fmt: skip
        except UserError as error:
            said = Said(list(self.servers.values()), self.accepted, stamp, settled)
            if self._wrong == str(error):
                return self._of(self._files, said)
            log.warning("no tool of an MCP server is used until this is mended: %s", error)
            return self.held_back(str(error))._of(self._files, said)
        log.warning("MCP servers and what is accepted of them were read anew: %s", ", ".join(made.servers) or "none")
        for name, link in self._links.items():
            if self.connects and made._links.get(name) is not link:
                link.retire()
        return made._of(self._files, said)

    def _check_held(self) -> None:
        if self._wrong:
            raise ServerDown(f"no tool of an MCP server is used until this is mended: {self._wrong}")

    # -- what there is --------------------------------------------------------------------------------------------

    def offered(self, name: str) -> bool:
        """Whether the model may be shown a tool: as far as is known its server answers, and it is as accepted."""
        if self._wrong:
            return False
        if not self.connects:
            return True
        self._ready()
        server, tool = self.owners[name]
        offer = self._known[server].offer
        return offer is not None and not changes(self.accepted[server], offer, tool)

    def look(self, spec: ToolSpec) -> ToolSpec | None:
        """A tool as it is at this moment; None where its server has it no more.

        Raises:
            ServerDown: its server does not answer, or the files cannot be taken.
        """
        self._check_held()
        if not self.connects:
            return spec
        server, tool = self.owners[spec["name"]]
        offer = self._looked(server)
        found = changes(self.accepted[server], offer, tool)
        if not found:
            return spec
        if tool not in offer.tools:
            return None
        return self._drifted(spec, offer, offer.tools[tool], found)

    def problems(self) -> list[str]:
        """Why servers, or tools of theirs, are not offered; one line each. Asks them first."""
        if self._wrong:
            return [self._wrong]
        self._ready()
        lines = [known.problem for known in self._known.values() if known.problem]
        for name, known in self._known.items():
            if known.offer is None:
                continue
            accepted = self.accepted.get(name)
            if accepted is None:
                lines.append(_unaccepted(name))
                continue
            differ = sorted(tool for tool in accepted.tools if changes(accepted, known.offer, tool))
            if differ:
                lines.append(_held_back(name, ", ".join(str(shown(tool)) for tool in differ)))
        return lines

    def check_required(self) -> None:
        """Raise ServerDown where a server that nothing may do without is down."""
        if any(server.required for server in self.servers.values()):
            self._check_held()
        for name, server in self.servers.items():
            if server.required and self.connects:
                self._ready()
                if self._known[name].offer is None:
                    raise ServerDown(f"{self._known[name].problem}; it is required: nothing was asked")

    def drift(self, name: str) -> tuple[Offer, dict[str, list[Change]]]:
        """A server's offer now, and how each tool differs from what was accepted; asks it. ServerDown."""
        offer = self._looked(name)
        accepted = self.accepted.get(name) or Offer({}, {}, {})
        tools = sorted({*accepted.tools, *offer.tools})
        return offer, {tool: changes(accepted, offer, tool) for tool in tools}

    # -- one call -------------------------------------------------------------------------------------------------

    def call(self, name: str, args: Mapping[str, JSON], *, key: str, version: str) -> JSON:
        """Call a tool that is what ``version`` says, on the connection on which that was just seen.

        Raises:
            ServerDown, ToolChanged: nothing was sent.
            ToolFailed: the tool says that it failed, and its declaration that nothing was changed then.
            OutcomeUnknown: it may have happened.
        """
        self._check_held()
        server, tool = self.owners[name]
        declared, reads = self.servers[server].declared(tool), self.servers[server].declared(tool).effect == "read"
        offer = self._looked(server)
        definition = offer.tools.get(tool)
        drifted = bool(changes(self.accepted[server], offer, tool))
        now = _UNTOLD if drifted else declared
        if definition is None or version_of(server, offer, definition, now) != version:
            raise ToolChanged(f"MCP server {server} changed its tool {tool} at this instant; nothing was run")
        if self.current() is not self:  # since its server was asked
            raise ToolChanged(f"what is accepted of MCP server {server} changed at this instant; nothing was run")
        given = dict(args)
        if declared.key and not drifted:
            given[declared.key] = key
        answer = self._answered(server, name, tool, given, key, reads=reads and not drifted)
        record = record_of(answer)
        if not answer.isError:
            return record
        said = _first_line(record)
        if drifted or (declared.error == "unknown" and declared.recovery == "at_most_once"):
            raise OutcomeUnknown(f"{name} says that it failed under key {key} (“{said}”); look whether it happened.")
        raise ToolFailed(f"{name} failed: “{said}”")

    def _answered(
        self, server: str, name: str, tool: str, args: dict[str, JSON], key: str, *, reads: bool
    ) -> CallToolResult:
        from mcp import McpError

        try:
            return self._links[server].call(tool, args, {KEY_META: key} if key else {})
        except Unanswered as error:
            if reads:
                raise ServerDown(f"MCP server {server} gave no answer to {name} ({error}); try again") from error
            raise OutcomeUnknown(f"{name} broke off under key {key} ({error}); look whether it happened.") from error
        except McpError as error:
            said = str(shown(error.error.message))
            if reads or self.servers[server].declared(tool).error == "unchanged":
                raise ToolFailed(f"{name} was refused by its server: “{said}”") from error
            raise OutcomeUnknown(
                f"{name} was refused by its server under key {key} (“{said}”); look whether it happened."
            ) from error

    # -- inside ---------------------------------------------------------------------------------------------------

    def _wanted(self) -> list[tuple[str, Definition]]:
        for name, server in self.servers.items():
            accepted = self.accepted.get(name)
            unknown = sorted(set(server.tool) - set(accepted.tools)) if accepted is not None else []
            if unknown:
                raise BrokenServers(
                    f"MCP server {name}: there is no accepted tool {unknown[0]!r}; correct its name, or see what there "
                    "is with `dojang mcp tools`"
                )
        return [(name, tool) for name, offer in self.accepted.items() for tool in offer.tools.values()]

    def _tool(self, server: str, tool: Definition) -> BaseTool:
        """The accepted tool as one of ours: its words, its schema without the key, what the house declares."""
        name = name_here(server, tool.name)
        properties = tool.schema.get("properties")
        hidden = [one for one in (properties if isinstance(properties, dict) else {}) if clean(str(one)) != one]
        if hidden:
            raise BrokenServers(f"MCP server {server}: tool {shown(tool.name)} has an argument with hidden signs in it")
        if name in self.owners:
            raise BrokenServers(f"two tools of MCP server {server} would both be called {name}; it cannot be used")
        self.owners[name] = (server, tool.name)
        declared = self.servers[server].declared(tool.name)
        if declared.key and not (isinstance(properties, dict) and declared.key in properties):
            raise BrokenServers(f"MCP server {server}: tool {tool.name} has no argument {declared.key!r} for the key")
        declaration = Declaration(
            effect_class=declared.effect,
            recovery=declared.recovery,
            reversible=declared.effect == "read" if declared.reversible is None else declared.reversible,
            ko=declared.ko,
            will={
                **({"en": declared.text} if declared.text else {}),
                **({"ko": declared.text_ko} if declared.text_ko else {}),
            },
            tells={"en": telling(name, "en"), "ko": telling(name, "ko")},
            probe=self._probe(server, declared) if declared.probe else None,
            version=version_of(server, self.accepted[server], tool, declared),
            origin=f"mcp:{server}",
            trusted=self.servers[server].trust == "trusted",
        )
        return StructuredTool(
            name=name,
            description=clean(tool.description) or name,
            args_schema=_without(_readable(tool.schema), declared.key),
            func=_never,
            metadata={METADATA_KEY: declaration},
        )

    def _probe(self, server: str, declared: Declared) -> Callable[[Mapping[str, JSON], World], JSON]:
        accepted = self.accepted[server].tools
        if declared.probe not in accepted or self.servers[server].declared(declared.probe).effect != "read":
            raise BrokenServers(
                f"MCP server {server}: the probe {declared.probe!r} must be an accepted tool that reads"
            )

        def probe(args: Mapping[str, JSON], world: World) -> JSON:
            offer = self._looked(server)
            if changes(self.accepted[server], offer, declared.probe):
                raise UserError(f"{declared.probe} is not as it was accepted")
            answer = self._links[server].call(declared.probe, {declared.key: world.key}, {})
            said = answer.structuredContent
            happened = said.get("happened") if isinstance(said, dict) and not answer.isError else None
            if not isinstance(happened, bool):
                raise UserError(f"{declared.probe} did not say whether it happened")
            return record_of(answer) if happened else None

        return probe

    def _drifted(self, spec: ToolSpec, offer: Offer, tool: Definition, found: Sequence[Change]) -> ToolSpec:
        server, _ = self.owners[spec["name"]]
        drifted = cast(
            ToolSpec,
            {
                **{key: value for key, value in spec.items() if key != "probe"},
                "effect_class": "irreversible",
                "recovery": "at_most_once",
                "reversible": False,
                "schema_version": version_of(server, offer, tool, _UNTOLD),
                "drift": [change.what for change in found],
            },
        )
        return drifted

    def _looked(self, name: str) -> Offer:
        known = self._known[name]
        try:
            offer = self._links[name].look()
        except (ServerDown, Unanswered, BrokenServers) as error:
            why = str(error) if isinstance(error, DojangError) else f"MCP server {name} does not answer ({error})"
            self._known[name] = _Known(None, why, time.monotonic())
            raise ServerDown(why) from error
        accepted = self.accepted.get(name)
        if known.offer is None or known.offer != offer:
            differ = [] if accepted is None else [tool for tool in accepted.tools if changes(accepted, offer, tool)]
            if differ:
                log.warning("MCP server %s is not as it was accepted: %s", name, ", ".join(differ))
        self._known[name] = _Known(offer, "", time.monotonic())
        return offer

    def _ready(self) -> None:
        """Ask every server that was not asked yet, or was down a while ago; all at once."""
        now = time.monotonic()
        late = [
            name
            for name, known in self._known.items()
            if known.offer is None and (not known.at or now - known.at > AGAIN_S)
        ]
        if not late:
            return
        with self._lock:
            late = [name for name in late if self._known[name].offer is None and self._known[name].at <= now]
            if not late:
                return
            with ThreadPoolExecutor(len(late)) as pool:
                for _ in pool.map(self._tried, late):
                    pass

    def _tried(self, name: str) -> None:
        try:
            self._looked(name)
        except ServerDown as error:
            log.warning("%s", error)


_UNTOLD: Final = Declared()
"""What is declared of a tool that is not what it was when it was declared: nothing."""


def _unaccepted(name: str) -> str:
    return f"no tool of MCP server {name} is accepted yet; see them with `dojang mcp tools`"


def _held_back(name: str, listed: str) -> str:
    return (
        f"MCP server {name} is not as it was accepted, and these tools are held back: {listed}; "
        "`dojang mcp tools` shows what changed"
    )


def accept(path: Path, servers: McpServers, names: Sequence[str], *, by: str, at: str) -> dict[str, Offer]:
    """Write what these servers offer now into the lock file as accepted.

    Returns:
        The offers. Nothing is written where one of them cannot be asked, or has a tool that cannot be held.
    """
    offers = {name: replace(servers.drift(name)[0], by=by, at=at) for name in names}
    McpServers(list(servers.servers.values()), {**servers.accepted, **offers}, connects=False)  # raises where it must
    lock = path.with_name(LOCK)
    write_lock(lock, {**read_lock(lock), **offers})
    return offers


def withdraw(path: Path, names: Sequence[str]) -> dict[str, Offer]:
    """Take these servers out of the lock file: nothing of them is accepted any more. What was.

    Raises:
        UserError: nothing of one of them is accepted; nothing is written then.
    """
    lock = path.with_name(LOCK)
    known = read_lock(lock)
    if missing := [name for name in names if name not in known]:
        raise UserError(f"no tool of MCP server {missing[0]} is accepted, so there is nothing to withdraw")
    write_lock(lock, {name: offer for name, offer in known.items() if name not in names})
    return {name: known[name] for name in names}


def name_here(server: str, tool: str) -> str:
    """What a tool of a server is called among ours: letters, digits, ``_`` and ``-``, as endpoints take them."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "_" for c in tool)
    name = f"{server}_{plain}"
    if not tool or len(name) > LONGEST_NAME:
        raise BrokenServers(f"MCP server {server}: the name of its tool {shown(tool)} is empty or too long")
    return name


def _readable(value: Any) -> Any:
    """The schema with its words free of signs that nobody sees: they would speak to the model alone."""
    if isinstance(value, dict):
        return {
            key: clean(one) if key in ("description", "title") and isinstance(one, str) else _readable(one)
            for key, one in value.items()
        }
    return [_readable(one) for one in value] if isinstance(value, list) else value


def _without(schema: Mapping[str, Any], key: str) -> dict[str, Any]:
    """The schema without the argument that nobody but the ledger sets."""
    if not key:
        return {"type": "object", "properties": {}, **schema}
    properties = {name: one for name, one in schema["properties"].items() if name != key}
    required = [name for name in schema.get("required", []) if name != key]
    return {**schema, "properties": properties, "required": required}


def _never(**_: object) -> None:
    raise AssertionError("a tool of an MCP server is run by its server")


def _first_line(record: Mapping[str, Any]) -> str:
    lines = str(record["text"]).strip().splitlines()
    return str(shown(lines[0])) if lines else "no word"


__all__ = ["McpServers", "ServerDown", "accept", "name_here", "withdraw"]
