"""Records in PostgreSQL: one winner, all or nothing, and whatever somebody does to bare rows is found."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from checkpoints import AlreadyDecided, DecisionLog
from checkpoints.audit.chain import BrokenAudit
from checkpoints.audit.check import AuditReport, verify_audit
from checkpoints.audit.trail import AuditedDecisions, AuditedLedger, AuditLog
from checkpoints.errors import DamagedRecords, UnknownType
from checkpoints.postgres.backend import OnlyAsFiles, PostgresBackend
from state import PassingFault
from tests.checkpoints.audited import ACTION, outcome
from tests.checkpoints.cases import decision
from tests.processes import Forked
from tests.sessions_in_postgres import backend_in


@pytest.fixture
def backend(postgres_dsn: str) -> Iterator[PostgresBackend]:
    with backend_in(postgres_dsn) as made:
        yield made


def lived(backend: PostgresBackend, home: Path) -> AuditLog:
    """A home in which 김하나 decided, 이두리 was late, and a tool ran."""
    audit = AuditLog(backend, home / "keys")
    decisions, ledger = AuditedDecisions(backend, audit), AuditedLedger(backend, audit)
    audit.note("t", "review.shown", "김하나", "r", {"channel": "console"})
    decisions.record("t", decision("r", reason="손님이 확인함"))
    with pytest.raises(AlreadyDecided):
        decisions.record("t", decision("r", by="이두리", type="reject", reason="만실"))
    ledger.begin("t", "k", ACTION, "at_most_once")
    ledger.finish("t", "k", outcome())
    return audit


def report(backend: PostgresBackend, home: Path) -> AuditReport:
    return verify_audit(home, backend=backend)


def problems(backend: PostgresBackend, home: Path) -> list[str]:
    return [f["what"] for f in report(backend, home)["findings"] if f["level"] == "problem"]


# -- logs -------------------------------------------------------------------------------------------------------------


def test_a_log_gives_back_what_was_written_and_says_what_is_new(backend: PostgresBackend) -> None:
    backend.ensure("t")
    mine, other = backend.log("t", "about"), backend.log("t", "about")
    wide = {"k": "x", "큰 수": 2**60, "text": "\0 \u2028 \U0001f600", "nan": 0.1 + 0.2}
    with mine.writing() as writer:
        assert (writer.reset, writer.records) == (True, [])
        writer.write([wide])
    with other.writing() as writer:
        assert (writer.reset, writer.records) == (True, [wide])
        writer.write([{"k": "y"}, {"k": "z"}])
    with mine.writing() as writer:
        assert (writer.reset, writer.records) == (False, [{"k": "y"}, {"k": "z"}])
    with mine.locked():
        mine.rewrite([{"k": "only"}])
    with other.writing() as writer:
        assert (writer.reset, writer.records) == (True, [{"k": "only"}])
    assert other.records() == [{"k": "only"}]
    with pytest.raises(UnknownType), mine.writing() as writer:
        writer.write([{"k": object()}])


def test_what_was_not_committed_is_not_remembered(backend: PostgresBackend) -> None:
    backend.ensure("t")
    mine, other = backend.log("t", "about"), backend.log("t", "about")
    with mine.writing() as writer:
        writer.write([{"k": "a"}])

    def lose() -> None:
        with mine.writing() as writer:
            writer.write([{"k": "lost"}])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        lose()
    with other.writing() as writer:
        writer.write([{"k": "another in its place"}])
    with mine.writing() as writer:
        assert (writer.reset, writer.records) == (True, [{"k": "a"}, {"k": "another in its place"}])


def test_a_part_that_fails_takes_the_whole_with_it(backend: PostgresBackend) -> None:
    backend.ensure("t")

    def half() -> None:
        with backend.together("x"):
            backend.replace_note("t", "n", b"1")
            with contextlib.suppress(ZeroDivisionError), backend.log("t", "about").writing() as writer:
                writer.write([{"k": "a"}])
                raise ZeroDivisionError

    with pytest.raises(AssertionError, match="nobody was told"):
        half()
    assert (backend.note("t", "n"), backend.log("t", "about").records()) == (None, [])


def test_a_thread_that_is_gone_takes_no_records(backend: PostgresBackend) -> None:
    log = DecisionLog(backend)
    log.record("t", decision("r"))
    backend.mark("t", "notices", True)
    assert (list(backend.threads()), backend.marked("notices")) == (["t"], ["t"])
    backend.remove("t")
    assert (list(backend.threads()), backend.marked("notices"), log.of("t")) == ([], [], {})
    with pytest.raises(FileNotFoundError), backend.log("t", "prompts").writing():
        pytest.fail("written")
    log.record("t", decision("r"))
    assert backend.exists("t")
    with pytest.raises(OnlyAsFiles):
        _ = log.folders


def test_a_bare_row_is_no_record(postgres_dsn: str, backend: PostgresBackend) -> None:
    backend.ensure("t")
    log = backend.log("t", "about")
    with log.writing() as writer:
        writer.write([{"k": "a"}, {"k": "b"}])
    for change in (
        "INSERT INTO dojang_sessions.records SELECT folder, kind, 3, record FROM dojang_sessions.records WHERE n = 1",
        "DELETE FROM dojang_sessions.records WHERE n = 2",
        "UPDATE dojang_sessions.records SET record = '[' WHERE n = 1",
    ):
        with psycopg.connect(postgres_dsn) as db:
            db.execute(change)
        for look in (log.records, lambda: log.writing().__enter__(), lambda: list(backend.log("t", "about").records())):
            with pytest.raises(DamagedRecords, match=r"database/t-.*about.*damaged"):
                look()
        with log.locked():
            log.rewrite([{"k": "a"}, {"k": "b"}])


# -- races and crashes ------------------------------------------------------------------------------------------------

DECIDES = """
import sys
from checkpoints import AlreadyDecided
from checkpoints.audit.trail import AuditedDecisions, AuditLog
from tests.checkpoints.cases import decision
from tests.sessions_in_postgres import backend_in
from concurrent.futures import ThreadPoolExecutor
dsn, home, me = sys.argv[1:]
with backend_in(dsn, limit=2) as backend:
    decisions = AuditedDecisions(backend, AuditLog(backend, home))
    def decide(n):
        try:
            decisions.record("t", decision("r", by=f"p{me}-{n}"))
        except AlreadyDecided:
            return False
        return True
    with ThreadPoolExecutor(2) as pool:
        print(sum(pool.map(decide, range(8))))
"""


def test_64_decisions_of_8_machines_have_one_winner_and_a_chain_that_holds(
    postgres_dsn: str, backend: PostgresBackend, tmp_path: Path
) -> None:
    children = [Forked(words=[postgres_dsn, str(tmp_path / f"m{n}" / "keys"), str(n)], code=DECIDES) for n in range(8)]
    won = [int(child.communicate()[0]) for child in children]
    assert sorted(won) == [0] * 7 + [1]
    found = report(backend, tmp_path / "m0")
    assert [f for f in found["findings"] if f["level"] == "problem"] == []
    events = [record["event"] for record in AuditLog(backend, tmp_path / "m0" / "keys").records("t")]
    assert (events.count("decision.recorded"), events.count("decision.refused")) == (1, 63)
    named = [r["event"] for r in AuditLog(backend, tmp_path / "m0" / "keys").records(None) if "key" in r["event"]]
    assert sorted(named) == ["key.joined"] * 7 + ["key.made"]


HOLDS = """
import sys, time
from tests.sessions_in_postgres import backend_in
with backend_in(sys.argv[1]) as backend:
    backend.ensure("t")
    with backend.log("t", "decisions").writing() as writer:
        writer.write([{"k": "half"}])
        print("held", flush=True)
        time.sleep(600)
"""


def test_a_killed_writer_leaves_nothing_and_holds_nobody_up(postgres_dsn: str, backend: PostgresBackend) -> None:
    with Forked(words=[postgres_dsn], code=HOLDS) as child:
        assert child.stdout.readline() == "held\n"
        with ThreadPoolExecutor(1) as pool:
            waits = pool.submit(DecisionLog(backend).record, "t", decision("r"))
            assert not waits.done()
            child.send_signal(signal.SIGKILL)
            child.wait()
            assert waits.result(timeout=60)["by"] == decision("r")["by"]
    assert [record["k"] for record in backend.log("t", "decisions").records()] == ["decision"]


def cut(dsn: str) -> None:
    """The server throws everybody else out."""
    with psycopg.connect(dsn, autocommit=True) as db:
        db.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )


def test_a_server_that_goes_away_in_the_middle_leaves_nothing_half(
    postgres_dsn: str, backend: PostgresBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit = lived(backend, tmp_path)
    before = (audit.records("t"), audit.records(None), backend.note("t", "audit.head"))
    real: Callable[..., Any] = backend.replace_note

    def away(*given: Any) -> None:
        real(*given)
        cut(postgres_dsn)

    with monkeypatch.context() as broken:
        broken.setattr(backend, "replace_note", away)
        with pytest.raises(PassingFault):
            audit.note("t", "review.shown", "김하나", "r2")
    assert (audit.records("t"), audit.records(None), backend.note("t", "audit.head")) == before
    audit.note("t", "review.shown", "김하나", "r2")
    assert problems(backend, tmp_path) == []
    joining = AuditLog(backend, tmp_path / "another" / "keys")
    with monkeypatch.context() as broken:
        broken.setattr(backend, "replace_note", away)
        with pytest.raises(PassingFault):
            joining.note(None, "policy.seen", "dojang", "v1")
    assert joining.home.hashes == []
    joining.note("t", "review.shown", "박", "r2")
    assert problems(backend, tmp_path) == []


# -- the audit chain --------------------------------------------------------------------------------------------------


def test_a_second_machine_joins_with_a_key_of_its_own(backend: PostgresBackend, tmp_path: Path) -> None:
    lived(backend, tmp_path / "a")
    other = AuditLog(backend, tmp_path / "b" / "keys")
    other.note("t", "review.shown", "박", "r")
    other.note(None, "policy.seen", "dojang", "v1")
    first, joined = [r for r in other.records(None) if r["event"].startswith("key.")]
    assert (first["event"], joined["event"], joined["subject"]) == (
        "key.made",
        "key.joined",
        other.keys.signer().key_id,
    )
    assert len({r["key_id"] for r in other.records("t")}) == 2
    for home in ("a", "b", "somebody who has no keys"):
        assert problems(backend, tmp_path / home) == []
    assert any("joined" in f["what"] for f in report(backend, tmp_path / "a")["findings"])


TAMPERED = {
    "a decision that was changed": "UPDATE records SET record = replace(record, '확인함', '확인 안 함') "
    "WHERE kind = 'decisions'",
    "a decision that was put in": "INSERT INTO records SELECT folder, kind, n + 1, record FROM records "
    "WHERE kind = 'decisions' AND n = (SELECT max(n) FROM records WHERE kind = 'decisions')",
    "an outcome that was taken out": "DELETE FROM records WHERE kind = 'ledger' AND record LIKE '%outcome%'",
    "an outcome that was taken out with its number": "WITH gone AS (DELETE FROM records WHERE kind = 'ledger' "
    "AND record LIKE '%outcome%') UPDATE logs SET last = last - 1 WHERE kind = 'ledger'",
    "all decisions": "WITH gone AS (DELETE FROM records WHERE kind = 'decisions') DELETE FROM logs "
    "WHERE kind = 'decisions'",
    "a link that was changed": "UPDATE records SET record = replace(record, '이두리', '김하나') "
    "WHERE kind = 'audit' AND folder <> ''",
    "the last link": "WITH gone AS (DELETE FROM records r USING logs l WHERE r.folder = l.folder AND "
    "r.kind = l.kind AND r.n = l.last AND r.kind = 'audit' AND r.folder <> '') "
    "UPDATE logs SET last = last - 1 WHERE kind = 'audit' AND folder <> ''",
    "the chain of a thread": "WITH a AS (DELETE FROM records WHERE kind = 'audit' AND folder <> ''), b AS "
    "(DELETE FROM logs WHERE kind = 'audit' AND folder <> '') DELETE FROM notes WHERE folder <> ''",
    "a thread": "WITH a AS (DELETE FROM records WHERE folder <> ''), b AS (DELETE FROM logs WHERE "
    "folder <> ''), c AS (DELETE FROM notes WHERE folder <> '') DELETE FROM threads",
    "the chain of the home": "WITH a AS (DELETE FROM records WHERE folder = ''), b AS (DELETE FROM logs "
    "WHERE folder = '') DELETE FROM notes WHERE folder = ''",
    "a head": "DELETE FROM notes WHERE name = 'audit.head' AND folder <> ''",
    "a machine's key": "UPDATE signers SET public_key = replace(public_key, 'MCow', 'MCox')",
    "a machine that nobody named": "INSERT INTO signers VALUES ('{key_id}', '{pem}')",
    "a thread's id": "UPDATE threads SET thread_id = 'u'",
}


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    from checkpoints.audit.keys import Keys, pem_of

    signer = Keys(tmp_path_factory.mktemp("keys")).signer()
    return {"key_id": signer.key_id, "pem": pem_of(signer.public).decode()}


def test_whatever_is_done_to_bare_rows_is_found(
    postgres_dsn: str, backend: PostgresBackend, tmp_path: Path, stranger: dict[str, str]
) -> None:
    lived(backend, tmp_path)
    assert problems(backend, tmp_path) == []
    with psycopg.connect(postgres_dsn, options="-c search_path=dojang_sessions") as db:
        for what, statement in TAMPERED.items():
            db.execute(statement.format(**stranger) if "{" in statement else statement)
            db.commit()
            missed = problems(backend, tmp_path) == []
            assert not missed, what
            _restore(db, backend, tmp_path)


def _restore(db: psycopg.Connection[Any], backend: PostgresBackend, home: Path) -> None:
    for table in ("records", "logs", "notes", "signers", "threads"):
        db.execute(f"DELETE FROM {table}")
    db.commit()
    lived(backend, home)
    assert problems(backend, home) == []


def test_nothing_is_added_to_a_chain_that_somebody_changed(
    postgres_dsn: str, backend: PostgresBackend, tmp_path: Path
) -> None:
    audit = lived(backend, tmp_path)
    with psycopg.connect(postgres_dsn, options="-c search_path=dojang_sessions", autocommit=True) as db:
        db.execute(
            "WITH gone AS (DELETE FROM records WHERE kind = 'audit' AND folder <> '' AND n = 5) "
            "UPDATE logs SET last = 4 WHERE kind = 'audit' AND folder <> ''"
        )
        for log in (audit, AuditLog(backend, tmp_path / "keys")):
            with pytest.raises(BrokenAudit):
                log.note("t", "review.shown", "김하나", "r9")
        kept = audit.reopen("t", "김하나", "a row was deleted")
        assert [path.name.partition(".broken-")[0] for path in kept] == ["audit.jsonl", "audit.head"]
        audit.note("t", "review.shown", "김하나", "r9")
        assert problems(backend, tmp_path) == []
        db.execute("DELETE FROM records WHERE kind = 'decisions' AND n = 1")
    with pytest.raises(DamagedRecords, match="database"):
        DecisionLog(backend).of("t")
