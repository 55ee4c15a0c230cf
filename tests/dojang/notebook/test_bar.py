"""What a press of a card's button does: one decision through the one door, or nothing and a reason."""

from __future__ import annotations

from typing import Any

import pytest

from dojang.notebook import Notebook, Review
from dojang.notebook.bar import Bar
from dojang.notebook.cards import card_of


def seen(review: Review) -> dict[str, str]:
    """The form that a browser sends along with a press of this card."""
    return {"review": review.id, "digest": review.record["digest"]}


def form_of(book: Notebook, review: Review, **changed: str) -> dict[str, str]:
    """The form of an edit as it is drawn, with what somebody typed over it."""
    fields = {field.name: (field.key, field.shown) for field in card_of(book, review.id).fields}
    return seen(review) | {key: changed.get(name, shown) for name, (key, shown) in fields.items()}


def press(bar: Bar, kind: str, form: dict[str, str] | None = None, dwell: object = 1_200) -> str:
    """A press, and what the card then shows."""
    bar.pressed({"press": kind, "form": form or {}, "dwell_ms": dwell})
    return str(bar.shown()["markup"])


def paused(book: Notebook, text: str = "please book a room") -> tuple[Review, Bar]:
    review = book.ask(text).review
    return review, review.bar()


def decision(book: Notebook, review: Review) -> Any:
    return book.workspace.show(review.id).decision


def done(book: Notebook, review: Review) -> list[str]:
    return [one["status"] for one in book.thread(review.record["thread_id"]).now().outcomes]


def test_a_press_is_a_decision_like_any_other(book: Notebook) -> None:
    review, bar = paused(book)
    shown = press(bar, "approve", seen(review))
    made = decision(book, review)
    assert (made["type"], made["by"], made["channel"], made["dwell_ms"]) == ("approve", "kim", "notebook", 1_200)
    assert made["digest"] == review.record["digest"]
    assert done(book, review) == ["done"]
    assert "Approved by kim" in shown
    assert "<form" not in shown
    records = book.workspace.parts.audit.records(review.record["thread_id"])
    noted = [one for one in records if one["subject"] == review.id]
    assert {"review.opened", "review.shown", "decision.recorded"} <= {one["event"] for one in noted}


def test_pressed_again_it_does_nothing_more(book: Notebook) -> None:
    review, bar = paused(book)
    first = press(bar, "approve", seen(review))
    assert press(bar, "approve", seen(review)) == first
    assert done(book, review) == ["done"]
    other = press(bar, "reject", {**seen(review), "chip": "other"})
    assert "already" in other
    assert decision(book, review)["type"] == "approve"


def test_a_card_that_somebody_else_decided_says_so(book: Notebook) -> None:
    review, bar = paused(book)
    assert "Approve</button>" in bar.shown()["markup"]
    book.workspace.decide(review.id, {"type": "reject", "reason": "full"}, by="lee", channel="console")
    stale = press(bar, "approve", seen(review))
    assert "lee" in stale
    assert "Rejected by lee" in stale
    assert "Approve</button>" not in stale
    assert done(book, review) == ["refused"]
    assert "Rejected by lee" in press(review.bar(), "look")


@pytest.mark.parametrize("wrong", [{"digest": "sha256:" + "0" * 64}, {"digest": ""}, {"review": "rv_0000000000000000"}])
def test_what_was_not_on_the_screen_is_not_decided(book: Notebook, wrong: dict[str, str]) -> None:
    review, bar = paused(book)
    assert "Nothing was recorded." in press(bar, "approve", {**seen(review), **wrong})
    assert decision(book, review) is None


@pytest.mark.parametrize(
    "message",
    [None, [], "approve", {}, {"press": 3}, {"press": "approve"}, {"press": "approve", "form": "x"},
     {"press": "drop", "form": {}}, {"press": "undo"}, {"press": "go_on"}, {"press": "approve", "form": {"review": 1}}],
)  # fmt: skip
def test_what_is_no_press_of_ours_does_nothing(book: Notebook, message: object) -> None:
    review, bar = paused(book)
    bar.pressed(message)
    assert bar.shown()["turn"] == 1
    assert decision(book, review) is None


@pytest.mark.parametrize("dwell", [None, -1, True, 1.5, "900", 10**12])
def test_a_dwell_time_that_cannot_be_is_none(book: Notebook, dwell: object) -> None:
    review, bar = paused(book)
    press(bar, "reject", {**seen(review), "chip": "other"}, dwell)
    assert decision(book, review)["dwell_ms"] is None


def test_an_edit_is_shown_before_it_is_sent(book: Notebook) -> None:
    review, bar = paused(book)
    form = form_of(book, review, guests="3")
    unseen = press(bar, "edit", form)
    assert "Nothing is recorded yet." in unseen
    assert decision(book, review) is None
    shown = press(bar, "changes", form)
    assert "<del>2</del> <ins>3</ins>" in shown
    assert f'name="{review.id}.arg.4" type="number" value="3"' in shown
    token = shown.partition('name="seen" value="')[2].partition('"')[0]
    other = {**form, f"{review.id}.arg.4": "4", "seen": token}
    assert "Nothing is recorded yet." in press(bar, "edit", other)
    after = press(bar, "edit", {**form, "seen": token})
    assert decision(book, review)["edited_args"] == {**review.args, "guests": 3}
    assert "Edited by kim" in after
    assert done(book, review) == ["done"]


def test_an_edit_that_breaks_the_schema_is_told_and_kept(book: Notebook) -> None:
    review, bar = paused(book)
    shown = press(bar, "changes", form_of(book, review, guests="many"))
    assert "must be a whole number" in shown
    assert 'name="seen"' not in shown


def test_a_rejection_has_a_reason_and_a_note(book: Notebook) -> None:
    review, bar = paused(book)
    assert "choose one of the reasons" in press(bar, "reject", {**seen(review), "chip": "because"})
    press(bar, "reject", {**seen(review), "chip": "wrong data", "note": "the other hotel\r\n"})
    made = decision(book, review)
    assert (made["reason"], made["message"]) == ("wrong data: the other hotel", "the other hotel")


def test_a_question_is_answered_and_the_next_card_follows(book: Notebook) -> None:
    review, bar = paused(book, "which one")
    assert review.record["kind"] == "clarification"
    shown = press(bar, "answer", {**seen(review), "message": "book it"})
    assert decision(book, review)["message"] == "book it"
    assert "Answered by kim" in shown


def test_an_edit_that_asks_again_brings_the_next_card_which_wants_a_tick(book: Notebook) -> None:
    review, bar = paused(book, "refund BK-2040")
    form = form_of(book, review, amount="200,000")
    token = press(bar, "changes", form).partition('name="seen" value="')[2].partition('"')[0]
    shown = press(bar, "edit", {**form, "seen": token})
    following = next(one for one in book.inbox() if one["thread_id"] == review.record["thread_id"])
    assert following["tier"] == 3
    assert f'<article class="card" data-review="{following["id"]}"' in shown
    assert press(bar, "approve", form) == press(bar, "approve", seen(review))  # the first card's press decides nothing
    now = seen(book.review(following["id"]))
    assert "tick the box" in press(bar, "approve", now)
    assert book.workspace.show(following["id"]).decision is None
    assert "Approved by kim" in press(bar, "approve", {**now, "confirm": "yes"})


def test_a_press_can_be_taken_back_and_the_run_waits_for_that(book: Notebook) -> None:
    settings = book.workspace.settings
    try:
        book.workspace.settings = settings.model_copy(update={"undo_s": None})
        review, bar = paused(book)
        assert bar.shown()["wait_ms"] == 0
        assert "Take it back" in press(bar, "approve", seen(review))
        assert 1_000 < bar.shown()["wait_ms"] <= 5_100
        assert done(book, review) == []
        press(bar, "go_on")
        assert done(book, review) == []  # too early
        assert "Approve</button>" in press(bar, "undo")
        assert decision(book, review) is None
        book.workspace.settings = settings.model_copy(update={"undo_s": 0.01})
        press(bar, "approve", seen(review))
        assert "Approved by kim" in press(bar, "go_on")
        assert done(book, review) == ["done"]
    finally:
        book.workspace.settings = settings


def test_words_of_others_are_escaped(book: Notebook) -> None:
    hurt = "</textarea><script>alert(1)</script><img src=x onerror=alert(1)>"
    review, bar = paused(book, f"please book {hurt} a room")
    held = press(bar, "reject", {**seen(review), "chip": "because", "note": hurt})
    changes = press(bar, "changes", form_of(book, review, guest=hurt))
    shown = review.html() + held + changes
    assert "&lt;script&gt;" in held
    assert "&lt;script&gt;" in changes
    assert "<script" not in shown
    assert "<img" not in shown
