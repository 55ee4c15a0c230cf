"""Many who decide one review at once, from many processes: one wins, and everybody else is told who."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.dojang.conftest import Shell, finished
from tests.dojang.race_child import Said, race
from tests.dojang.workspaces import STAY, workspace_for
from tests.processes import FORKS

Rows = Callable[[], list[tuple[Any, ...]]]
PROCESSES, THREADS = 8, 8
APPROVE: Any = {"type": "approve"}
REJECT: Any = {"type": "reject", "reason": "full"}


def edit(n: int) -> Any:
    return {"type": "edit", "edited_args": {**STAY, "guest": f"Guest {n}"}}


def raced(home: Path, dsn: str, review_id: str, attempts: list[tuple[str, Any]]) -> list[Said]:
    """What came of 64 attempts from 8 processes."""
    assert len(attempts) == PROCESSES * THREADS
    start = FORKS.Barrier(PROCESSES)
    pipes, children = [], []
    for n in range(PROCESSES):
        hears, tells = FORKS.Pipe(duplex=False)
        given = attempts[n * THREADS : (n + 1) * THREADS]
        child = FORKS.Process(target=race, args=(home, dsn, review_id, given, start, tells))
        child.start()
        tells.close()
        pipes.append(hears)
        children.append(child)
    said: list[Said] = []
    for hears, child in zip(pipes, children, strict=True):
        with hears:
            assert hears.poll(120)
            said += hears.recv()
        child.join(60)
        assert child.exitcode == 0
    return said


@pytest.mark.parametrize("mixed", [False, True], ids=["approve", "approve, edit and reject"])
def test_of_64_decisions_from_8_processes_one_wins_and_63_are_told_who(
    tmp_path: Path, postgres_dsn: str, bookings: Rows, mixed: bool
) -> None:
    home = tmp_path / "home"
    with workspace_for(home, postgres_dsn) as workspace:
        review = workspace.ask("please book it").reviews[0]
    kinds = [APPROVE, REJECT, edit] if mixed else [APPROVE]
    attempts = []
    for n in range(PROCESSES * THREADS):
        kind = kinds[n % len(kinds)]
        attempts.append((f"clerk {n}.", kind(n) if kind is edit else kind))
    said = raced(home, postgres_dsn, review["id"], attempts)
    winners = [one.by for one in said if not one.error]
    assert len(winners) == 1
    [winner] = winners
    losers = [one for one in said if one.error]
    assert len(losers) == 63
    assert [one for one in losers if f"'{winner}'" not in one.error] == []
    decision = dict(attempts)[winner]
    with workspace_for(home, postgres_dsn) as workspace:
        stored = workspace.show(review["id"]).decision
        assert workspace.resume(review["thread_id"]).status == "done"
    assert stored is not None
    assert (stored["by"], stored["type"]) == (winner, decision["type"])
    guests = [row[1] for row in bookings()]
    expected = {"approve": ["Emma Lee"], "reject": [], "edit": [decision.get("edited_args", {}).get("guest")]}
    assert guests == expected[decision["type"]]


def test_a_terminal_and_a_page_decide_at_once_and_one_wins(shell: Shell, bookings: Rows, tmp_path: Path) -> None:
    _thread, review = shell.paused()
    gate = tmp_path / "gate"
    gate.mkdir()
    # Without its five seconds to take it back: else what the page decided runs after this test has looked.
    serving = shell.process("serve", "--port", "0", "--user", "lee", DOJANG_TEST_GATE=str(gate), DOJANG_UNDO_S="0")
    try:
        url = serving.stdout.readline().strip().rstrip("/")
        terminal = shell.process("reject", review, "--reason", "full", "--user", "kim", DOJANG_TEST_GATE=str(gate))
        digest = shell("show", review, "--json").json["review"]["digest"]
        headers = {"origin": url, "sec-fetch-site": "same-origin", "accept-language": "en"}
        form = {"type": "approve", "digest": digest}
        page = httpx.post(f"{url}/reviews/{review}/decision", data=form, headers=headers, timeout=60)
        said = finished(terminal)
    finally:
        serving.send_signal(signal.SIGINT)
        finished(serving)
    assert (page.status_code, said.code) in [(303, 4), (409, 0)], (page.text, said)
    if page.status_code == 303:
        assert "by 'lee'" in said.err
    else:
        assert "kim" in page.text
    assert len(bookings()) == (page.status_code == 303)
    assert len(list(gate.iterdir())) == 2, "they did not meet: this test would prove nothing"
