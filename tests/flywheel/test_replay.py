"""dojang replay: past decision points through the real graph again, with recorded tools, over real session files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AnyMessage, HumanMessage

from adapters.speakers.rendering import READING, reading_text, rendered
from dojang.cli.exits import Exit
from dojang.flywheel.recorded import LiveCall, NotRecorded, Recorded, RecordedToolbox, Then
from dojang.flywheel.replaying import Replay, replay
from dojang.workspace import Workspace
from state import JSON, Generation, Language, Passage, ToolSpec
from tests.databases import NOT_NEEDED, SESSIONS, database_of, fresh_database, use_database
from tests.dojang.conftest import Shell
from tests.dojang.workspaces import STAY, RehearsedParts, rehearsed, settings_for, workspace_for
from tests.graph.parts import asks, calls, says
from tests.sessions_in_postgres import rows_of
from tools.errors import ToolFailed

DEAR: dict[str, JSON] = {"booking_id": "BK-2040", "amount": 90_000}
FAIR: dict[str, JSON] = {**DEAR, "amount": 30_000}
FOUND: dict[str, JSON] = {"booking_id": "BK-2040"}


@dataclass
class Lines:
    """A model that says, to a request, what its table has: one line for each turn after the request."""

    table: dict[str, list[Generation]]
    seen: list[tuple[str, list[str], list[str]]] = field(default_factory=list)

    def reply(
        self, messages: Sequence[AnyMessage], *, passages: Sequence[Passage], tools: Sequence[ToolSpec],
        language: Language,
    ) -> Generation:  # fmt: skip
        at = max(n for n, m in enumerate(messages) if isinstance(m, HumanMessage))
        self.seen.append((str(messages[at].text), [t["name"] for t in tools], [p["id"] for p in passages]))
        after = sum(m.type == "tool" for m in messages[at:])
        line = self.table[str(messages[at].text)][after]
        return {**line, "prompt": rendered(READING, reading_text(messages, passages, tools))}


def now(**table: list[Generation]) -> Lines:
    """What is said to each of the four requests; where nothing is given, what was said then."""
    then = {
        "book": [calls(("book_room", STAY)), says("Booked.", citations=0)],
        "refund": [calls(("find_booking", FOUND)), calls(("issue_refund", DEAR)), says("Done.", citations=0)],
        "cancel": [calls(("cancel_booking", FOUND)), says("It stays.", citations=0)],
        "late": [asks("Which booking?", "find_booking.booking_id")],
    }
    return Lines({**then, **table})


@pytest.fixture(scope="module")
def module_dsn(postgres_server: str) -> Iterator[str]:
    with fresh_database(postgres_server) as dsn:
        yield dsn


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory, module_dsn: str) -> Path:
    """Four conversations: a booking approved, a refund edited after a look-up, a cancellation refused, a question."""
    home = tmp_path_factory.mktemp("lived") / "home"
    use_database(home, module_dsn)
    with workspace_for(home, module_dsn, generator=now()) as workspace:
        for text, said in (
            ("book", {"type": "approve"}),
            ("refund", {"type": "edit", "edited_args": FAIR}),
            ("cancel", {"type": "reject", "reason": "no"}),
            ("late", {"type": "reject"}),
        ):
            [review] = workspace.ask(text).reviews
            workspace.decide(review["id"], said, by="lee")
        workspace.parts.standing.allow(
            by="lee", tool="book_room", condition="args.guests == 4", max_uses=2, lasts=timedelta(days=1)
        )
    return home


def again(home: Path, model: Lines, **how: Any) -> Replay:
    settings = settings_for(home, NOT_NEEDED)  # whoever opened it would fail
    with Workspace(settings, parts=RehearsedParts(settings)) as workspace:
        return replayed(workspace, model, **how)


def replayed(workspace: Workspace, model: Lines, **how: Any) -> Replay:
    def stage(settings: Any, then: Then) -> Recorded:
        made = Recorded(settings, then, workspace.parts.policy)
        made.__dict__["generator"] = model
        return made

    return replay(workspace.parts, "candidate", recorded=stage, **how)


def judged(found: Replay) -> list[tuple[str, str, str]]:
    return sorted((p.then.tool or p.kind, p.judged, p.rules) for p in found.points)


def all_of(home: Path) -> dict[str, object]:
    files = {str(p.relative_to(home)): p.read_bytes() for p in sorted(home.rglob("*")) if p.is_file()}
    return {**files, **(rows_of(database_of(home)) if SESSIONS == "postgres" else {})}


def test_the_same_adapter_proposes_the_same_and_nothing_of_the_home_is_written(lived: Path) -> None:
    before = all_of(lived)
    model = now()
    told: list[tuple[int, int]] = []
    found = again(lived, model, on_progress=lambda done, total, thread: told.append((done, total)))
    assert judged(found) == [
        ("book_room", "same", "asks"), ("cancel_booking", "same", "asks"), ("clarification", "same", "asks"),
        ("issue_refund", "same", "asks"),
    ]  # fmt: skip
    assert all_of(lived) == before
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    summary = found.summary()
    assert (summary["same"], summary["denied"], summary["repeated"]) == (4, 3, 3)
    assert all("issue_refund" in tools for _, tools, _ in model.seen)  # offered as then, by the record


def test_nothing_of_a_replay_lies_beside_sessions_in_a_database(tmp_path: Path, postgres_dsn: str) -> None:
    with workspace_for(tmp_path / "home", postgres_dsn, generator=now(), sessions="postgres") as workspace:
        [review] = workspace.ask("cancel").reviews
        workspace.decide(review["id"], {"type": "reject", "reason": "no"}, by="lee")
        before = rows_of(postgres_dsn)
        assert judged(replayed(workspace, now())) == [("cancel_booking", "same", "asks")]
        assert rows_of(postgres_dsn) == before


def test_better_worse_changed_by_what_the_person_made_of_it_then(lived: Path) -> None:
    found = again(
        lived,
        now(
            book=[calls(("book_room", {**STAY, "guests": 3}))],
            refund=[calls(("find_booking", FOUND)), calls(("issue_refund", FAIR))],
            cancel=[says("Shall I?", citations=0)],
        ),
    )
    assert judged(found) == [
        ("book_room", "worse", "asks"), ("cancel_booking", "changed", "asks"), ("clarification", "same", "asks"),
        ("issue_refund", "better", "asks"),
    ]  # fmt: skip
    assert found.summary()["repeated"] == 1
    better = next(p for p in found.points if p.judged == "better")
    assert (better.now, better.wanted) == (better.wanted, better.now)


def test_a_call_gives_back_what_it_gave_then_and_any_other_ends_the_point(lived: Path) -> None:
    same = again(lived, now(cancel=[calls(("find_booking", FOUND)), says("Cannot.", citations=0)]))
    # another conversation's result is none of this one's
    assert ("cancel_booking", "not_recorded", "passes") in judged(same)
    other = again(lived, now(refund=[None, calls(("find_booking", {"booking_id": "BK-2039"}))]))  # type: ignore[list-item]
    refund = next(p for p in other.points if p.then.tool == "issue_refund")
    assert refund.now is not None
    assert (refund.judged, refund.now.tool, dict(refund.now.args)) == (
        "not_recorded", "find_booking", {"booking_id": "BK-2039"},
    )  # fmt: skip
    repeated = again(lived, now(refund=[None, calls(("find_booking", FOUND)), calls(("issue_refund", FAIR))]))  # type: ignore[list-item]
    assert ("issue_refund", "better", "asks") in judged(repeated)  # looked up again, from the record


def test_what_was_approved_in_advance_passes_and_is_not_counted(lived: Path) -> None:
    before = all_of(lived)
    found = again(lived, now(book=[calls(("book_room", {**STAY, "guests": 4}))]))
    assert ("book_room", "not_recorded", "passes") in judged(found)
    assert all_of(lived) == before


def test_one_thread_and_a_date(lived: Path) -> None:
    whole = again(lived, now())
    one = whole.points[0]
    assert [p.review_id for p in again(lived, now(), thread_id=one.thread_id).points] == [one.review_id]
    assert again(lived, now(), since=datetime(2999, 1, 1, tzinfo=UTC)).points == []


def test_a_live_call_is_a_broken_invariant(lived: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    box = RecordedToolbox.open(["tools.hotel"])
    assert isinstance(box, RecordedToolbox)
    box.then = Then()
    with pytest.raises(NotRecorded):
        box.run("find_booking", FOUND, key="k")
    with pytest.raises(LiveCall):
        box.settled("book_room", "k")
    with pytest.raises(LiveCall):
        box.probe("send_message", {}, key="k")
    monkeypatch.setattr(RecordedToolbox, "run", RecordedToolbox.__mro__[1].run)  # type: ignore[attr-defined]
    with pytest.raises(LiveCall, match="about to call find_booking"):
        again(lived, now(refund=[None, calls(("find_booking", FOUND))]))  # type: ignore[list-item]


def test_a_call_that_failed_then_fails_again(lived: Path) -> None:
    box = RecordedToolbox.open(["tools.hotel"])
    assert isinstance(box, RecordedToolbox)
    key = json.dumps(["find_booking", FOUND], sort_keys=True)
    box.then = Then(results={key: {"key": "k", "tool": "find_booking", "status": "failed", "result": None,
                                   "error": "no such booking", "at": ""}})  # fmt: skip
    with pytest.raises(ToolFailed, match="no such booking"):
        box.run("find_booking", FOUND, key="k")


@pytest.fixture
def shell(lived: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Shell:
    environment = {"DOJANG_HOME": str(lived), "DOJANG_LANGUAGE": "en", "DOJANG_USER": "kim", "DOJANG_EMBEDDING": "none"}
    if SESSIONS == "postgres":
        environment |= {"DOJANG_SESSIONS": SESSIONS, "DOJANG_DATABASE_URL": database_of(lived)}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return Shell(lived, environment, capfd, monkeypatch, rehearsed)


def test_the_command(shell: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Recorded, "generator", now(book=[calls(("book_room", {**STAY, "guests": 3}))]))
    (tmp_path / "candidate").mkdir()
    ran = shell("replay", "--adapter", "candidate", "--json")
    assert ran.code == Exit.DONE
    told = ran.json["summary"]
    assert (len(ran.json["points"]), told["points"], told["worse"], told["same"]) == (4, 4, 1, 3)
    shown = shell("replay", "--adapter", "candidate", "--lang", "ko")
    assert "지점 4개" in shown.out
    assert '"guests": 3' in shown.out
    for words, said in (
        (("--adapter", "nothing"), "0 adapters of the registry begin with 'nothing'"),
        (("--adapter", "candidate", "--thread", "nobody"), "there is no thread 'nobody'"),
        (("--adapter", "candidate", "--since", "soon"), "'soon' is no date"),
    ):
        wrong = shell("replay", *words)
        assert (wrong.code, said in wrong.err) == (Exit.MISTAKE, True), wrong
