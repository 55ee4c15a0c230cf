"""The tools the agent may use, behind one door: check, describe, run once, say the result.

Fails closed: an unknown tool is never run, an undeclared one counts as irreversible without a key, arguments that
do not satisfy the schema are refused before anything starts, and a read runs in a read-only transaction. Knows no
model, graph or policy; the caller decides what may run.
"""

from __future__ import annotations

import asyncio
import copy
import json
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import psycopg
from langchain_core.tools import BaseTool
from pydantic import BaseModel

from state import JSON, DojangError, Language, Outcome, ToolSpec, UserError
from tools import once
from tools.checking import Checked, check_args, violations
from tools.effects import WORLD, Declaration, Telling, Template, World, declaration_of, spec_of, wants_world
from tools.errors import OutcomeUnknown, ToolFailed
from tools.loading import DEFAULT, Prepare, load_tools
from tools.mcp.servers import McpServers
from tools.migrations import migrate
from tools.wording import shown, wordless

log = logging.getLogger(__name__)


def local_today() -> date:
    """Today where this machine stands."""
    return datetime.now().astimezone().date()


@dataclass(frozen=True)
class Held:
    """Tools by name, and what they are, all of one moment. ``refused``: servers that cannot stand beside ours."""

    tools: dict[str, BaseTool]
    specs: dict[str, ToolSpec]
    mcp: McpServers | None
    refused: McpServers | None = None

    @classmethod
    def of(cls, own: Sequence[BaseTool], mcp: McpServers | None, *, but: Sequence[BaseTool] = ()) -> Held:
        """Ours, and the accepted ones of servers, without those that are called as one of ``but``.

        Raises:
            UserError: two of one name, or one whose schema is broken.
        """
        taken = {tool.name for tool in but}
        tools = [*own, *(tool for tool in (mcp.tools if mcp is not None else []) if tool.name not in taken)]
        by_name = {tool.name: tool for tool in tools}
        if len(by_name) != len(tools):
            names = [tool.name for tool in tools]
            twice = sorted({name for name in names if names.count(name) > 1})
            raise UserError(f"two tools have the name {twice[0]!r}; rename one of them")
        return cls(by_name, {tool.name: spec_of(tool) for tool in tools}, mcp)

    def foreign(self, name: str) -> bool:
        """Whether a tool is a server's."""
        return self.mcp is not None and name in self.mcp.owners and declaration_of(self.tools[name]).origin != ""

    def as_accepted(self, name: str) -> bool:
        """Whether the model may be shown it: one of ours, or one of a server that is as it was accepted."""
        return self.mcp is None or not self.foreign(name) or self.mcp.offered(name)

    def declared(self, name: str) -> Declaration:
        """What its author says of it, or the house."""
        return declaration_of(self.tools[name])


class Toolbox:
    """Tools by name. Satisfies ``nodes.ports.Toolbox`` by shape; safe to share between threads.

    Args:
        tools: LangChain tools, declared with `tools.effects.effect` or not.
        dsn: where the tools' tables are; needed by transactional tools only.
        outbox: folder for messages to foreign systems.
        today: the day that "tomorrow" counts from.
        prepares: what `prepare` calls, one for each module.
        sample: file with rows to begin with, handed to ``prepares``.
        mcp: servers whose accepted tools stand beside these.

    Raises:
        UserError: two tools of one name, or a tool whose schema is broken.
    """

    def __init__(
        self,
        tools: Sequence[BaseTool],
        *,
        dsn: str | None = None,
        outbox: Path | None = None,
        today: Callable[[], date] = local_today,
        prepares: Sequence[Prepare] = (),
        sample: Path | None = None,
        mcp: McpServers | None = None,
    ) -> None:
        self.mcp = mcp
        self._own = list(tools)
        self._held = Held.of(self._own, mcp)
        self._dsn = dsn
        self._outbox = outbox
        self._today = today
        self._prepares = tuple(prepares)
        self._sample = sample

    @classmethod
    def open(
        cls,
        spec: str | Sequence[str] = DEFAULT,
        *,
        dsn: str | None = None,
        outbox: Path | None = None,
        today: Callable[[], date] = local_today,
        sample: Path | None = None,
        mcp: McpServers | None = None,
    ) -> Toolbox:
        """Load the modules that ``spec`` names and, where there is a database, make their tables."""
        modules = load_tools(spec) if spec or mcp is None else []
        box = cls(
            [tool for module in modules for tool in module.tools],
            dsn=dsn,
            outbox=outbox,
            today=today,
            prepares=[module.prepare for module in modules if module.prepare],
            sample=sample,
            mcp=mcp,
        )
        if dsn is not None:
            box.prepare()
        return box

    def prepare(self) -> None:
        """Make the tables and put in the sample rows; any number of times, by several processes at once."""
        with once.connected(self._database()) as connection:
            migrate(connection, "effects", once.STEPS)
            for prepare in self._prepares:
                prepare(connection, self._sample)

    def _now(self) -> Held:
        """The tools as the files of MCP servers say now; whoever does several things with them takes them once."""
        held = self._held
        mcp = self.mcp.current() if self.mcp is not None else None
        if held.mcp is mcp or (mcp is not None and held.refused is mcp):
            return held
        assert mcp is not None
        try:
            held = Held.of(self._own, mcp)
        except UserError as error:  # a name that is one of ours: what was accepted last is shown, and nothing runs
            log.warning("no tool of an MCP server is used until this is mended: %s", error)
            held = replace(self._refused(mcp.held_back(str(error))), refused=mcp)
        self._held = held
        return held

    def _refused(self, mcp: McpServers) -> Held:
        """Ours, and of servers that are held back what can stand beside them."""
        try:
            return Held.of(self._own, mcp, but=self._own)
        except UserError:
            return Held.of(self._own, None)

    def names(self) -> frozenset[str]:
        """What the tools are called."""
        return frozenset(self._now().specs)

    def offered(self) -> list[ToolSpec]:
        """Every tool that the model may see, in the order given: one of a server that is down or changed it is none."""
        held = self._now()
        if held.mcp is not None:
            held.mcp.check_required()
        return copy.deepcopy([spec for name, spec in held.specs.items() if held.as_accepted(name)])

    def spec(self, name: str) -> ToolSpec | None:
        """A tool as it was accepted, without asking anybody; None where there is none."""
        return copy.deepcopy(self._now().specs.get(name))

    def look(self, name: str) -> ToolSpec | None:
        """A tool as it is at this moment: what would run. None where there is none.

        Raises:
            PassingFault: it runs on a server that does not answer.
        """
        held = self._now()
        spec = copy.deepcopy(held.specs.get(name))
        return held.mcp.look(spec) if spec is not None and held.mcp is not None and held.foreign(name) else spec

    def description(self, name: str, language: Language) -> str:
        """What the tool is for, in the language where its author wrote it; "" for an unknown tool."""
        held = self._now()
        if name not in held.tools:
            return ""
        return (language == "ko" and held.declared(name).ko) or held.specs[name]["description"]

    def check(self, name: str, args: Mapping[str, JSON]) -> Checked:
        """Arguments coerced and validated; see `tools.checking`. Never raises."""
        held = self._now()
        if name not in held.tools:
            known = ", ".join(held.tools) or "none"
            unknown = [f"{shown(name)}: unknown tool; there are {known}"]
            return Checked(args=dict(args), missing=[], problems=unknown, unclear=[])
        return check_args(held.specs[name], held.declared(name), args, self._today())

    def describe(self, name: str, args: Mapping[str, JSON], language: Language) -> str:
        """One sentence that says what will happen. Never raises, whatever the arguments."""
        held = self._now()
        if name not in held.tools:
            unknown = shown(name)
            return (
                f"{unknown}: 없는 도구라서 실행되지 않습니다."
                if language == "ko"
                else f"{unknown} is no tool; it will not run."
            )
        declared = held.declared(name)
        sentence = _filled(declared.will.get(language), {key: shown(value) for key, value in args.items()})
        if sentence is None:
            listed = ", ".join(
                f"{shown(key)}={shown(json.dumps(v, ensure_ascii=False, default=str))}" for key, v in args.items()
            )
            sentence = (
                f"{name} 실행: {listed or '인자 없음'}."
                if language == "ko"
                else f"Run {name} with {listed or 'no arguments'}."
            )
        return sentence if declared.reversible else _irrevocable(sentence, language)

    def tell(self, name: str, result: JSON, language: Language) -> list[str]:
        """The result as lines of one sentence each, at least one of them with words.

        Never raises: a result without a template is shown as JSON.
        """
        held = self._now()
        telling = held.declared(name).tells.get(language) if name in held.tools else None
        lines = _told(telling, result)
        if lines is None:
            body = shown(json.dumps(result, ensure_ascii=False, default=str))
            lines = [f"{name} 결과: {body}" if language == "ko" else f"{name} returned {body}."]
        told = [str(shown(line)) for line in lines]
        return told if any(told) else [wordless(name, language)]

    def run(self, name: str, args: Mapping[str, JSON], *, key: str, version: str = "") -> JSON:
        """Do it, once for each ``key`` where the tool is transactional.

        ``version``: of the schema that was looked at last; a tool of a server runs as no other. "": as accepted.

        Raises:
            ToolFailed: refused; certainly nothing was changed.
            OutcomeUnknown: a tool without a transaction broke off; it may have happened.
            PassingFault: the database failed; a transactional tool may be run again under the same key.
            ToolChanged: it is another tool by now; nothing was run.
        """
        held = self._now()
        if name not in held.tools:
            raise ToolFailed(f"There is no tool {shown(name)!r}; nothing was run.")
        spec = held.specs[name]
        wrong = violations(spec, args)
        if wrong:
            raise ToolFailed(f"{name} was not run: {'; '.join(wrong)}.")
        if held.mcp is not None and held.foreign(name):
            return held.mcp.call(name, args, key=key, version=version or spec["schema_version"])
        if spec["effect_class"] == "read":
            return self._read(name, args, key)
        if spec["recovery"] == "transactional":
            return once.run_once(
                self._database(), name, key, lambda connection: self._called(name, args, key, connection, sure=True)
            )
        return self._called(name, args, key, None, sure=False)

    def settled(self, name: str, key: str) -> Outcome | None:
        """What is known of an earlier run under ``key``.

        None says that it certainly did not happen: only a transactional tool's table (or a read, which does nothing)
        can say so. For any other tool, and for one that is gone, the outcome is ``in_doubt``.
        """
        spec = self._now().specs.get(name)
        if spec is not None and spec["effect_class"] == "read":
            return None
        if spec is not None and spec["recovery"] == "transactional":
            return once.settled(self._database(), name, key)
        why = "its system keeps no record under our key" if spec is not None else "the tool is not there any more"
        return self._ended(name, key, "in_doubt", None, f"It is unknown whether {name} ran: {why}.")

    def probe(self, name: str, args: Mapping[str, JSON], *, key: str) -> Outcome:
        """Ask the tool's own probe what became of the effect under ``key``: done, failed (it did not happen), in_doubt.

        Never raises: a probe that cannot tell, or a tool without one, leaves the effect in doubt and says why.
        """
        held = self._now()
        probe = held.declared(name).probe if name in held.tools else None
        if probe is None:
            return self._ended(name, key, "in_doubt", None, f"{shown(name)} has no probe.")
        world = World(key=key, today=self._today(), outbox=self._outbox)
        try:
            found = probe(dict(args), world)
        except Exception as error:  # the border to other people's code: whatever it raises, nothing is known
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            return self._ended(name, key, "in_doubt", None, f"the look-up could not tell ({reason}).")
        if found is None:
            return self._ended(name, key, "failed", None, f"{name} was looked up: it did not happen.")
        return self._ended(name, key, "done", _as_json(found), "")

    def _ended(self, name: str, key: str, status: Any, result: JSON, error: str) -> Outcome:
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        return Outcome(key=key, tool=name, status=status, result=result, error=error, at=at)

    def _database(self) -> str:
        if self._dsn is None:
            raise UserError("these tools need a database; give Toolbox(dsn=…)")
        return self._dsn

    def _read(self, name: str, args: Mapping[str, JSON], key: str) -> JSON:
        if not wants_world(self._held.tools[name]) or self._dsn is None:
            return self._called(name, args, key, None, sure=True)
        with once.connected(self._dsn) as connection:
            connection.read_only = True
            with connection.transaction():
                return self._called(name, args, key, connection, sure=True)

    def _called(
        self, name: str, args: Mapping[str, JSON], key: str, connection: psycopg.Connection | None, *, sure: bool
    ) -> JSON:
        """Call the tool. ``sure``: whatever it raises, nothing stays changed (a transaction, or only a read)."""
        tool = self._held.tools[name]  # one of ours, which stay
        given = dict(args)
        if wants_world(tool):
            given[WORLD] = World(key=key, today=self._today(), outbox=self._outbox, connection=connection)
        try:
            return _as_json(_invoked(tool, given))
        except (DojangError, psycopg.OperationalError, psycopg.InterfaceError):
            raise
        except Exception as error:  # the border to other people's code: keep the cause, say what is known of the effect
            log.debug("tool %s raised", name, exc_info=True)
            reason = f"{type(error).__name__}: {(str(error).strip() or 'no message').splitlines()[0]}"
            if sure:
                raise ToolFailed(f"{name} failed and changed nothing ({reason}).") from error
            raise OutcomeUnknown(f"{name} broke off under key {key} ({reason}); look whether it happened.") from error


def _invoked(tool: BaseTool, given: dict[str, JSON]) -> object:
    if getattr(tool, "func", True) is not None:
        return tool.invoke(given)
    answer: list[object] = []
    failure: list[BaseException] = []

    def alone() -> None:  # a tool that is only async (MCP): its own loop in its own thread, as this one may have a loop
        try:
            answer.append(asyncio.run(tool.ainvoke(given)))
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=alone, name=f"tool-{tool.name}")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return answer[0]


def _as_json(value: object) -> JSON:
    plain = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
    try:
        return json.loads(json.dumps(plain, allow_nan=False, default=_plain))
    except (TypeError, ValueError):
        return str(plain)


def _plain(value: object) -> str:
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(type(value).__name__)


def _filled(template: Template | None, args: dict[str, JSON]) -> str | None:
    """The template's sentence; None where there is none or the arguments do not fit it."""
    if template is None:
        return None
    try:
        text = template(args) if callable(template) else template.format_map(args)
    except (KeyError, IndexError, AttributeError, TypeError, ValueError):
        return None
    return " ".join(text.split())


def _told(telling: Telling | None, result: JSON) -> list[str] | None:
    if telling is None:
        return None
    try:
        return telling(result)
    except (KeyError, IndexError, AttributeError, TypeError, ValueError):
        return None


def _irrevocable(sentence: str, language: Language) -> str:
    bare = sentence.rstrip(".")
    return f"{bare} (되돌릴 수 없음)." if language == "ko" else f"{bare}; this cannot be undone."
