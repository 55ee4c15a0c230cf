"""Real processes: killed, raced, interrupted, read-only; and what a process does not import."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dojang.settings import load_settings
from tests.dojang.conftest import ROOT, Shell, finished
from tests.dojang.workspaces import rehearsed

Rows = Callable[[], list[tuple[Any, ...]]]

IMPORTS = """
import sys
from dojang.__main__ import main
for command in sys.argv[1:]:
    code = main(command.split())
    heavy = {"torch", "transformers", "fastapi", "psycopg", "peft", "numpy", "langgraph", "prompt_toolkit"}
    heavy = sorted(heavy & set(sys.modules))
    print("did", code, *heavy, file=sys.stderr)
"""


def imported(shell: Shell, *commands: str) -> list[tuple[int, set[str]]]:
    """Commands one after the other in one new process: each one's exit code, and the heavy packages imported so far."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS, *commands],
        env={**os.environ, **shell.environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=True,
    )
    said = [line.split()[1:] for line in done.stderr.splitlines() if line.startswith("did ")]
    return [(int(code), set(heavy)) for code, *heavy in said]


def test_help_waits_for_nothing(shell: Shell) -> None:
    assert imported(shell, "--help") == [(0, set())]


@pytest.mark.about_files("they need no database")
def test_reading_files_needs_no_model_and_no_database(shell: Shell) -> None:
    thread, _review = shell.paused()
    shell.environment.pop("DOJANG_DATABASE_URL")  # with none to go to, only the embedded server could be started
    shell.monkeypatch.delenv("DOJANG_DATABASE_URL")
    commands = [
        "settings",
        "inbox",
        "threads",
        f"thread {thread}",
        f"history {thread}",
        "checkpoints verify",
        "policy check",
    ]
    for command, (code, heavy) in zip(commands, imported(shell, *commands), strict=True):
        assert code == 0, command
        assert heavy <= {"langgraph", "numpy"}, command
    assert not (shell.home / "postgres").exists()


@pytest.mark.parametrize("instant", ["recorded", "ran"])
def test_killed_between_decision_and_outcome_resume_finishes_once(shell: Shell, bookings: Rows, instant: str) -> None:
    thread, review = shell.paused()
    killed = finished(shell.process("approve", review, DOJANG_TEST_DIE=instant))
    assert killed.code == -signal.SIGKILL, killed
    assert len(bookings()) == (0 if instant == "recorded" else 1)
    assert shell("inbox", "--json").json == []  # the decision is on disk
    if instant == "recorded":
        assert "decided, not yet carried out" in shell("show", review).out
    resumed = finished(shell.process("resume", thread))
    assert resumed.code == 0, resumed
    assert "Booking BK-2041 is confirmed" in resumed.out
    assert bookings() == [("BK-2041", "Emma Lee", 2, "2026-12-03")]
    assert shell("resume", thread).code == 0
    assert len(bookings()) == 1


def test_killed_after_the_decision_the_same_approval_goes_on(shell: Shell, bookings: Rows) -> None:
    _thread, review = shell.paused()
    assert finished(shell.process("approve", review, DOJANG_TEST_DIE="recorded")).code == -signal.SIGKILL
    assert shell("approve", review).code == 0
    assert len(bookings()) == 1


def test_two_terminals_decide_at_once_and_one_wins(shell: Shell, bookings: Rows, tmp_path: Path) -> None:
    thread, review = shell.paused()
    gate = tmp_path / "gate"
    gate.mkdir()
    racers = [
        shell.process("approve", review, "--user", "kim", DOJANG_TEST_GATE=str(gate)),
        shell.process("reject", review, "--reason", "full", "--user", "lee", DOJANG_TEST_GATE=str(gate)),
    ]
    kim, lee = (finished(racer) for racer in racers)
    assert sorted([kim.code, lee.code]) == [0, 4], (kim, lee)
    winner, loser = ("kim", lee) if kim.code == 0 else ("lee", kim)
    assert f"by '{winner}'" in loser.err
    shell("resume", thread)
    assert len(bookings()) == (1 if winner == "kim" else 0)
    assert shell("show", review, "--json").json["decision"]["by"] == winner


def test_an_interrupted_command_ends_with_130(shell: Shell, tmp_path: Path) -> None:
    _thread, review = shell.paused()
    gate = tmp_path / "gate"
    gate.mkdir()
    waiting = shell.process("approve", review, DOJANG_TEST_GATE=str(gate))
    while not list(gate.iterdir()) and waiting.poll() is None:
        time.sleep(0.005)
    waiting.send_signal(signal.SIGINT)
    interrupted = finished(waiting)
    assert interrupted.code == 130, interrupted
    assert "Traceback" not in interrupted.err
    assert [r["id"] for r in shell("inbox", "--json").json] == [review]


def test_serving_until_ctrl_c(shell: Shell) -> None:
    _thread, review = shell.paused()
    serving = shell.process("serve", "--port", "0")
    url = serving.stdout.readline().strip()
    with urllib.request.urlopen(url, timeout=30) as page:
        assert page.status == 200
        assert review in page.read().decode()
    serving.send_signal(signal.SIGINT)
    assert finished(serving).code == 0


def test_a_port_that_is_taken(shell: Shell) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        result = shell("serve", "--port", port)
    assert (result.code, result.out) == (2, "")
    assert port in result.err


def test_a_busy_thread_keeps_the_decision_and_says_so(shell: Shell, bookings: Rows) -> None:
    thread, review = shell.paused()
    with rehearsed(load_settings()) as other, other.parts.run_lock(thread, "somebody"):
        approved = shell("approve", review)
        assert approved.code == 4
        assert "the decision is recorded" in approved.err
        assert shell("resume", thread).code == 4
        assert shell("ask", "hello", "--thread", thread).code == 4
        assert bookings() == []
    assert shell("resume", thread).code == 0
    assert len(bookings()) == 1


def test_a_closed_pipe_is_no_error(shell: Shell) -> None:
    process = shell.process("settings")
    process.stdout.close()
    _out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert err == ""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become nobody")
def test_a_home_that_this_user_may_not_write(shell: Shell, tmp_path: Path) -> None:
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable, "-c", "pass"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        pytest.skip("nobody cannot run this Python")
    shell.home.mkdir(mode=0o755)
    command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable, "-m", "dojang", "inbox"]
    refused = subprocess.run(
        [*command, "--home", "/root-only" if not shell.home.exists() else str(shell.home)],
        env={**os.environ, **shell.environment},
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert refused.returncode == 2, refused
    assert "cannot be" in refused.stderr
    assert str(shell.home) in refused.stderr
    assert "Traceback" not in refused.stderr
    assert list(shell.home.iterdir()) == []
