"""The session files on the command line: sizes, export, import, pruning, and the keys they are sealed with."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.sqlite import SqliteSaver

from checkpoints import FileSaver, KeyRing
from checkpoints.upkeep.pruning import prune
from dojang.server.work.rows import RunRows
from dojang.sessions import home_of
from dojang.settings import load_settings
from tests.checkpoints.cases import chat_graph, checkpoint, config, metadata
from tests.dojang.conftest import Shell
from tests.dojang.server.work.test_keeping_runs import SECRET, accepted
from tests.dojang.workspaces import rehearsed

Rows = Callable[[], list[tuple[Any, ...]]]
LATER = datetime.now(UTC) + timedelta(days=40)


def finished_thread(shell: Shell) -> str:
    asked = shell("ask", "hello", "--json")
    assert asked.code == 0, asked
    return str(asked.json["thread_id"])


def test_stats_and_export(shell: Shell, tmp_path: Path) -> None:
    thread, review = shell.paused()
    assert shell("checkpoints", "stats", "--json").json[0]["checkpoints"] > 2
    assert thread in shell("checkpoints", "stats", thread).out
    lines = [json.loads(line) for line in shell("checkpoints", "export", thread).out.splitlines()]
    assert lines[0]["thread_id"] == thread
    assert lines[0]["checkpoints"] == sum(line["k"] == "checkpoint" for line in lines) > 2
    assert review in json.dumps(lines)
    out = tmp_path / "out.json"
    assert shell("checkpoints", "export", thread, "--format", "json", "--out", str(out)).code == 0
    assert json.loads(out.read_text("utf-8")) == lines
    assert out.stat().st_mode & 0o777 == 0o600
    assert shell("checkpoints", "export", thread, "--out", str(out)).code == 2
    for command in ("stats", "export"):
        assert shell("checkpoints", command, "th_0").code == 2


@pytest.mark.about_files("what other savers hold is taken over into files")
def test_import(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "theirs.sqlite"
    with SqliteSaver.from_conn_string(str(path)) as theirs:
        chat_graph(theirs, ask=True).invoke({"messages": [("human", "안녕하세요")]}, config("손님/1"))
    for wrong in ([], ["--from-sqlite", str(path), "--from-postgres", "x"], ["--from-sqlite", "none"]):
        assert shell("checkpoints", "import", *wrong).code == 2
    done = shell("checkpoints", "import", "--from-sqlite", str(path), "--json")
    assert (done.code, done.json["threads"]) == (0, ["손님/1"])
    assert "손님/1" in shell("threads").out
    assert "이미 있던 대화 1개" in shell("checkpoints", "import", "--from-sqlite", str(path), "--lang", "ko").out


def test_prune_spares_who_waits(shell: Shell, bookings: Rows) -> None:
    waits, review = shell.paused()
    over = finished_thread(shell)
    assert shell("checkpoints", "prune", "--older-than", "soon").code == 2
    recent = shell("checkpoints", "prune", "--older-than", "30d", "--json").json["threads"]
    assert {one["fate"] for one in recent} == {"recent"}
    dry = shell("checkpoints", "prune", "--older-than", "0h", "--dry-run", "--json").json["threads"]
    assert {one["thread_id"]: one["fate"] for one in dry} == {waits: "waits", over: "pruned"}
    with rehearsed(load_settings()) as workspace:
        saver, settings = workspace.parts.saver, workspace.settings
        assert saver.get_tuple(config(over)) is not None
        prune(home_of(settings, workspace.parts.sessions), timedelta(days=30), now=LATER, keep_latest=True)
        assert len(list(saver.list(config(over)))) == 1
        assert len(list(saver.list(config(waits)))) > 1
        assert shell("checkpoints", "prune", "--older-than", "0h").code == 0
        assert saver.get_tuple(config(over)) is None
    assert shell("audit", "verify").code == 0
    assert shell("approve", review).code == 0
    assert len(bookings()) == 1


@pytest.mark.about_files("only files are sealed with keys of ours")
def test_sealed_from_the_first_word_to_a_new_key(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bookings: Rows
) -> None:
    keys = tmp_path / "session-keys.json"
    assert shell("checkpoints", "rotate-key").code == 2
    assert shell("checkpoints", "make-key").code == 2
    plain, _review = shell.paused()
    shell("threads")
    monkeypatch.setenv("DOJANG_SESSION_KEYS", str(keys))
    assert shell("thread", plain).code == 2
    assert shell("checkpoints", "make-key").code == 0
    assert shell("checkpoints", "make-key").code == 2
    refused = shell("thread", plain)
    assert (refused.code, "checkpoints encrypt" in refused.err) == (2, True), refused
    ring, runs = KeyRing.load(keys), shell.home / "runs.sqlite"
    with closing(RunRows(runs)) as rows:
        accepted(rows, "r", plain)
    assert shell("checkpoints", "encrypt").code == 0
    assert shell("thread", plain).code == 0
    _thread, review = shell.paused()
    rotated = shell("checkpoints", "rotate-key", "--json")
    assert (rotated.code, rotated.json["problems"], rotated.json["runs"]) == (0, [], 2), rotated
    assert KeyRing.load(keys).active == rotated.json["key_id"]
    with closing(RunRows(runs, keys=ring)) as rows:
        assert rows.get("r").body["message"]["content"] == SECRET
    assert SECRET.encode() not in runs.read_bytes()
    assert shell("checkpoints", "rotate-key", "--again", "--json").json["files"] == 0
    assert shell("inbox").code == 0
    assert shell("approve", review).code == 0
    assert len(bookings()) == 1
    for check in (["checkpoints", "verify"], ["audit", "verify"]):
        assert shell(*check).code == 0
    for path in shell.home.rglob("*"):
        if path.is_file() and "outbox" not in path.parts and "postgres" not in path.parts:
            assert b"Emma Lee" not in path.read_bytes(), path
    monkeypatch.delenv("DOJANG_SESSION_KEYS")
    lost = shell("approve", review)
    assert lost.code == 2, lost
    assert shell("checkpoints", "verify").code == 0  # the framing needs no key
    assert os.stat(keys).st_mode & 0o777 == 0o600


@pytest.mark.about_files("of a folder under a wrong name, and of `checkpoints verify`")
def test_one_that_cannot_be_read_does_not_hide_the_others(shell: Shell) -> None:
    """A folder under a wrong name: the rest is counted, and it says which name is right."""
    saver = FileSaver(shell.home / "threads")
    for thread in ("one", "two"):
        saver.put(config(thread), checkpoint({"v": 1}, {"v": 1}), metadata(), {"v": 1})
    right = saver.sessions.folders.path("one")
    wrong = right.rename(right.with_name("other-" + "0" * 32))
    counted = shell("checkpoints", "stats")
    assert (counted.code, "two" in counted.out, right.name in counted.err) == (70, True, True)
    assert shell("checkpoints", "stats", "--json").json[0]["thread_id"] == "two"
    checked = shell("checkpoints", "verify")
    assert (checked.code, right.name in checked.out) == (70, True)
    wrong.rename(right)
    assert shell("checkpoints", "stats").code == 0
    assert shell("checkpoints", "verify").code == 0


def test_upkeep_of_sessions_in_the_database(shell: Shell, bookings: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOJANG_SESSIONS", "postgres")
    waits, review = shell.paused()
    over = finished_thread(shell)
    sizes = {one["thread_id"]: one for one in shell("checkpoints", "stats", "--json").json}
    assert set(sizes) == {waits, over}
    assert sizes[over]["checkpoints"] > 2
    assert sizes[over]["bytes"]["checkpoint_blobs"] > 0
    assert review in shell("checkpoints", "export", waits).out
    assert shell("audit", "erase", "--thread", waits, "--reason", "asked").code == 2
    assert shell("audit", "erase", "--thread", over, "--reason", "asked", "--json").json["erased"][0]["checkpoints"]
    assert "hello" not in shell("checkpoints", "export", over).out
    assert shell("audit", "verify").code == 0
    fates = shell("checkpoints", "prune", "--older-than", "0h", "--json").json["threads"]
    assert {one["thread_id"]: one["fate"] for one in fates} == {waits: "waits", over: "pruned"}
    for words in (["stats", over], ["export", over]):
        assert shell("checkpoints", *words).code == 2
    for words in (["verify"], ["repair", waits], ["encrypt"]):
        assert "PostgreSQL" in shell("checkpoints", *words).err
    assert not (shell.home / "threads").exists()
