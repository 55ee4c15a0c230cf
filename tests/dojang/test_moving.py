"""``dojang workspace move``: what waits in files is decided in PostgreSQL, what came of it is in files again."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from checkpoints.audit.trail import AuditLog
from dojang import moving
from dojang.moving import move
from dojang.server.access.tokens import Tokens
from dojang.server.items import Items
from dojang.server.work.postgres.rows import PgRows
from dojang.server.work.postgres.tables import setup
from dojang.server.work.rows import RunRows
from dojang.settings import Settings, load_settings
from state import Conflict, UserError
from tests.dojang.conftest import Shell
from tests.dojang.server.work.test_rows import row_for
from tests.dojang.workspaces import rehearsed

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
