"""A long tool is not taken for a dead one, and a dead one not for a living one."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from checkpoints import EffectLedger
from checkpoints.errors import EffectRunning
from checkpoints.records.leases import Holder, is_live, this_process
from tests.checkpoints.audited import ACTION, outcome
from tests.processes import Forked

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)


@pytest.fixture
def child(tmp_path: Path) -> Iterator[Forked]:
    """A process that carries out effect k of thread t."""
    process = Forked("tests.checkpoints.lease_child", [str(tmp_path)])
    assert process.stdout.readline() == "running\n"
    yield process
    process.kill()
    process.communicate()


def test_a_running_effect_is_refused_and_a_killed_one_is_settled(tmp_path: Path, child: Forked) -> None:
    ledger = EffectLedger(tmp_path)
    with (
        pytest.raises(EffectRunning, match=rf"by process {child.pid} on .*`dojang resume t` goes on"),
        ledger.lease("t", "k"),
    ):
        pytest.fail("two at once")
    child.send_signal(signal.SIGKILL)
    child.wait()
    with ledger.lease("t", "k"):
        assert ledger.begin("t", "k", ACTION, "at_most_once") == "open"
        ledger.finish("t", "k", outcome())
    assert ledger.begin("t", "k", ACTION, "at_most_once") == outcome()


def test_a_stopped_process_may_still_do_it(tmp_path: Path, child: Forked) -> None:
    child.send_signal(signal.SIGSTOP)
    ledger = EffectLedger(tmp_path, clock=lambda: datetime.now(UTC) + timedelta(days=1))  # it has not beaten for a day
    with pytest.raises(EffectRunning), ledger.lease("t", "k"):
        pytest.fail("two at once")


def test_it_beats_while_the_tool_works(tmp_path: Path, child: Forked) -> None:
    path = EffectLedger(tmp_path).folders.path("t") / "ledger.jsonl"
    while path.read_bytes().count(b'"k":"beat"') < 3:
        time.sleep(0.005)
    assert [entry["k"] for entry in EffectLedger(tmp_path).entries("t")] == ["intent"]


def test_a_tool_that_broke_off_in_a_living_process_gives_the_lease_back(tmp_path: Path) -> None:
    ledger = EffectLedger(tmp_path)

    def broken() -> None:
        with ledger.lease("t", "k"):
            ledger.begin("t", "k", ACTION, "at_most_once")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        broken()
    with ledger.lease("t", "k"):
        assert ledger.begin("t", "k", ACTION, "at_most_once") == "open"


def test_other_effects_of_the_thread_are_not_held_up(tmp_path: Path, child: Forked) -> None:
    ledger = EffectLedger(tmp_path)
    with ledger.lease("t", "other"):
        assert ledger.begin("t", "other", ACTION, "idempotent") == "fresh"


def holder(**other: object) -> Holder:
    return Holder(**{**this_process(), **other})  # type: ignore[typeddict-item]


@pytest.mark.parametrize(
    ("who", "seconds_left", "live"),
    [
        (holder(), -1000, True),
        (holder(pid=2**22 + 1), 1000, False),
        (holder(started="1"), 1000, False),  # the number was given to another process
        (holder(boot="another"), 1000, False),  # the machine was started anew
        (holder(host="elsewhere"), 1, True),
        (holder(host="elsewhere"), -1, False),
        (holder(pid=1, started=""), 1000, False),
    ],
)
def test_who_is_alive(who: Holder, seconds_left: float, live: bool) -> None:
    assert is_live(who, (NOW + timedelta(seconds=seconds_left)).isoformat(), NOW) == live


def test_an_end_that_could_not_be_written_holds_up_nobody_in_its_process(
    tmp_path: Path, child: Forked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the database of the sessions went away during an effect, and its process goes on with the thread."""
    ledger = EffectLedger(tmp_path)

    def broken(*words: object) -> object:
        raise OSError("away")

    def goes_away() -> None:
        with ledger.lease("t", "mine"):
            ledger.begin("t", "mine", ACTION, "idempotent")
            monkeypatch.setattr(type(ledger._log("t")), "writing", broken)

    with pytest.raises(OSError, match="away"):
        goes_away()
    monkeypatch.undo()
    with ledger.lease("t", "mine"):
        assert ledger.begin("t", "mine", ACTION, "idempotent") == "open"
        with pytest.raises(EffectRunning), EffectLedger(tmp_path).lease("t", "mine"):
            pytest.fail("two at once")
    with pytest.raises(EffectRunning), ledger.lease("t", "k"):  # another process's
        pytest.fail("two at once")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0 or not shutil.which("unshare"), reason="needs root")
def test_a_container_of_the_same_name_is_another_machine() -> None:
    """Its number of a process says nothing about ours, which lives."""
    told = "import json; from checkpoints.records.leases import this_process; print(json.dumps(this_process()))"
    words = ["unshare", "--fork", "--pid", "--mount-proc", sys.executable, "-c", told]
    said = subprocess.run(words, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    there: Holder = json.loads(said.stdout)
    assert there["host"].startswith(this_process()["host"])
    soon, gone = ((NOW + timedelta(seconds=seconds)).isoformat() for seconds in (1, -1))
    assert [is_live(there, until, NOW) for until in (soon, gone)] == [True, False]
