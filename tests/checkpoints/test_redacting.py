"""One person's words out of whole conversations of the real graph: gone from every file, and everything else stays."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.types import Command

from checkpoints import FileSaver, run_lock, verify
from checkpoints.audit.check import verify_audit
from checkpoints.audit.trail import AuditedDecisions, AuditedLedger, AuditLog
from checkpoints.files.crypto import KeyRing
from checkpoints.upkeep.erasing import erase_person
from graph import AgentGraph, build_graph
from nodes.ports import Deps
from state import Generation
from tests.graph.parts import Toys, asks, calls, deps, says

CONFIG: Any = {"configurable": {"thread_id": "t"}}
SECRETS = ["debts with us", "Suite Baekdu", "born on 3 May", "a room for Hong"]
"""What lee says in :func:`lived_with`."""


class Home:
    """A home with one conversation of the real graph over files."""

    def __init__(self, path: Path, keys: KeyRing | None = None) -> None:
        self.path, self.keys = path, keys
        self.audit = AuditLog(path / "threads", path / "keys", session_keys=keys)
        self.graph: AgentGraph = build_graph(FileSaver(path / "threads", keys=keys))

    def deps(self, *lines: Generation) -> Deps:
        files: Any = {
            "decisions": AuditedDecisions(self.path / "threads", self.audit),
            "ledger": AuditedLedger(self.path / "threads", self.audit),
        }
        return replace(deps(*lines), **files)

    def say(self, parts: Deps, text: str, name: str) -> None:
        given: Any = {"messages": [HumanMessage(text, name=name)]}
        self.graph.invoke(given, CONFIG, context=parts, durability="sync")

    def decide(self, parts: Deps, **said: Any) -> None:
        [waiting] = self.graph.get_state(CONFIG).interrupts
        resume: Any = Command(resume={waiting.id: said})
        self.graph.invoke(resume, CONFIG, context=parts, durability="sync")

    def bytes(self) -> str:
        [folder] = [f for f in (self.path / "threads").iterdir() if f.is_dir()]
        return "".join(path.read_text(encoding="utf-8") for path in folder.glob("*.jsonl"))

    def states(self) -> list[Any]:
        return [(s.config, s.parent_config, s.next, s.values) for s in self.graph.get_state_history(CONFIG)]


def lived_with(home: Home) -> Deps:
    """Two turns: lee asks and edits, answers and rejects; choi says something of their own."""
    parts = home.deps(
        asks("Which day?"),
        calls(("book", {"room": "1"})),
        says("Booked."),
        calls(("pay", {"room": "2"})),
        calls(("pay", {"room": "3"})),
        says("Nothing was paid."),
    )
    home.say(parts, "a room for Hong", "lee")
    home.decide(parts, type="answer", by="lee", message="born on 3 May")
    home.decide(parts, type="edit", by="lee", edited_args={"room": "Suite Baekdu"}, reason="ok")
    home.say(parts, "pay for rooms two and three", "choi")
    home.decide(parts, type="reject", by="lee", reason="debts with us")
    home.decide(parts, type="reject", by="choi", reason="too dear")
    return parts


def test_a_persons_words_are_gone_from_every_file_and_all_else_is_there(tmp_path: Path) -> None:
    home = Home(tmp_path)
    lived_with(home)
    assert [secret for secret in SECRETS if secret not in home.bytes()] == []
    before = home.states()
    [done] = erase_person(home.audit, "lee", "admin", "asked for it")
    assert (done["decisions"], done["effects"]) == (3, 2)
    assert done["texts"] > 10
    assert [secret for secret in SECRETS if secret in home.bytes()] == []
    assert "too dear" in home.bytes()
    assert "pay for rooms two and three" in home.bytes()
    after = home.states()
    assert [(c, p, n) for c, p, n, _ in after] == [(c, p, n) for c, p, n, _ in before]
    assert [set(values) for *_, values in after] == [set(values) for *_, values in before]
    decisions = [d for *_, values in after for d in values.get("decisions", {}).values()]
    assert {(d["reason"], d["message"], d["edited_args"]) for d in decisions if d["by"] == "lee"} == {("", "", None)}
    assert {d["reason"] for d in decisions if d["by"] == "choi"} == {"too dear"}
    messages = after[0][3]["messages"]
    assert [m.id for m in messages] == [m.id for m in before[0][3]["messages"]]
    assert {d["digest"] for d in after[0][3]["decisions"].values()} == {
        d["digest"] for d in before[0][3]["decisions"].values()
    }
    assert verify(tmp_path / "threads")["damaged"] == []
    assert verify_audit(tmp_path)["findings"] == []
    assert erase_person(home.audit, "lee", "admin", "again") == []


def test_the_conversation_goes_on_afterwards_in_a_process_that_had_it_open(tmp_path: Path) -> None:
    home = Home(tmp_path)
    parts = lived_with(home)
    erase_person(AuditLog(tmp_path / "threads", tmp_path / "keys"), "lee", "admin", "asked for it")
    more = replace(parts, generator=home.deps(calls(("book", {"room": "9"})), says("Booked again.")).generator)
    home.say(more, "and one more", "choi")
    home.decide(more, type="approve", by="choi")
    values = home.graph.get_state(CONFIG).values
    assert values["answer"]["text"] == "Booked again."
    assert isinstance(parts.toolbox, Toys)
    assert [args["room"] for _, args, _ in parts.toolbox.ran] == ["Suite Baekdu", "9"]
    assert verify_audit(tmp_path)["findings"] == []


def test_sealed_sessions_stay_sealed(tmp_path: Path) -> None:
    home = Home(tmp_path, KeyRing.of(bytes([1]) * 32))
    lived_with(home)
    erase_person(home.audit, "lee", "admin", "asked for it")
    read = build_graph(FileSaver(tmp_path / "threads", keys=home.keys)).get_state(CONFIG).values
    assert [secret for secret in SECRETS if secret in str(read)] == []
    assert "pay for rooms" not in home.bytes()
    assert verify(tmp_path / "threads", keys=home.keys)["damaged"] == []


def test_a_conversation_that_waits_or_runs_keeps_its_words(tmp_path: Path) -> None:
    home = Home(tmp_path)
    parts = lived_with(home)
    with run_lock(tmp_path / "threads", "t", owner="kim"):
        [done] = erase_person(home.audit, "lee", "admin", "asked for it")
    assert "kim" in done["left"]
    more = replace(parts, generator=home.deps(calls(("book", {"room": "9"}))).generator)
    home.say(more, "and one more", "choi")
    [done] = erase_person(home.audit, "lee", "admin", "asked for it")
    assert "decide it first" in done["left"]
    assert [secret for secret in SECRETS if secret not in home.bytes()] == []


def test_a_crash_while_it_is_written_anew_changes_nothing_and_the_next_call_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import checkpoints.upkeep.redacting

    home = Home(tmp_path)
    lived_with(home)
    whole = home.states()

    def die(*_: object) -> None:
        raise SystemExit

    with monkeypatch.context() as cut:
        cut.setattr(checkpoints.upkeep.redacting, "replace_log", die)
        with pytest.raises(SystemExit):
            erase_person(home.audit, "lee", "admin", "asked for it")
    assert home.states() == whole
    with monkeypatch.context() as cut:
        cut.setattr("checkpoints.files.backend.rewrite", die)
        with pytest.raises(SystemExit):
            erase_person(home.audit, "lee", "admin", "asked for it")
    assert "debts with us" in home.bytes()  # the decision still has them, so that the next call finds the rest
    erase_person(home.audit, "lee", "admin", "asked for it")
    assert [secret for secret in SECRETS if secret in home.bytes()] == []
    assert verify_audit(tmp_path)["findings"] == []
