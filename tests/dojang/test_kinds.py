"""All seven kinds of review from the command line: asked, shown, decided."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.dojang.conftest import Shell, finished


def waiting(shell: Shell, *words: str) -> str:
    """The id of the one review that a message opens; its kind is the first word."""
    kind, *rest = words
    asked = shell("ask", *rest, "--json")
    assert asked.code == 3, asked
    [review] = asked.json["reviews"]
    assert review["kind"] == kind
    listed = [r for r in shell("inbox", "--kind", kind, "--json").json if r["id"] == review["id"]]
    assert listed[0]["progress"]["votes"] == []
    shown = shell("show", review["id"]).out
    for decision in review["allowed"]:
        assert (
            f"dojang {'look-up' if kind == 'in_doubt' and decision == 'answer' else decision} {review['id']}" in shown
        )
    return str(review["id"])


def rule(shell: Shell, text: str) -> None:
    """Hold the home to this policy."""
    path = shell.home.parent / "policy.toml"
    path.write_text(text, encoding="utf-8")
    shell.monkeypatch.setenv("DOJANG_POLICY", str(path))
    shell.environment["DOJANG_POLICY"] = str(path)


ANSWERS = (
    '[[rule]]\nid = "a"\ntext = "Answers are read first."\non = "answer"\noutcome = "ask"\nkind = "{kind}"\ntier = 1\n'
)


def test_tool(shell: Shell) -> None:
    review = waiting(shell, "tool", "please book it")
    assert shell("approve", review).code == 0


@pytest.mark.parametrize("kind", ["approval", "compliance", "correction"])
def test_words_that_a_rule_holds_back(shell: Shell, kind: str) -> None:
    rule(shell, ANSWERS.format(kind=kind))
    review = waiting(shell, kind, "hello")
    edited = shell("edit", review, "--set", "text=Welcome.")
    assert edited.code == 0, edited
    assert "Welcome." in edited.out


def test_correction_of_weak_evidence_by_the_sample_rules(shell: Shell, tmp_path: Path) -> None:
    from tests.dojang.workspaces import told

    class Bold:
        def reply(self, messages: object, **_: object) -> object:
            return told("At 11.")

    from dojang.workspace import Workspace
    from tests.dojang.workspaces import RehearsedParts

    def opened(settings: object) -> Workspace:
        return Workspace(settings, parts=RehearsedParts(settings, generator=Bold()))  # type: ignore[arg-type]

    shell.open_workspace = opened
    review = waiting(shell, "correction", "when is check-out?")
    assert shell("approve", review).code == 0


def test_clarification(shell: Shell) -> None:
    review = waiting(shell, "clarification", "which hotel is it?")
    assert shell("answer", review, "Namsan Stay").code == 0


def test_clarification_of_two_readings(shell: Shell) -> None:
    review = waiting(shell, "clarification", "is there a room on 03/04?")
    assert "3 April / 4 March" in shell("show", review).out
    assert shell("answer", review, "3 April").code == 0


def test_clarification_of_two_readings_in_korean(shell: Shell) -> None:
    review = waiting(shell, "clarification", "그거 취소해 주세요")
    assert "무엇을 말씀하시는" in shell("show", review).out
    assert shell("reject", review, "--reason", "잘못 보냄").code == 0


@pytest.mark.parametrize(
    ("sent", "said"), [(True, "look-up"), (False, "look-up"), (True, "approve"), (False, "reject")]
)
def test_in_doubt(shell: Shell, sent: bool, said: str) -> None:
    thread = shell("ask", "send a message", "--json").json["thread_id"]
    [review] = shell("inbox", "--json").json
    killed = finished(shell.process("approve", review["id"], DOJANG_TEST_DIE="ran"))
    assert killed.code == -signal.SIGKILL
    [message] = (shell.home / "outbox").glob("*.json")
    if not sent:
        message.unlink()
    resumed = shell("resume", thread)
    assert resumed.code == 3, resumed
    [doubt] = shell("inbox", "--kind", "in_doubt", "--json").json
    assert "It is unknown whether this happened" in doubt["summary"]
    assert f"dojang look-up {doubt['id']}" in resumed.out
    reason = ["--reason", "it is not there"] if said == "reject" else []
    settled = shell(said, doubt["id"], *reason)
    assert len(list((shell.home / "outbox").glob("*.json"))) == (1 if sent else 0)  # never a second time
    if said == "look-up" and not sent:
        assert settled.code == 3  # the outbox cannot tell: somebody may have taken it
        [again] = shell("inbox", "--kind", "in_doubt", "--json").json
        assert again["id"] != doubt["id"]
        assert "it is not in the outbox" in again["summary"]
        assert shell("reject", again["id"], "--reason", "never sent").code == 0
    else:
        assert settled.code == 0, settled
    statuses = [o["status"] for o in shell("thread", thread, "--json").json["outcomes"]]
    assert statuses == ["done" if sent else "failed"]
    assert shell("audit", "verify").code == 0


def test_feedback(shell: Shell) -> None:
    shell.monkeypatch.setenv("DOJANG_FEEDBACK", "always")
    review = waiting(shell, "feedback", "hello")
    assert shell("approve", review).code == 0
