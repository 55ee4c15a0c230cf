"""``dojang workspace move``: what waits in files is decided in PostgreSQL, what came of it is in files again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from checkpoints.audit.trail import AuditLog
from dojang import moving
from dojang.moving import move
from dojang.server.access.database import Database
from dojang.server.access.oidc.persons import named
from dojang.server.access.tokens import Tokens
from dojang.server.items import Items
from dojang.server.work.postgres.rows import PgRows
from dojang.server.work.postgres.tables import setup
from dojang.server.work.rows import RunRows
from dojang.sessions import open_sessions
from dojang.settings import Settings, load_settings
from state import Conflict, UserError
from tests.dojang.conftest import Shell
from tests.dojang.server.work.test_rows import row_for
from tests.dojang.workspaces import rehearsed

ISSUER = "https://login.example.org"
Rows = Callable[[], list[tuple[Any, ...]]]


def _environ(shell: Shell, **given: str) -> None:
    for name, value in given.items():
        shell.monkeypatch.setenv(name, value)


def _run(home: Any, thread: str, *, over: bool = True) -> str:
    with closing(RunRows(home / "runs.sqlite")) as rows:
        made = row_for("run-1", thread)
        rows.accept(made, capacity=10, webhook="https://example.org/told")
        rows.keep_event(made.run_id, 1, "metadata", b"{}")
        taken = rows.take()
        assert taken is not None
        if over:
            rows.finish(taken, "success")
    return made.run_id


def _token(shell: Shell, name: str = "hana") -> str:
    return str(shell("--json", "tokens", "create", "--name", name, "--role", "viewer").json["token"])


def test_there_and_back(shell: Shell, bookings: Rows) -> None:
    _environ(shell, DOJANG_SESSIONS="files")
    thread, review = shell.paused()
    with rehearsed(load_settings()) as files:
        files.parts.standing.allow(
            by="lee", tool="cancel_booking", condition="true", max_uses=3, lasts=timedelta(days=1), irreversible=True
        )
        files.pause_all("stocktaking")
        files.parts.switch.note(thread)
        before = files.history(thread)
    run = _run(shell.home, thread)
    secret = _token(shell)
    with closing(Items(shell.home / "items.sqlite")) as items:
        items.put("hana", ["a"], "k", {"v": 1})

    moved = shell("--json", "workspace", "move", "--to", "postgres")

    assert moved.code == 0, moved.err
    assert (moved.json["threads"], moved.json["runs"], moved.json["to"]) == (1, 1, "postgres")
    assert [name for name in ("threads", "tokens.sqlite", "items.sqlite") if (shell.home / name).exists()] == []
    shell.monkeypatch.delenv("DOJANG_SESSIONS")  # nothing is said: the home has no files, and a database is named
    assert shell("--json", "tokens", "list").json[0]["name"] == "hana"
    gone = _token(shell, "lee")
    assert shell("tokens", "revoke", gone[:11]).code == 0
    with rehearsed(load_settings()) as rows:
        assert rows.history(thread) == before
        assert [one.by for one in rows.parts.standing.all()] == ["lee"]
        assert rows.paused is not None
        assert rows.paused.why == "stocktaking"
        assert rows.parts.switch.noted() == [thread]
        rows.go_on_all()
    assert shell("approve", review).code == 0
    assert len(bookings()) == 1
    assert shell("audit", "verify").code == 0

    back = shell("--json", "workspace", "move", "--to", "files")

    assert back.code == 0, back.err
    _environ(shell, DOJANG_SESSIONS="files")
    shown = shell("--json", "show", review)
    assert shown.json["status"] == "decided", shown.out
    assert shell("audit", "verify").code == 0
    assert sorted((one["name"], one["status"]) for one in shell("--json", "tokens", "list").json) == [
        ("hana", "active"),
        ("lee", "revoked"),
    ]
    assert Tokens(shell.home, AuditLog(shell.home / "threads", shell.home / "keys")).check(secret).name == "hana"
    with closing(Items(shell.home / "items.sqlite")) as items:
        assert items.get("hana", ["a"], "k").value == {"v": 1}  # type: ignore[union-attr]
    with closing(RunRows(shell.home / "runs.sqlite")) as kept:
        assert kept.get(run).status == "success"
        assert kept.number(run) == 1
        assert [event for _, event, _ in kept.events(run, 0)] == ["metadata"]
        delivery = kept.outbox()
        with closing(delivery):
            assert delivery.wants(run), "somebody is still to be told"
    assert shell("ask", "please book a room").code == 3
    assert len(bookings()) == 1


def test_nothing_moves_while_somebody_is_at_work(shell: Shell) -> None:
    _environ(shell, DOJANG_SESSIONS="files")
    thread, _ = shell.paused()
    _run(shell.home, thread, over=False)
    refused = shell("workspace", "move", "--to", "postgres")
    assert refused.code == 4
    assert "1 runs wait or are under way" in refused.err
    assert (shell.home / "threads").exists()


def test_a_home_is_not_opened_half_moved(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    _environ(shell, DOJANG_SESSIONS="files")
    thread, _ = shell.paused()

    class Cut(Exception):
        pass

    def cut(told: str) -> None:
        raise Cut

    settings = load_settings()
    with pytest.raises(Cut):
        move(settings, "postgres", tell=cut)
    _environ(shell, DOJANG_SESSIONS="postgres")
    refused = shell("inbox")
    assert refused.code == 4
    assert "dojang workspace move" in refused.err
    assert move(settings, "postgres")["threads"] == 1
    assert shell("inbox").code == 0
    assert thread in shell("threads").out


def test_cut_off_after_the_source_was_put_aside(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    _environ(shell, DOJANG_SESSIONS="files")
    thread, _ = shell.paused()
    run = _run(shell.home, thread)
    settings, aside = load_settings(), moving._put_aside

    class Cut(Exception):
        pass

    def cut(home: Path, threads: Path, folder: Path) -> Path:
        aside(home, threads, folder)
        raise Cut

    monkeypatch.setattr(moving, "_put_aside", cut)
    with pytest.raises(Cut):
        move(settings, "postgres")
    monkeypatch.setattr(moving, "_put_aside", aside)
    done = move(settings, "postgres")
    assert done["threads"] == 1
    with closing(RunRows(Path(done["kept"]) / "runs.sqlite")) as kept:
        assert kept.get(run).over, "what was put aside is as it was"
    _environ(shell, DOJANG_SESSIONS="postgres")
    with rehearsed(load_settings()) as there:
        database = there.parts.sessions.database
        assert database is not None
        with closing(PgRows(database)) as rows:
            assert rows.get(run).status == "success"
        assert there.begun(thread)


@pytest.mark.parametrize(
    ("given", "says"),
    [({"database_url": None}, "DOJANG_DATABASE_URL"), ({"session_keys": "keys.json"}, "sealed sessions stay files")],
)
def test_what_cannot_be_moved(shell: Shell, given: dict[str, Any], says: str) -> None:
    settings: Settings = load_settings().model_copy(update=given)
    with pytest.raises(UserError, match=says):
        move(settings, "postgres")


def test_a_database_with_sessions_is_left_alone(shell: Shell, postgres_dsn: str) -> None:
    _environ(shell, DOJANG_SESSIONS="postgres")
    shell.paused()
    with rehearsed(load_settings()) as there:
        database = there.parts.sessions.database
        assert database is not None
        setup(database)
        with closing(PgRows(database)) as rows:
            rows.accept(row_for("theirs", "somebody's"), capacity=10)
    _environ(shell, DOJANG_SESSIONS="files")
    shell.paused()
    with pytest.raises(Conflict, match="has sessions already"):
        move(load_settings(), "postgres")
    with psycopg.connect(postgres_dsn) as db:
        found = db.execute("SELECT count(*) FROM dojang_sessions.threads").fetchone()
        runs = db.execute("SELECT run_id FROM dojang_sessions.runs").fetchall()
    assert found == (1,)
    assert runs == [("theirs",)]
    assert json.loads(shell("--json", "threads").out), "what is in files is there"


def test_nobody_is_taken_for_somebody_else_by_a_move(shell: Shell, postgres_dsn: str) -> None:
    _environ(shell, DOJANG_SESSIONS="files")
    shell.paused()
    with _in_files(shell.home) as file, _in_rows() as rows:
        _log_in(file, "1", "Lee")
        _log_in(rows, "2", "lee")

    refused = shell("workspace", "move", "--to", "postgres")

    assert refused.code == 4, refused.err
    for part in ("lee", f"{ISSUER}#1", f"{ISSUER}#2", "nothing was moved", "docs/operations.md"):
        assert part in refused.err
    with psycopg.connect(postgres_dsn) as db:
        for table in ("threads", "checkpoints", "records", "notes", "signers"):
            assert db.execute(f"SELECT FROM dojang_sessions.{table}".encode()).fetchall() == [], table
    assert shell("inbox").code == 0, "it is open, and as it was"
    with psycopg.connect(postgres_dsn) as db:  # what that page says
        db.execute("ALTER SCHEMA dojang_sessions RENAME TO dojang_sessions_before")
    assert shell("workspace", "move", "--to", "postgres").code == 0
    with psycopg.connect(postgres_dsn) as db:
        assert db.execute("SELECT sub, name FROM dojang_sessions.identities").fetchall() == [("1", "Lee")]


@pytest.mark.parametrize("to", ["postgres", "files"])
def test_names_of_people_and_of_tokens(shell: Shell, to: moving.Where) -> None:
    _environ(shell, DOJANG_SESSIONS="files")
    source, target = (_in_files(shell.home), _in_rows()) if to == "postgres" else (_in_rows(), _in_files(shell.home))
    with source as here, target as there:
        _log_in(here, "1", "Lee")  # a name that the next one had
        _log_in(here, "2", "Kim")
        _log_in(there, "2", "Lee")
        _log_in(there, "3", "minji")
        _log_in(there, "4", "Sora")
        _make_token(there, "dj_00000001", "hana")
        _make_token(here, "dj_00000002", "Hana")
        _make_token(here, "dj_00000003", "Minji")
    with pytest.raises(Conflict, match=f"{ISSUER}#3 in .*nothing was moved"):
        move(load_settings(), to)
    with _in_rows() if to == "postgres" else _in_files(shell.home) as there:
        there.execute("DELETE FROM identities WHERE sub = '3'")
    move(load_settings(), to)
    with _in_rows() if to == "postgres" else _in_files(shell.home) as there:
        found = there.execute("SELECT sub, name FROM identities UNION SELECT prefix, name FROM tokens").fetchall()
    assert {tuple(dict(row).values()) for row in found} == {
        ("1", "Lee"),
        ("2", "Kim"),
        ("4", "Sora"),
        ("dj_00000001", "hana"),
        ("dj_00000002", "Hana"),
        ("dj_00000003", "Minji"),
    }


def _in_files(home: Path) -> AbstractContextManager[Any]:
    """Who may come into the home, to be written."""
    return Database(home / "tokens.sqlite").writing()


@contextmanager
def _in_rows() -> Iterator[Any]:
    """Who may come into what lies in the database, to be written."""
    settings = load_settings().model_copy(update={"sessions": "postgres"})
    with closing(open_sessions(settings, moving=True)) as opened:
        assert opened.beside is not None
        with opened.beside.writing(named=True) as db:
            yield db


def _log_in(db: Any, sub: str, name: str) -> None:
    assert named(db, ISSUER, sub, name, local="kim's machine", now="2026-01-01T00:00:00+00:00") == (name, True)


def _make_token(db: Any, prefix: str, name: str) -> None:
    row = (prefix, prefix.encode(), name, "viewer", "2026-01-01T00:00:00+00:00", "kim", "2027-01-01T00:00:00+00:00")
    db.execute("INSERT INTO tokens VALUES (?, ?, ?, ?, ?, ?, ?, '', '', '')", row)
