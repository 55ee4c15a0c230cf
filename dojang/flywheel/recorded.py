"""Production's parts over what was recorded: tools that only repeat themselves, passages of then, a clock set to then.

``Recorded`` is ``Parts`` with its doors to the world closed, so that whatever production hands to the graph is handed
to a replay, too. Files go into the home of its settings, a temporary one. Rules are read from the real home and asked
without counting anything.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from dojang.chosen import mcp_servers_of
from dojang.parts import Parts
from nodes.gate import allowed_args
from state import JSON, AgentState, BrokenInvariant, Outcome, Passage, Prompt, ToolSpec, Verdict
from tools.errors import ToolFailed
from tools.toolbox import Toolbox

if TYPE_CHECKING:
    from dojang.settings import Settings
    from store.port import Documents
    from tools.policy import FilePolicy


class LiveCall(BrokenInvariant):
    """A replay was about to do something in the world."""


class NotRecorded(Exception):
    """A call that nobody made then, or that did not come to its end: nothing says what it would have given back."""

    def __init__(self, tool: str, args: Mapping[str, JSON]) -> None:
        super().__init__(tool)
        self.tool, self.given = tool, dict(args)


@dataclass
class Then:
    """The moment that is replayed; the parts look here."""

    at: datetime = datetime(2000, 1, 1, tzinfo=UTC)
    today: date | None = None
    tools: Sequence[ToolSpec] = ()
    passages: Mapping[str, Passage] = field(default_factory=dict)
    results: Mapping[str, Outcome] = field(default_factory=dict)

    def turn_to(self, prompt: Prompt, results: Mapping[str, Outcome]) -> None:
        """Be at the moment of a model turn."""
        told = prompt["rendered"]["today"]
        self.at, self.today = datetime.fromisoformat(prompt["at"]), date.fromisoformat(told) if told else None
        self.tools, self.passages = prompt["tools"], {p["id"]: p for p in prompt["passages"]}
        self.results = results

    def now(self) -> datetime:
        """The clock of then: it stands still."""
        return self.at


def results_of(entries: Iterable[Mapping[str, Any]], states: Iterable[Mapping[str, Any]]) -> dict[str, Outcome]:
    """What a thread's calls gave back, by tool and arguments: the newest where one was made twice.

    Args:
        entries: The ledger's. It has every effect, and no read.
        states: The thread's, newest first; they have what reads gave back.
    """
    found: dict[str, Outcome] = {}
    for values in states:
        proposals = values.get("proposals") or {}
        for name, outcome in (values.get("outcomes") or {}).items():
            if name in proposals and not outcome["key"]:
                args = allowed_args(cast(AgentState, values), proposals[name])
                found.setdefault(_key(outcome["tool"], proposals[name]["args"] if args is None else args), outcome)
    actions: dict[str, str] = {}
    for entry in entries:
        if entry["k"] == "intent":
            actions[entry["key"]] = _key(entry["action"]["tool"], entry["action"]["args"])
        elif entry["key"] in actions:
            found[actions[entry["key"]]] = entry["outcome"]
    return found


def _key(tool: str, args: Mapping[str, JSON]) -> str:
    return json.dumps([tool, args], ensure_ascii=False, sort_keys=True)


class RecordedToolbox(Toolbox):
    """Checks, describes and tells as production does; offers what was offered then, and gives back what came of it."""

    then: Then

    def offered(self) -> list[ToolSpec]:
        """The tools as they were offered then."""
        return [cast(ToolSpec, {**spec}) for spec in self.then.tools]

    def spec(self, name: str) -> ToolSpec | None:
        """A tool as it was offered then."""
        return next((spec for spec in self.offered() if spec["name"] == name), None)

    def look(self, name: str) -> ToolSpec | None:
        """A tool as it was offered then: a replay asks no server."""
        return self.spec(name)

    def run(self, name: str, args: Mapping[str, JSON], *, key: str, version: str = "") -> JSON:
        """What this call gave back then; NotRecorded where it was not made."""
        outcome = self.then.results.get(_key(name, args))
        if outcome is not None and outcome["status"] == "done":
            return outcome["result"]
        if outcome is not None and outcome["status"] == "failed":
            raise ToolFailed(outcome["error"])
        raise NotRecorded(name, args)

    def settled(self, name: str, key: str) -> Outcome | None:
        """Refused: a replay begins effects anew."""
        raise LiveCall(f"a replay asked what became of {name} ({key}); nothing was asked")

    def probe(self, name: str, args: Mapping[str, JSON], *, key: str) -> Outcome:
        """Refused."""
        raise LiveCall(f"a replay was about to look up {name} ({key}) outside; nothing was looked up")

    def _called(self, name: str, args: Mapping[str, JSON], key: str, connection: Any, *, sure: bool) -> JSON:
        """The net below: whatever would call a tool ends here."""
        raise LiveCall(f"a replay was about to call {name} ({key}); it was not called")


class RecordedPassages:
    """The passages of then, whatever is looked for."""

    def __init__(self, then: Then) -> None:
        self._then = then

    def search(self, query: str, *, k: int = 5, filters: Mapping[str, str] | None = None) -> list[Passage]:
        """All of them."""
        return list(self._then.passages.values())

    def fetch(self, ids: Sequence[str]) -> list[Passage]:
        """Those of these ids that were there."""
        return [self._then.passages[name] for name in ids if name in self._then.passages]


class Considered:
    """Rules that are asked what they would say: an approval in advance counts, and is not counted."""

    def __init__(self, rules: FilePolicy) -> None:
        self._rules = rules
        self.version = rules.version

    def judge(self, subject_id: str, subject: Any) -> Verdict:
        """The verdict, nothing written."""
        return self._rules.consider(subject_id, subject)

    def recheck(self, subject_id: str, subject: Any) -> Verdict:
        """The same: what was let pass a moment ago passes."""
        return self._rules.consider(subject_id, subject)


class Recorded(Parts):
    """Production's parts with the world of ``then``. ``settings``: production's, with a home of their own."""

    def __init__(self, settings: Settings, then: Then, rules: FilePolicy) -> None:
        super().__init__(settings, clock=then)
        self.then = then
        self._rules = rules

    def today(self) -> date:
        """The day that the model was told; where it was told none, the day of then."""
        return self.then.today or super().today()

    @property
    def dsn(self) -> str:
        """Refused: a replay needs no database."""
        raise LiveCall("a replay was about to open the database; it was not opened")

    @cached_property
    def store(self) -> Documents:
        """The passages of then."""
        return cast("Documents", RecordedPassages(self.then))

    @cached_property
    def toolbox(self) -> Toolbox:
        """The tools, recorded."""
        servers = mcp_servers_of(self.settings, connects=False)
        box = RecordedToolbox.open(self.settings.tools, today=self.today, mcp=servers)
        assert isinstance(box, RecordedToolbox)
        box.then = self.then
        return box

    @cached_property
    def policy(self) -> FilePolicy:
        """The rules of the real home."""
        return cast("FilePolicy", Considered(self._rules))


__all__ = ["LiveCall", "NotRecorded", "Recorded", "RecordedToolbox", "Then", "results_of"]
