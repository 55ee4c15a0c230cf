"""A candidate in the shadow: asked the same turn, kept beside it, never in the way, then compared."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from adapters.registry.aliases import Registry
from checkpoints import PromptLog
from dojang.flywheel.shadow import Fared, Shadow, Turn, compare
from nodes.ports import SystemClock
from state import JSON, Aside, Generation, Said
from tests.checkpoints.test_prompts import turn
from tests.flywheel.desk import Desk
from tests.flywheel.promotions import Chatty, DeskParts, adapters, crown, front
from tests.flywheel.test_points import lived, sessions
from tests.graph.parts import asks, says
from tests.sessions_in_postgres import kept_in


@pytest.fixture
def at(tmp_path: Path) -> Path:
    return tmp_path / "home"


def nominated(at: Path) -> tuple[str, str]:
    """Champion and candidate."""
    first, second = adapters(at, 1, 2)
    crown(at, first)
    Registry(at / "registry").nominate(second, seen=None, by="kim", reason="trained")
    return first, second


def asides(at: Path, thread_id: str) -> list[Aside]:
    return PromptLog(kept_in(at).backend).read(thread_id).asides


def test_the_candidate_is_asked_the_same_turn_and_only_what_it_said_is_kept(at: Path) -> None:
    first, second = nominated(at)
    with front(at, shadow=True) as desk:
        run = desk.ask("book")
        done = desk.decide(run.reviews[0]["id"], "approve", by="lee").run
        assert [row["speaker"] for row in done.spent] == [f"rehearsed@{first}"]
    kept = PromptLog(kept_in(at).backend).read(run.thread_id)
    assert [prompt["speaker"] for prompt in kept.prompts] == [f"rehearsed@{first}"] * 2
    assert [(a["adapter"], a["speaker"], a["turn"], a["round"]) for a in kept.asides] == [
        (second, f"rehearsed@{second}", p["turn"], p["round"]) for p in kept.prompts
    ]
    assert kept.asides[0]["said"]["calls"][0]["name"] == "book"


@pytest.mark.parametrize(
    "others", [{"shadow": False}, {"canary": 1}, {"adapter": "candidate"}, {"keep_prompts": False}]
)
def test_who_speaks_already_is_not_asked_again(others: dict[str, Any], at: Path) -> None:
    nominated(at)
    with front(at, **{"shadow": True, **others}) as desk:
        run = desk.ask("hi")
    assert (run.status, asides(at, run.thread_id)) == ("done", [])


def test_a_candidate_that_fails_touches_no_conversation(at: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nominated(at)

    def broken(self: Any, name: str, folder: Path) -> Any:
        if folder.name == Registry(at / "registry").aliases()["champion"]:
            return Chatty()
        raise RuntimeError("out of memory")

    monkeypatch.setattr(DeskParts, "generator_beside", broken)
    with front(at, shadow=True) as desk:
        assert desk.ask("hi").status == "done"
        shadow = desk.speaking.shadow
    assert shadow is not None
    assert (shadow.failed, shadow.kept) == (1, 0)


class Held:
    """A model that waits until it is let go."""

    def __init__(self) -> None:
        self.begun, self.go = threading.Semaphore(0), threading.Event()

    def reply(self, messages: Any, **given: Any) -> Generation:
        self.begun.release()
        self.go.wait(60)
        return says("late", citations=0)


def taken(root: Path, queued: int) -> tuple[Shadow, Held, list[bool]]:
    """A shadow whose model is at its first turn, and which of five more turns it took on."""
    log, model = PromptLog(kept_in(root).backend), Held()
    log.backend.ensure("t")
    shadow = Shadow(log, lambda adapter: model, SystemClock(), queued=queued)
    one = Turn("t", "c", turn(1, ["m1"]), [HumanMessage("hi")])
    shadow.ask(one)
    model.begun.acquire()
    return shadow, model, [shadow.ask(one) for _ in range(5)]


def test_a_full_queue_drops_and_counts_and_closing_asks_the_rest(tmp_path: Path) -> None:
    shadow, model, took = taken(tmp_path, 2)
    assert (took, shadow.dropped) == ([True, True, False, False, False], 3)
    model.go.set()
    shadow.close()
    assert (shadow.kept, shadow.dropped, len(PromptLog(kept_in(tmp_path).backend).read("t").asides)) == (3, 3, 3)
    assert shadow.ask(Turn("t", "c", turn(1, ["m1"]), [])) is False
    shadow.close()


def test_closing_waits_for_nobody_for_ever(tmp_path: Path) -> None:
    shadow, model, _ = taken(tmp_path, 2)
    shadow.close(wait_s=0)
    assert shadow.dropped == 3 + 2
    model.go.set()


# ---------------------------------------------------------------------------------------------------------- compared


def aside(desk: Desk, thread: str, nth: int, **said: Any) -> None:
    """What candidate ``c`` says in the ``nth`` turn of a thread."""
    prompt = desk.prompts.read(thread).prompts[nth]
    empty = Said(calls=[], text="", citations=[], clarification="", about="", abstained=False)
    told: Any = {**empty, **said}
    noted = Aside(turn=prompt["turn"], round=prompt["round"], at="", adapter="c", speaker="base@c", said=told)
    assert desk.prompts.note_aside(thread, noted)


def books(room: str, tool: str = "book") -> list[dict[str, JSON]]:
    return [{"id": "x", "name": tool, "args": {"room": room} if room else {}}]


def test_a_candidate_is_compared_with_what_people_decided(tmp_path: Path) -> None:
    desk = lived(tmp_path)
    desk.say("ask", "a room", asks("Which room?", "book.room"), says("None is free."))
    desk.decide("ask", "answer", message="room 1")
    reads: Any = lambda words, day: words  # noqa: E731
    assert compare(sessions(desk), reads) == []
    aside(desk, "ask", 0, calls=books(""))  # a call without what is needed is the question that was answered
    aside(desk, "book", 1, calls=books("2"))  # what a person made of it
    aside(desk, "pay", 0, calls=books("3", "pay"))  # what was rejected
    aside(desk, "pay", 2, calls=books("5", "pay"))  # neither what was approved …
    aside(desk, "pay", 3, text="Paid.")  # … nor anything that was decided
    [found] = compare(sessions(desk), reads)
    wanted = Fared("c", asked=5, decided=4, wanted=3, agreed=(2, 2), refused=2, repeated=(1, 2))
    assert found == wanted


def test_a_candidate_says_nothing_to_a_conversation_that_is_kept_out(tmp_path: Path) -> None:
    desk = lived(tmp_path)
    desk.prompts.keep_out("book", True, "kim", SystemClock().now())
    said = desk.prompts.read("book").prompts[0]["said"]
    assert desk.prompts.note_aside("book", Aside(turn="t", round=1, at="", adapter="c", speaker="", said=said)) is False
