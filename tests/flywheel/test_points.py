"""Decision points: every decided review, with the prompt of then where it can be shown, else the reason why not."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from adapters.dataset.points import Point, told, untold
from adapters.prompt import CHAT_TEMPLATE
from adapters.speakers.endpoint import EndpointSpeaker, offered_tools, system_prompt
from adapters.speakers.proving import again
from adapters.speakers.rendering import ENDPOINT, NUMBERED, READING, STRICT, endpoint_text, rendered
from checkpoints import DecisionLog, FileSaver, KeyRing, PromptLog
from dojang.flywheel.points import Collected, Sessions, collect, forget
from state import Prompt, Rendered
from tests.checkpoints.test_prompts import turn
from tests.flywheel.desk import Desk
from tests.graph.parts import NOW, Rules, asks, calls, passage, says, spec
from tests.sessions_in_postgres import damaged_by_hand, taken_by_hand

OURS = SimpleNamespace(chat_template=CHAT_TEMPLATE)
ASKING = Rules(table={"look": "auto", "answer": "ask"})


def sessions(desk: Desk, *, cache: Path | None = None) -> Sessions:
    return Sessions(desk.kept.saver, desk.decisions, desk.prompts, None, cache)


def lived(home: Path) -> Desk:
    """One decision of each kind that the model had a part in."""
    desk = Desk(home)
    desk.say("book", "a room", asks("Which room?"), calls(("book", {"room": "1"})), says("Booked."))
    desk.decide("book", "answer", message="room 1")
    desk.decide("book", "edit", edited_args={"room": "2"})
    desk.say("pay", "pay for room 3", calls(("pay", {"room": "3"})), says("Not paid."))
    desk.decide("pay", "reject", reason="too dear")
    desk.say("pay", "pay for room 4", calls(("pay", {"room": "4"})), says("Paid."))
    desk.decide("pay", "approve", by="kim")
    return desk


def said(points: list[Point]) -> list[tuple[str, str, str]]:
    return [(p["thread_id"], p["decision"]["type"], p["lacks"]) for p in points]


def test_every_decision_is_a_point_with_what_the_model_had(tmp_path: Path) -> None:
    found = collect(sessions(lived(tmp_path)))
    assert said(found.points) == [
        ("book", "answer", ""), ("book", "edit", ""), ("pay", "reject", ""), ("pay", "approve", ""),
    ]  # fmt: skip
    assert (found.threads, found.problems) == (2, [])
    question, edit, reject, approve = found.points
    assert question["prompt"] is not None
    assert question["prompt"]["said"]["clarification"] == "Which room?"
    assert [m["content"] for m in question["messages"]] == ["a room"]
    assert [m["role"] for m in edit["messages"]] == ["user", "assistant", "user"]
    assert edit["decision"]["edited_args"] == {"room": "2"}
    assert edit["prompt"] is not None
    assert edit["prompt"]["said"]["calls"][0]["args"] == {"room": "1"}
    assert {t["name"] for t in edit["prompt"]["tools"]} == {"look", "book", "pay"}
    assert reject["review"] is not None
    assert reject["review"]["subject"].startswith("call:")
    # the second turn's prompt has the first one in it, with the refused call and its answer
    assert [m["role"] for m in approve["messages"]] == ["user", "assistant", "tool", "assistant", "user"]
    assert all(p["checkpoint_id"] for p in found.points)


def test_drafts_votes_and_what_was_taken_back(tmp_path: Path) -> None:
    desk = Desk(tmp_path, policy=ASKING)
    desk.say("t", "when is breakfast?", says("At seven [1]."), says("From 7 to 10 [1]."))
    desk.decide("t", "reject", reason="when does it end?")
    [waiting] = desk.graph.get_state(desk.config("t")).interrupts
    review = waiting.value["review"]["id"]
    undoing = {
        "review_id": review,
        "digest": waiting.value["review"]["digest"],
        "held_until": "2027-01-01T00:00:00+00:00",
    }
    decision: Any = {**desk.decisions.of("t").popitem()[1], **undoing, "type": "reject", "by": "choi"}
    desk.decisions.record("t", decision)
    desk.decisions.undo("t", review, "choi", NOW)
    desk.decide("t", "edit", edited_args={"text": "From seven to ten [1]."})
    first, second = collect(sessions(desk)).points
    assert first["prompt"] is not None
    assert second["prompt"] is not None
    assert first["prompt"]["said"]["text"] == "At seven [1]."
    assert second["prompt"]["said"]["text"] == "From 7 to 10 [1]."
    assert (first["undone"], second["undone"]) == (False, True)
    assert (first["lacks"], second["lacks"]) == ("", "")


def test_old_sessions_opted_out_ones_and_changed_ones_say_why_they_teach_nothing(tmp_path: Path) -> None:
    desk = lived(tmp_path)
    taken_by_hand(desk.kept.backend, "book", "prompts")
    desk.prompts.keep_out("pay", True, "lee", NOW)
    assert Counter(p["lacks"] for p in collect(sessions(desk)).points) == {"no_prompt": 2, "opted_out": 2}
    desk.prompts.keep_out("pay", False, "lee", NOW)
    message = desk.graph.get_state(desk.config("pay")).values["messages"][0]
    desk.graph.update_state(desk.config("pay"), {"messages": [HumanMessage("pay for room 9", id=message.id)]})
    assert {p["lacks"] for p in collect(sessions(desk)).points} == {"no_prompt", "hash_differs"}


def test_a_question_that_a_rule_asked_is_none_of_the_models(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.say("t", "Cancel it.", says("Which one?"))  # "it" refers to nothing
    desk.decide("t", "answer", message="room 1")
    [point] = collect(sessions(desk)).points
    assert point["lacks"] == "asked_by_a_rule"


@pytest.mark.about_files("those in a database are read each time")
def test_what_did_not_change_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk, cache = lived(tmp_path), tmp_path / "points.sqlite"
    first = collect(sessions(desk, cache=cache))
    seen: list[str] = []
    whole = PromptLog.read
    monkeypatch.setattr(PromptLog, "read", lambda self, thread: seen.append(thread) or whole(self, thread))  # type: ignore[func-returns-value]
    told: list[tuple[int, int]] = []
    again = collect(sessions(desk, cache=cache), on_progress=lambda done, total: told.append((done, total)))
    assert (again.points, seen, told) == (first.points, [], [(1, 2), (2, 2)])
    desk.say("book", "and another", calls(("book", {"room": "5"})), says("Booked."))
    desk.decide("book", "approve")
    third = collect(sessions(desk, cache=cache))
    assert (len(third.points), seen) == (5, ["book"])
    cache.write_bytes(b"no database at all, but as long as one" * 100)
    assert collect(sessions(desk, cache=cache)).points == third.points
    forget(cache)
    assert not cache.exists()


def test_a_session_that_cannot_be_read_stops_nobody(tmp_path: Path) -> None:
    desk = lived(tmp_path)
    damaged_by_hand(desk.kept.backend, "book", "decisions")
    found = collect(sessions(desk))
    assert {p["thread_id"] for p in found.points} == {"pay"}
    assert "book" in found.problems[0]
    assert isinstance(found, Collected)


def test_sealed_sessions_are_points_too(tmp_path: Path) -> None:
    desk = Desk(tmp_path, KeyRing.of(b"k" * 32))
    desk.say("t", "a room", calls(("book", {"room": "1"})), says("Booked."))
    desk.decide("t", "approve")
    assert said(collect(sessions(desk)).points) == [("t", "approve", "")]
    plain = Sessions(FileSaver(desk.threads), DecisionLog(desk.threads), PromptLog(desk.threads))
    assert "no session keys are set" in collect(plain).problems[0]


# ------------------------------------------------------------------------------------------- rendered again


def of(form: Rendered, **parts: Any) -> Prompt:
    whole: Any = {**turn(1, ["a", "b"]), "language": "en", "passages": [passage()], "rendered": form, **parts}
    made: Prompt = whole
    return made


def test_each_form_is_rendered_again_by_what_serves() -> None:
    messages: list[Any] = [
        HumanMessage("When?"),
        AIMessage("", tool_calls=[{"name": "look", "args": {"room": "1"}, "id": "c"}]),
        ToolMessage('{"message": "free"}', tool_call_id="c"),
    ]
    tools = [spec("look", "read")]
    for form in (ENDPOINT, STRICT):
        system = system_prompt([passage()], "en", "2026-11-22")
        text = endpoint_text(system, messages, offered_tools(tools, strict=form == STRICT))
        noted = rendered(form, text, "2026-11-22")
        assert again(of(noted), messages) == noted
        assert again(of(noted, tools=[]), messages) != noted
        assert again(of({**noted, "today": "2026-11-23"}), messages) != {**noted, "today": "2026-11-23"}
    numbered = again(of(rendered(NUMBERED, "", "2026-11-22")), messages, OURS)
    assert numbered is not None
    assert again(of(numbered), untold(told(messages)), OURS) == numbered
    assert again(of({**numbered, "messages": 0, "evidence": 1}), messages, OURS) != numbered
    assert again(of(rendered(NUMBERED, "")), messages) is None
    assert again(of(rendered("telepathy/9", "")), messages) is None
    assert again(of(rendered(READING, "")), messages) is not None


def test_an_endpoint_says_how_its_prompt_was_rendered() -> None:
    from langchain_core.language_models import GenericFakeChatModel

    class Chat(GenericFakeChatModel):
        def bind_tools(self, *_: Any, **__: Any) -> Any:
            return self

    chat = Chat(messages=iter([AIMessage("Breakfast is from 7 to 10 [1].")]))
    speaker = EndpointSpeaker(chat, lambda: "2026-11-22")
    messages = [HumanMessage("When is breakfast?")]
    made = speaker.turn(messages, [passage()], [spec("look", "read")], "en")
    noted = of(made["prompt"], tools=[spec("look", "read")])
    assert again(noted, messages) == made["prompt"]
    assert json.dumps(made["prompt"])
