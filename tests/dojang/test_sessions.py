"""Where sessions lie by the settings, and what two machines over one database share."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import dojang.sessions
from checkpoints.postgres.backend import OnlyAsFiles
from dojang.sessions import in_postgres, open_sessions
from dojang.settings import BadSetting
from dojang.workspace import Workspace
from state import Conflict, PassingFault, UserError
from tests.dojang.conftest import Shell
from tests.dojang.workspaces import STAY, settings_for, workspace_for

AWAY = "postgresql://kim:hunter2@127.0.0.1:1/none"


def given(home: Path, **said: Any) -> Any:
    return settings_for(home, AWAY, **{"sessions": None, **said})


def test_the_settings_say_where_and_nothing_is_left_behind_unasked(tmp_path: Path) -> None:
    assert not in_postgres(given(tmp_path, database_url=None))
    assert in_postgres(given(tmp_path))
    assert not in_postgres(given(tmp_path, sessions="files"))
    assert not in_postgres(given(tmp_path, session_keys=tmp_path / "ring"))
    (tmp_path / "threads" / "t-0").mkdir(parents=True)
    with pytest.raises(UserError, match=r"has sessions as files.*DOJANG_SESSIONS=files.*`dojang workspace move`"):
        in_postgres(given(tmp_path))
    assert in_postgres(given(tmp_path, sessions="postgres"))
    (tmp_path / "threads" / "t-0").rmdir()
    (tmp_path / "audit.jsonl").touch()
    with pytest.raises(UserError, match="has sessions as files"):
        in_postgres(given(tmp_path))
    with pytest.raises(BadSetting, match="DOJANG_DATABASE_URL"):
        in_postgres(given(tmp_path, sessions="postgres", database_url=None))
    with pytest.raises(UserError, match="DOJANG_SESSION_KEYS"):
        in_postgres(given(tmp_path, sessions="postgres", session_keys=tmp_path / "ring"))


def test_a_database_that_is_away_or_too_old_is_told(
    tmp_path: Path, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(PassingFault, match=r"127\.0\.0\.1:1/none does not answer") as away:
        open_sessions(given(tmp_path))
    assert "hunter2" not in str(away.value)
    monkeypatch.setattr(dojang.sessions, "OLDEST", 99)
    with pytest.raises(UserError, match=r"sessions need 99 or later.*DOJANG_SESSIONS=files"):
        open_sessions(settings_for(tmp_path, postgres_dsn, sessions="postgres"))


@pytest.fixture
def machines(tmp_path: Path, postgres_dsn: str) -> Iterator[list[Workspace]]:
    """Two machines with homes of their own over one database."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(workspace_for(tmp_path / name, postgres_dsn, sessions="postgres", user=name))
            for name in ("one", "two")
        ]


def test_what_one_machine_asks_another_decides_and_the_chain_names_both(machines: list[Workspace]) -> None:
    one, two = machines
    asked = one.ask("Please book a room")
    [review] = two.inbox()
    assert review["thread_id"] == asked.thread_id
    two.decide(review["id"], {"type": "approve"})
    done = two.resume(asked.thread_id)
    assert (done.status, [o["status"] for o in done.outcomes]) == ("done", ["done"])
    assert one.thread(asked.thread_id).outcomes == done.outcomes
    keys = [r["event"] for r in one.parts.audit.records(None) if r["event"].startswith("key.")]
    assert keys == ["key.made", "key.joined"]
    assert {r["key_id"] for r in two.parts.audit.records(asked.thread_id)} == {
        workspace.parts.audit.keys.signer().key_id for workspace in machines
    }
    with pytest.raises(OnlyAsFiles):
        one.folder(asked.thread_id)
    assert not (one.settings.home / "threads").exists()


def test_the_switch_of_one_machine_stops_the_other(machines: list[Workspace]) -> None:
    one, two = (workspace.parts.switch for workspace in machines)
    now = machines[0].parts.clock.now()
    pressed = one.press("kim", "a  fire", now)
    assert two.state() == pressed
    assert pressed.why == "a fire"
    with pytest.raises(Conflict):
        two.press("lee", "too", now)
    machines[0].parts.backend.ensure("t")
    one.note("t")
    assert two.stopped() == []
    two.let_go()
    assert (one.state(), one.stopped(), two.stopped()) == (None, ["t"], [])
    machines[0].parts.backend.replace_note(None, "paused", b"{")
    found = two.state()
    assert found is not None
    assert found.why == "paused cannot be read"


def test_what_is_approved_in_advance_on_one_machine_is_used_up_on_both(machines: list[Workspace]) -> None:
    one, two = (workspace.parts.standing for workspace in machines)
    made = one.allow(by="kim", tool="book_room", condition="args.guests < 3", max_uses=2, lasts=timedelta(hours=1))
    call = {"tool": "book_room", "effect_class": "write", "reversible": True, "args": STAY, "key": "c1"}
    assert two.covering(call) == made
    assert two.use(made.id, "s", "book_room", key="c1") is not None
    assert one.use(made.id, "s", "book_room") is not None
    assert (one.use(made.id, "s", "book_room"), two.use(made.id, "s", "book_room")) == (None, None)
    assert one.counted(call) is not None
    assert [approval.uses for approval in two.all()] == [2]
    assert one.revoke(made.id, by="kim").revoked_by == "kim"


def test_commands_for_files_say_so_and_the_others_do_it(shell: Shell) -> None:
    shell.monkeypatch.setenv("DOJANG_SESSIONS", "postgres")
    asked = shell("ask", "Please book a room", "--json")
    assert asked.code == 3
    thread = asked.json["thread_id"]
    assert shell("thread", thread, "--json").json["folder"] == ""
    for words in (["checkpoints", "verify"], ["checkpoints", "repair", thread]):
        refused = shell(*words)
        assert (refused.code, "this is for sessions as files" in refused.err) == (2, True), words
    assert "이 명령은 세션이 파일일 때만" in shell("--lang", "ko", "checkpoints", "verify").err
    verified = shell("audit", "verify", "--json")
    assert (verified.code, verified.json["problems"], verified.json["chains"]) == (0, 0, 2)
    rotated = shell("audit", "rotate-key")
    assert rotated.code == 0
    listed = shell("audit", "list", "--json").json
    assert [r["event"] for r in listed if r["event"].startswith("key.")] == ["key.rotated", "key.made"]
    assert shell("audit", "verify", "--every-signature").code == 0
    shell.monkeypatch.setenv("DOJANG_SESSIONS", "files")
    assert json.loads(shell("threads", "--json").out) == []
