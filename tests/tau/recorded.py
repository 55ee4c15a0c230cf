"""tau-bench's retail and airline desks as recorded tools: a write applies the records that the benchmark saw change."""

from __future__ import annotations

import copy
import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from langchain_core.tools import BaseTool, StructuredTool

from state import UserError
from tools.effects import effect
from tools.toolbox import Toolbox

Db = dict[str, dict[str, Any]]


@cache
def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@cache
def _initial(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def tasks(data: Path, domain: str) -> list[dict[str, Any]]:
    """The tasks of a domain, in the benchmark's order."""
    return _lines(data / "tau" / domain / "tasks.jsonl")


def digest(db: Db) -> str:
    """SHA-256 of a database as the benchmark writes it."""
    text = json.dumps(db, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _call(name: str, args: dict[str, Any]) -> str:
    return json.dumps([name, args], sort_keys=True)


@dataclass
class Desk:
    """One domain's tools over its initial database, for one task. ``writes`` counts what was really applied."""

    data: Path
    domain: str
    task: dict[str, Any]
    db: Db = field(init=False)
    writes: Counter[str] = field(default_factory=Counter)
    reads: int = 0
    keys: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.db = json.loads(_initial(self.data / "tau" / self.domain / "db.json"))
        self._recorded: dict[str, list[dict[str, Any]]] = {}
        for action in self.task["actions"]:
            self._recorded.setdefault(_call(action["name"], action["args"]), []).append(action)

    def expected(self) -> Db:
        """The database as it must be after every write: the initial one with the benchmark's changed records.

        For 92 of the 194 retail tasks the benchmark's digest of the final database does not fit this, though it is made
        of its own initial database and changed records; see :meth:`digest_fits`.
        """
        db: Db = json.loads(_initial(self.data / "tau" / self.domain / "db.json"))
        for table, rows in self.task["expected_changed_records"].items():
            db[table].update(rows)
        return db

    def apply(self, db: Db, action: dict[str, Any]) -> None:
        """What a write does to a database; nothing where it was refused.

        A write that puts a record back to what it was at first is recorded without changes: then the records that
        earlier writes had changed, and that are the initial ones in the end, are put back.
        """
        if action["error"]:
            return
        for table, rows in (action["changed_records"] or self._put_back()).items():
            db[table].update(copy.deepcopy(rows))

    def _put_back(self) -> Db:
        initial: Db = json.loads(_initial(self.data / "tau" / self.domain / "db.json"))
        back: Db = {}
        for action in self.task["actions"]:
            for table, rows in (action.get("changed_records") or {}).items():
                kept = self.task["expected_changed_records"].get(table, {})
                back.setdefault(table, {}).update({k: initial[table][k] for k in rows if k not in kept})
        return back

    def digest_fits(self, db: Db) -> bool:
        """Whether a database is the benchmark's final one, by its SHA-256."""
        return digest(db) == str(self.task["db_sha256_final"])

    def toolbox(self) -> Toolbox:
        """All tools of the domain; writes are declared idempotent, reads and generic ones as reads."""
        return Toolbox([self._tool(line) for line in _lines(self.data / "tau" / self.domain / "tools.jsonl")])

    def _tool(self, line: dict[str, Any]) -> BaseTool:
        function = line["schema"]["function"]
        write = line["kind"] == "write"

        def run(world: Any, **args: Any) -> Any:
            return self._write(function["name"], args, world.key) if write else self._read()

        tool = StructuredTool(
            name=function["name"], description=function["description"], args_schema=function["parameters"], func=run
        )
        return effect("write" if write else "read", recovery="idempotent")(tool)

    def _read(self) -> Any:
        self.reads += 1
        return {"read": True}

    def _write(self, name: str, args: dict[str, Any], key: str) -> Any:
        """One write, once for each key, as a keyed foreign system would do it."""
        if key in self.keys:
            return {"ok": True}
        call = _call(name, args)
        if call not in self._recorded:
            raise UserError(f"{name} was never recorded with these arguments")
        action = self._recorded[call][min(self.writes[call], len(self._recorded[call]) - 1)]
        self.keys.add(key)
        self.writes[call] += 1
        if action["error"]:
            raise UserError("the desk refused it")
        self.apply(self.db, action)
        return {"ok": True}
