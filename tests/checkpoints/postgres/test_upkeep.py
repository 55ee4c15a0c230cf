"""Words taken out of sessions in PostgreSQL, and old ones deleted there: what ``test_redacting`` says of files."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from checkpoints.audit.check import verify_audit
from checkpoints.audit.trail import AuditedDecisions, AuditedLedger, AuditLog
from checkpoints.postgres.backend import PostgresBackend
from checkpoints.postgres.looking import PgLook
from checkpoints.upkeep import home as upkeep
from checkpoints.upkeep.erasing import erase_person, erase_thread
from checkpoints.upkeep.pruning import prune
from graph import build_graph
from nodes.ports import Deps
from state import Generation
from tests.checkpoints.audited import ACTION
from tests.checkpoints.cases import checkpoint, config, decision, metadata
from tests.checkpoints.postgres.conftest import Machine
from tests.checkpoints.test_redacting import CONFIG, SECRETS, Home, lived_with
from tests.graph.parts import calls, deps, says

TABLES = ("checkpoints", "checkpoint_blobs", "checkpoint_writes", "records", "notes", "threads")


class PgHome(Home):
    """The same conversation over a database."""

    def __init__(self, path: Path, machine: Machine) -> None:
        self.path, self.keys, self.machine = path, None, machine
        self.backend = PostgresBackend(machine.database)
        self.audit = AuditLog(self.backend, path / "keys")
        self.graph = build_graph(machine.saver)
        self.kept = upkeep.Home(self.backend, machine.saver, machine.locks.run_lock)

    def deps(self, *lines: Generation) -> Deps:
        records: Any = {
            "decisions": AuditedDecisions(self.backend, self.audit),
            "ledger": AuditedLedger(self.backend, self.audit),
        }
        return replace(deps(*lines), **records)

    def bytes(self) -> str:
        with self.machine.database.reading() as db:
            db.execute("SET bytea_output = 'escape'")
            told = [str(db.execute(f"SELECT * FROM {table}".encode()).fetchall()) for table in TABLES]
            blobs = db.execute("SELECT string_agg(convert_from(blob, 'UTF8'), '') FROM checkpoint_blobs").fetchone()
            writes = db.execute("SELECT string_agg(convert_from(blob, 'UTF8'), '') FROM checkpoint_writes").fetchone()
        return "".join([*told, str(blobs), str(writes)])


@pytest.fixture
def home(machine: Machine, tmp_path: Path) -> Any:
    made = PgHome(tmp_path, machine)
    yield made
    made.backend.close()


def test_a_persons_words_are_gone_from_every_table_and_the_conversation_goes_on(home: PgHome) -> None:
    parts = lived_with(home)
    assert [secret for secret in SECRETS if secret not in home.bytes()] == []
    before, look = home.states(), PgLook(home.machine.database)
    [(name, told)] = look.all().items()
    with home.machine.locks.run_lock("t", "kim"):
        [done] = erase_person(home.audit, "lee", "admin", "asked for it", home=home.kept)
    assert "kim" in done["left"]
    [done] = erase_person(home.audit, "lee", "admin", "asked for it", home=home.kept)
    assert (done["decisions"], done["effects"]) == (3, 2)
    assert done["texts"] > 5
    assert [secret for secret in SECRETS if secret in home.bytes()] == []
    assert "too dear" in home.bytes()
    after = home.states()
    assert [(c, p, n) for c, p, n, _ in after] == [(c, p, n) for c, p, n, _ in before]
    assert [set(values) for *_, values in after] == [set(values) for *_, values in before]
    assert [m.id for m in after[0][3]["messages"]] == [m.id for m in before[0][3]["messages"]]
    assert not look.only_grew(look.signature(name), told)  # what an index has of it is read again
    assert verify_audit(home.path, backend=home.backend)["findings"] == []
    assert erase_person(home.audit, "lee", "admin", "again", home=home.kept) == []
    more = replace(parts, generator=home.deps(calls(("book", {"room": "9"})), says("Booked again.")).generator)
    home.say(more, "and one more", "choi")
    home.decide(more, type="approve", by="choi")
    assert home.graph.get_state(CONFIG).values["answer"]["text"] == "Booked again."


def test_all_content_of_a_conversation(home: PgHome) -> None:
    lived_with(home)
    done = erase_thread(home.audit, "t", "admin", "law", home=home.kept)
    assert done["checkpoints"]
    assert [word for word in [*SECRETS, "too dear", "pay for rooms"] if word in home.bytes()] == []
    assert verify_audit(home.path, backend=home.backend)["findings"] == []
    assert home.backend.exists("t")


def test_old_conversations_are_pruned(home: PgHome) -> None:
    saver, ledger, long_ago = home.machine.saver, AuditedLedger(home.backend, home.audit), timedelta(days=40)
    for thread in ("old", "waits", "busy", "unfinished", "new", "many"):
        for n in range(2):
            made = checkpoint({"v": [n]}, {"v": f"{n}"})
            if thread != "new":
                made["ts"] = (datetime.now(UTC) - long_ago).isoformat()
            stored = saver.put(config(thread), made, metadata(), {"v": f"{n}"})
        if thread == "waits":
            saver.put_writes(stored, [("__interrupt__", [1])], "task")
        if thread == "unfinished":
            ledger.begin(thread, "key", ACTION, "at_most_once")
    AuditedDecisions(home.backend, home.audit).record("old", decision("r"))
    deleted: list[str] = []
    with home.machine.locks.run_lock("busy", "kim"):
        kept = prune(home.kept, timedelta(days=30), keep_latest=True)
        fates = {one["thread_id"]: one["fate"] for one in kept}
        assert fates == {
            "old": "pruned", "many": "pruned", "waits": "waits", "busy": "busy", "unfinished": "unfinished",
            "new": "recent",
        }  # fmt: skip
        assert [len([*saver.list(config(thread))]) for thread in ("old", "many", "new")] == [1, 1, 2]
        assert prune(home.kept, timedelta(days=30), dry_run=True)[0]["fate"]
        assert {one["fate"] for one in prune(home.kept, timedelta(days=30), before=deleted.append)} >= {"pruned"}
    assert sorted(deleted) == ["many", "old"]
    assert {*home.backend.threads()} == {"waits", "busy", "unfinished", "new"}
    with home.machine.database.reading() as db:
        for table, thread in (("records", "folder"), ("logs", "folder"), ("checkpoint_blobs", "thread_id")):
            asked = f"SELECT count(*) FROM {table} WHERE {thread} ~ '^old'"
            assert db.execute(asked.encode()).fetchone() == (0,)
