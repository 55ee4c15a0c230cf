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
from tools.wording import shown

log = logging.getLogger(__name__)


def local_today() -> date:
    """Today where this machine stands."""
    return datetime.now().astimezone().date()


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
        tools = [*tools, *(mcp.tools if mcp is not None else [])]
        self.mcp = mcp
        self._tools = {tool.name: tool for tool in tools}
        if len(self._tools) != len(tools):
            names = [tool.name for tool in tools]
            twice = sorted({name for name in names if names.count(name) > 1})
            raise UserError(f"two tools have the name {twice[0]!r}; rename one of them")
        self._specs = {tool.name: spec_of(tool) for tool in tools}
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

    def offered(self) -> list[ToolSpec]:
        """Every tool that the model may see, in the order given: one of a server that is down or changed it is none."""
        if self.mcp is not None:
            self.mcp.check_required()
        shown_now = [spec for name, spec in self._specs.items() if not self._foreign(name) or self._as_accepted(name)]
        return copy.deepcopy(shown_now)

    def spec(self, name: str) -> ToolSpec | None:
        """A tool as it was accepted, without asking anybody; None where there is none."""
        return copy.deepcopy(self._specs.get(name))

    def look(self, name: str) -> ToolSpec | None:
        """A tool as it is at this moment: what would run. None where there is none.

        Raises:
            PassingFault: it runs on a server that does not answer.
        """
        spec = self.spec(name)
        return self.mcp.look(spec) if spec is not None and self.mcp is not None and self._foreign(name) else spec

    def _foreign(self, name: str) -> bool:
        return self.mcp is not None and name in self.mcp.owners

    def _as_accepted(self, name: str) -> bool:
        return self.mcp is not None and self.mcp.offered(name)

    def description(self, name: str, language: Language) -> str:
        """What the tool is for, in the language where its author wrote it; "" for an unknown tool."""
        if name not in self._tools:
            return ""
        return (language == "ko" and self._declared(name).ko) or self._specs[name]["description"]

    def check(self, name: str, args: Mapping[str, JSON]) -> Checked:
        """Arguments coerced and validated; see `tools.checking`. Never raises."""
        if name not in self._tools:
            known = ", ".join(self._tools) or "none"
            unknown = [f"{shown(name)}: unknown tool; there are {known}"]
            return Checked(args=dict(args), missing=[], problems=unknown, unclear=[])
        return check_args(self._specs[name], self._declared(name), args, self._today())

    def describe(self, name: str, args: Mapping[str, JSON], language: Language) -> str:
        """One sentence that says what will happen. Never raises, whatever the arguments."""
        if name not in self._tools:
            unknown = shown(name)
            return (
                f"{unknown}: 없는 도구라서 실행되지 않습니다."
                if language == "ko"
                else f"{unknown} is no tool; it will not run."
            )
        declared = self._declared(name)
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
        """The result as lines of one sentence each. Never raises: a result without a template is shown as JSON."""
        telling = self._declared(name).tells.get(language) if name in self._tools else None
        lines = _told(telling, result)
        if lines is None:
            body = shown(json.dumps(result, ensure_ascii=False, default=str))
            lines = [f"{name} 결과: {body}" if language == "ko" else f"{name} returned {body}."]
        return [str(shown(line)) for line in lines]

    def run(self, name: str, args: Mapping[str, JSON], *, key: str, version: str = "") -> JSON:
        """Do it, once for each ``key`` where the tool is transactional.

        ``version``: of the schema that was looked at last; a tool of a server runs as no other. "": as accepted.

        Raises:
            ToolFailed: refused; certainly nothing was changed.
            OutcomeUnknown: a tool without a transaction broke off; it may have happened.
            PassingFault: the database failed; a transactional tool may be run again under the same key.
            ToolChanged: it is another tool by now; nothing was run.
        """
        if name not in self._tools:
            raise ToolFailed(f"There is no tool {shown(name)!r}; nothing was run.")
        spec = self._specs[name]
        wrong = violations(spec, args)
        if wrong:
            raise ToolFailed(f"{name} was not run: {'; '.join(wrong)}.")
        if self.mcp is not None and self._foreign(name):
            return self.mcp.call(name, args, key=key, version=version or spec["schema_version"])
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
        spec = self._specs.get(name)
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
        probe = self._declared(name).probe if name in self._tools else None
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

    def _declared(self, name: str) -> Declaration:
        return declaration_of(self._tools[name])

    def _database(self) -> str:
        if self._dsn is None:
            raise UserError("these tools need a database; give Toolbox(dsn=…)")
        return self._dsn

    def _read(self, name: str, args: Mapping[str, JSON], key: str) -> JSON:
        if not wants_world(self._tools[name]) or self._dsn is None:
            return self._called(name, args, key, None, sure=True)
        with once.connected(self._dsn) as connection:
            connection.read_only = True
            with connection.transaction():
                return self._called(name, args, key, connection, sure=True)

    def _called(
        self, name: str, args: Mapping[str, JSON], key: str, connection: psycopg.Connection | None, *, sure: bool
    ) -> JSON:
        """Call the tool. ``sure``: whatever it raises, nothing stays changed (a transaction, or only a read)."""
        tool = self._tools[name]
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
