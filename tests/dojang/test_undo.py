"""Decisions that wait a moment or are taken back; reviews that are reserved, need several people, or wait too long."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from checkpoints.audit.check import verify_audit
from checkpoints.errors import Claimed, EffectRunning, TooLateToUndo
from dojang.workspace import Workspace
from nodes.door import NotEntitled
from state import Conflict, UserError
from tests.databases import SESSIONS
from tests.dojang.conftest import Shell, finished
from tests.dojang.test_expiry import Turned
from tests.dojang.workspaces import RehearsedParts, settings_for

ON_HOSTS = os.environ.get("DOJANG_TEST_WORKERS") == "hosts"

Rows = Callable[[], list[tuple[Any, ...]]]
Open = Callable[..., Workspace]

QUORUM = """
[[rule]]
id = "refund-large"
text = "Two managers decide a refund."
on = "call"
tool = "issue_refund"
outcome = "ask"
tier = 3
votes = 2
roles = ["manager"]
due = "4h"
"""


def amiss(workspace: Workspace) -> list[Any]:
    """What is wrong with the chain. That another machine signs with a key of its own is told, and is right on hosts."""
    found = verify_audit(workspace.settings.home, backend=workspace.parts.backend)["findings"]
    return [one for one in found if not (ON_HOSTS and one["level"] == "note" and "key" in one["what"])]


@pytest.fixture
def clock() -> Turned:
    return Turned()


@pytest.fixture
def opened(tmp_path: Path, postgres_dsn: str, clock: Turned) -> Iterator[Open]:
    """Workspaces over one home, each like a process of its own."""
    made: list[Workspace] = []

    def open_one(**others: Any) -> Workspace:
        settings = settings_for(tmp_path / "home", postgres_dsn, **others)
        workspace = Workspace(settings, parts=RehearsedParts(settings, clock=clock))
        made.append(workspace)
        return workspace

    yield open_one
    for workspace in made:
        workspace.close()


def test_a_held_decision_runs_nothing_and_can_be_taken_back(opened: Open, clock: Turned, bookings: Rows) -> None:
    workspace = opened(undo_s=5)
    run = workspace.ask("please book a room")
    review = run.reviews[0]["id"]
    held = workspace.decide(review, "approve")
    assert (held.run.status, held.run.reviews, bookings()) == ("paused", [], [])
    assert f"`dojang undo {review}` takes it back until" in held.run.note
    assert workspace.resume(run.thread_id).status == "paused"  # not even by hand before its time
    assert workspace.show(review).status == "recorded"
    assert workspace.inbox() == []
    with pytest.raises(Conflict, match="only kim"):
        workspace.undo(review, by="lee")
    assert workspace.undo(review)["type"] == "approve"
    assert [r["id"] for r in workspace.inbox()] == [review]
    workspace.decide(review, {"type": "reject", "reason": "no"})
    clock.at += timedelta(seconds=6)
    assert workspace.resume(run.thread_id).outcomes[0]["status"] == "refused"
    assert bookings() == []
    assert amiss(workspace) == []


def test_after_its_time_a_held_decision_is_released_and_an_undo_is_refused(
    opened: Open, clock: Turned, bookings: Rows
) -> None:
    workspace = opened(undo_s=5)
    run = workspace.ask("please book a room")
    review = run.reviews[0]["id"]
    workspace.decide(review, "approve")
    clock.at += timedelta(seconds=5)
    with pytest.raises(TooLateToUndo, match="cannot be taken back any more"):
        workspace.undo(review)
    done = workspace.do_due()  # what the server does now and then
    assert (done.released, [r.status for r in done.runs], len(bookings())) == ([review], ["done"], 1)
    assert workspace.do_due().released == []
    with pytest.raises(TooLateToUndo):
        workspace.undo(review)


@pytest.mark.parametrize(
    ("setting", "channel", "held"),
    [(None, "console", True), (None, "cli", False), (0, "console", False), (9, "python", True)],
)
def test_who_waits_how_long(opened: Open, setting: float | None, channel: str, held: bool) -> None:
    workspace = opened(undo_s=setting)
    review = workspace.ask("please book a room").reviews[0]["id"]
    decided = workspace.decide(review, "approve", channel=channel)
    assert ("held_until" in decided.decision, decided.run.status) == (held, "paused" if held else "done")


def test_a_client_of_langgraph_cannot_jump_the_window(opened: Open, clock: Turned, bookings: Rows) -> None:
    from langgraph.types import Command

    workspace = opened(undo_s=5)
    run = workspace.ask("please book a room")
    workspace.decide(run.reviews[0]["id"], "approve")
    config: Any = {"configurable": {"thread_id": run.thread_id, "__pregel_strict_resume": True}}
    parts = workspace.parts
    [interrupt] = parts.graph.get_state(config).tasks[0].interrupts
    with pytest.raises(Exception, match="can be taken back until"):
        parts.graph.invoke(Command(resume={interrupt.id: {"type": "approve", "by": "kim"}}), config, context=parts.deps)
    assert bookings() == []
    clock.at += timedelta(seconds=5)
    parts.graph.invoke(Command(resume={interrupt.id: {"type": "approve", "by": "kim"}}), config, context=parts.deps)
    assert len(bookings()) == 1
    with pytest.raises(TooLateToUndo):
        workspace.undo(run.reviews[0]["id"])


def test_two_managers_vote_and_the_clerk_cannot(opened: Open, tmp_path: Path, clock: Turned) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text(QUORUM, encoding="utf-8")
    emma, kim, lee, clerk = (
        opened(policy=policy, user=user, roles=roles)
        for user, roles in (
            ("emma", ["manager"]),
            ("kim", ["manager"]),
            ("lee", ["manager", "clerk"]),
            ("jo", ["clerk"]),
        )
    )
    run = emma.ask("refund BK-2031")
    review = run.reviews[0]["id"]
    with pytest.raises(NotEntitled, match="emma made the request"):
        emma.decide(review, "approve")
    with pytest.raises(NotEntitled, match="decided by manager"):
        clerk.decide(review, "approve")
    with pytest.raises(NotEntitled, match="does not have the role 'manager'"):
        clerk.decide(review, "approve", role="manager")
    first = kim.decide(review, "approve")
    assert (first.run.status, first.run.outcomes) == ("paused", [])
    assert "vote 1 of 2" in first.run.note
    assert [v["by"] for v in lee.progress(lee.inbox())[review]["votes"]] == ["kim"]
    kim.undo(review)
    assert lee.decide(review, "approve").run.status == "paused"
    done = kim.decide(review, "approve")
    assert (done.run.outcomes[0]["status"], done.decision.get("role")) == ("done", "manager")
    assert [v["by"] for v in lee.show(review).progress["votes"]] == ["lee", "kim"]
    events = [r["event"] for r in kim.parts.audit.records(run.thread_id)]
    assert events.count("vote.recorded") == 2
    assert events.count("decision.refused") == 3
    assert amiss(kim) == []


def test_an_edited_review_is_superseded_by_the_one_about_the_edit(opened: Open, tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text(QUORUM, encoding="utf-8")
    emma, kim = opened(policy=policy, user="emma"), opened(policy=policy, user="kim")
    first = emma.ask("refund BK-2031").reviews[0]
    args = {**first["action"]["args"], "amount": 9_000}
    [second] = kim.decide(first["id"], {"type": "edit", "edited_args": args}).run.reviews
    assert kim.show(first["id"]).status == "superseded"
    assert (second["action"]["args"], kim.show(second["id"]).status) == (args, "open")
    kim.decide(second["id"], "approve")
    done = kim.decide(second["id"], "approve", by="lee")
    assert done.run.outcomes[0]["result"]["amount_krw"] == 9_000


def test_a_claim_keeps_a_colleague_out_and_ends_by_itself(opened: Open, clock: Turned) -> None:
    kim, lee = opened(user="kim"), opened(user="lee")
    review = kim.ask("please book a room").reviews[0]["id"]
    kim.claim(review)
    assert lee.show(review).status == "claimed"
    with pytest.raises(Claimed, match="kim has claimed"):
        lee.decide(review, "approve")
    clock.at += timedelta(minutes=10)
    assert lee.show(review).status == "open"
    assert lee.decide(review, "approve").run.status == "done"


def test_half_the_time_is_recorded_once_and_told_once(opened: Open, clock: Turned, tmp_path: Path) -> None:
    told = tmp_path / "told.jsonl"
    hook = f"{sys.executable} -c \"import sys; open({str(told)!r}, 'a').write(sys.stdin.read() + chr(10))\""
    workspace = opened(notify=hook)
    review = workspace.ask("please book a room").reviews[0]
    assert workspace.progress(workspace.inbox())[review["id"]]["escalated_at"] == ""
    assert not told.exists()
    clock.at += timedelta(hours=12)  # of 24
    assert workspace.progress(workspace.inbox())[review["id"]]["escalated_at"] == clock.at.isoformat()
    opened(notify=hook).do_due()
    [line] = told.read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["event"] == "review.escalated"
    assert json.loads(line)["review_id"] == review["id"]
    clock.at += timedelta(hours=13)
    assert workspace.do_due().expired == [review["id"]]
    card = workspace.show(review["id"])
    assert card.decision is not None
    assert (card.status, card.decision["by"], card.decision["type"]) == ("expired", "", "expire")


def test_a_hook_that_fails_changes_nothing(opened: Open, clock: Turned, caplog: pytest.LogCaptureFixture) -> None:
    workspace = opened(notify="/nonexistent/hook")
    workspace.ask("please book a room")
    clock.at += timedelta(hours=12)
    assert len(workspace.inbox()) == 1
    assert "did not take review.escalated" in caplog.text


def test_a_call_that_passes_but_shall_be_told_is_told_once(opened: Open, tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text(
        '[[rule]]\nid = "b"\ntext = "Bookings are told."\non = "call"\ntool = "book_room"\noutcome = "notify"\n',
        encoding="utf-8",
    )
    told = tmp_path / "told.jsonl"
    hook = f"{sys.executable} -c \"import sys; open({str(told)!r}, 'a').write(sys.stdin.read() + chr(10))\""
    workspace = opened(policy=policy, notify=hook)
    run = workspace.ask("please book a room")
    assert (run.status, run.outcomes[0]["status"]) == ("done", "done")
    workspace.resume(run.thread_id)
    [line] = told.read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["event"] == "call.passed"
    assert json.loads(line)["why"] == ["Bookings are told."]


def test_answers_in_any_wire_form_find_their_reviews(opened: Open) -> None:
    workspace = opened()
    run = workspace.ask("please book a room")
    with pytest.raises(UserError, match="nothing waits under the id 'i0'"):
        workspace.answer(run.thread_id, {"i0": {"type": "approve"}})
    [result] = workspace.answer(run.thread_id, {"decisions": [{"type": "approve"}]}, channel="http")
    assert (result.run.status, result.decision["channel"]) == ("done", "http")
    with pytest.raises(UserError, match="0 reviews wait"):
        workspace.answer(run.thread_id, {"type": "approve"})


def test_feedback_does_not_stand_in_the_way_of_the_next_message(opened: Open) -> None:
    workspace = opened(feedback="always")
    run = workspace.ask("hello")
    assert run.answer is not None  # it is out
    [review] = run.reviews
    assert review["kind"] == "feedback"
    again = workspace.ask("hello again", thread_id=run.thread_id)
    assert [r["kind"] for r in again.reviews] == ["feedback"]
    ended = workspace.parts.decisions.of(run.thread_id)[review["id"]]
    assert (ended["type"], ended["by"], ended["channel"]) == ("expire", "", "superseded")
    assert workspace.decide(again.reviews[0]["id"], {"type": "answer", "message": "fine"}).run.status == "done"


@pytest.mark.usefixtures("at_home")
def test_a_second_run_without_the_run_lock_does_not_take_a_long_tool_for_a_dead_one(
    opened: Open, monkeypatch: pytest.MonkeyPatch, bookings: Rows
) -> None:
    """Another server on the same folder (LangGraph's own) takes no lock of ours; the ledger's lease stops it."""
    import threading

    workspace = opened()
    parts = workspace.parts
    run = workspace.ask("please book a room")
    begun, go_on = threading.Event(), threading.Event()
    real = parts.toolbox.run

    def slow(*args: Any, **keys: Any) -> Any:
        begun.set()
        assert go_on.wait(60)
        return real(*args, **keys)

    monkeypatch.setattr(parts.toolbox, "run", slow)
    first = threading.Thread(target=workspace.decide, args=(run.reviews[0]["id"], "approve"))
    first.start()
    assert begun.wait(60)
    config: Any = {"configurable": {"thread_id": run.thread_id, "__pregel_strict_resume": True}}
    with pytest.raises(EffectRunning, match="is being carried out by process"):
        parts.graph.invoke(None, config, context=parts.deps)
    go_on.set()
    first.join()
    assert workspace.thread(run.thread_id).outcomes[0]["status"] == "done"
    assert len(bookings()) == 1


# the same from the command line


def test_undo_from_another_terminal_while_a_command_waits(shell: Shell, bookings: Rows) -> None:
    _thread, review = shell.paused()
    waiting = shell.process("approve", review, DOJANG_UNDO_S="600")
    while shell("inbox", "--json").json and waiting.poll() is None:
        time.sleep(0.01)
    assert "can be taken back" in shell("show", review).out
    undone = shell("undo", review)
    assert (undone.code, "is taken back; it waits again" in undone.out) == (0, True)
    ended = finished(waiting)
    assert (ended.code, "was taken back" in ended.err) == (4, True), ended
    assert bookings() == []
    assert shell("undo", review).code == 2
    assert shell("approve", review).code == 0
    late = shell("undo", review)
    assert (late.code, "cannot be taken back any more" in late.err) == (4, True)
    assert len(bookings()) == 1
    assert shell("audit", "verify").code == 0


def test_ctrl_c_takes_a_waiting_decision_back(shell: Shell, bookings: Rows) -> None:
    _thread, review = shell.paused()
    waiting = shell.process("approve", review, DOJANG_UNDO_S="600")
    while "goes on at" not in waiting.stderr.readline():
        assert waiting.poll() is None
    waiting.send_signal(signal.SIGINT)
    assert finished(waiting).code == 130
    assert [r["id"] for r in shell("inbox", "--json").json] == [review]
    assert bookings() == []


def test_killed_in_the_window_the_decision_is_released_when_its_time_is_over(shell: Shell, bookings: Rows) -> None:
    thread, review = shell.paused()
    waiting = shell.process("approve", review, DOJANG_UNDO_S="3")
    while "goes on at" not in waiting.stderr.readline():
        assert waiting.poll() is None
    waiting.send_signal(signal.SIGKILL)
    finished(waiting)
    while shell("resume", thread).code == 3:  # its time is not over
        assert len(bookings()) == 0
    assert len(bookings()) == 1
    assert shell("show", review, "--json").json["status"] == "decided"


@pytest.mark.usefixtures("at_home")  # its window is shorter than what befalls a host
def test_a_command_waits_out_its_window(shell: Shell, bookings: Rows) -> None:
    _thread, review = shell.paused()
    shell.monkeypatch.setenv("DOJANG_UNDO_S", "3" if SESSIONS == "postgres" else "0.2")  # still open when it is told of
    approved = shell("approve", review)
    assert (approved.code, len(bookings())) == (0, 1)
    assert "goes on at" in approved.err


def test_votes_claims_and_roles_from_the_command_line(shell: Shell, tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text(QUORUM, encoding="utf-8")
    shell.monkeypatch.setenv("DOJANG_POLICY", str(policy))
    asked = shell("ask", "refund BK-2031", "--user", "emma", "--json")
    review = asked.json["reviews"][0]["id"]
    own = shell("approve", review, "--user", "emma")
    assert (own.code, "somebody else has to approve it" in own.err) == (2, True)
    wrong = shell("approve", review, "--as", "clerk")
    assert (wrong.code, "decided by manager" in wrong.err) == (2, True)
    first = shell("approve", review, "--as", "manager")
    assert (first.code, "vote 1 of 2" in first.err) == (3, True)
    assert "1/2" in shell("inbox").out
    shown = shell("show", review).out
    assert "1 of 2 approvals, tier 3, manager, not by emma, who asked" in shown
    assert "vote" in shown
    assert shell("claim", review, "--user", "lee").code == 0
    assert "claimed by lee" in shell("inbox").out
    kept = shell("approve", review, "--user", "park", "--as", "manager")
    assert (kept.code, "lee has claimed" in kept.err) == (4, True)
    assert shell("claim", review, "--give-back", "--user", "park").code == 4
    assert shell("claim", review, "--give-back", "--user", "lee").code == 0
    last = shell("approve", review, "--user", "park", "--as", "manager")
    assert last.code == 0, last
    assert shell("show", review, "--json").json["decision"]["role"] == "manager"


def test_due_says_what_it_did(shell: Shell) -> None:
    nothing = shell("due")
    assert (nothing.code, nothing.err.strip()) == (0, "nothing is due")
    assert shell("due", "--json").json == {"escalated": [], "expired": [], "released": [], "runs": []}
