"""The notebook API: everything shows itself, as text and as HTML, and does what the workspace does."""

from __future__ import annotations

import re
import sys
from typing import Any

import pytest

import dojang
from dojang.notebook import Notebook
from dojang.notebook.widget import live_part
from state import Conflict, UserError


def test_a_question_shows_its_answer_and_the_places(book: Notebook) -> None:
    run = book.ask("check-out")
    assert run.status == "done"
    assert run.answer.startswith("Check-out is at 11:00.")
    assert "rules.md" in run.text()
    assert "Check-out is at 11:00." in run.html()
    assert (run.reviews, run.abstained) == ([], False)
    with pytest.raises(UserError, match="0 reviews"):
        _ = run.review


def test_a_pause_shows_its_card_and_is_decided_from_code(book: Notebook) -> None:
    run = book.ask("please book a room")
    assert "guests = 2" in run.text()
    assert "A booking is checked by a person before it is made." in run.html()
    done = run.review.edit(guests=3)
    assert [one["status"] for one in done.outcomes] == ["done"]
    made = book.workspace.show(run.review.id).decision
    assert made is not None
    assert (made["channel"], made["edited_args"]) == ("python", {**run.review.args, "guests": 3})
    with pytest.raises(Conflict):
        run.review.reject("too late")
    assert "Edited by kim" in run.review.html()


def test_a_graph_draws_itself_with_the_node_where_it_waits(book: Notebook) -> None:
    run = book.ask("please book a room")
    drawn = run.thread.draw()
    assert drawn.way[-1] == "review"
    bundle = drawn._repr_mimebundle_()
    assert len(re.findall('class="here"', bundle["image/svg+xml"])) == 1
    assert len(re.findall('class="passed"', bundle["image/svg+xml"])) == 4
    assert bundle["text/plain"].startswith("request → search")
    assert 'class="here"' not in book.draw().svg()
    assert 'class="here"' in drawn.html()


def test_history_and_inbox_are_tables(book: Notebook) -> None:
    run = book.ask("please book a room")
    history = run.thread.history()
    assert [step.source for step in history][-1] == "input"
    assert run.review.id in history.text().splitlines()[1]
    assert history.to_dicts()[0]["review_ids"] == [run.review.id]
    assert run.review.id in book.inbox().html()
    assert len(book.inbox(kind="feedback")) == 0
    assert run.thread.state().next == ("review",)


def test_a_fork_goes_its_own_way(book: Notebook) -> None:
    run = book.ask("check-out")
    fork = run.thread.fork()
    assert fork.ask("please book a room").status == "paused"
    assert run.thread.now().status == "done"
    paused = book.ask("please book a room")
    history = paused.thread.history()
    with pytest.raises(Conflict, match="somebody is being asked there"):
        paused.thread.fork(history[0])
    searched = next(step for step in history if step.next == ["generate"])
    again = paused.thread.fork(searched).resume()
    assert again.status == "paused"
    assert again.review.id != paused.review.id


def test_speakers_are_compared(book: Notebook) -> None:
    said = book.compare("check-out")
    assert [one.who for one in said] == ["base", "shipped"]
    assert "Check-out is at 11:00." in said.text()


def test_a_thread_goes_on_and_looks_things_up(book: Notebook) -> None:
    run = book.ask("check-out")
    assert book.thread(run.thread.id).ask("check-out").answer == run.answer
    assert [line["role"] for line in run.thread.conversation()] == ["user", "assistant"] * 2
    assert run.thread.resume().status == "done"
    assert book.search("check-out", k=1)[0]["document"] == "rules.md"
    with pytest.raises(UserError):
        book.thread("th_nowhere")
    with pytest.raises(UserError):
        book.review("rv_nowhere")


def test_without_a_kernel_nothing_can_be_pressed(book: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Any] = []
    monkeypatch.setattr("IPython.display.display", lambda data, **how: shown.append(data))
    run = book.ask("please book a room")
    run._ipython_display_()
    [card] = shown
    assert f'data-review="{run.review.id}"' in card["text/html"]
    assert "<button" not in card["text/html"]
    assert f"dojang show {run.review.id}" in card["text/html"]
    assert ".approve(…)" in card["text/plain"]


def test_without_anywidget_the_card_stays(book: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    from dojang.notebook import widget

    monkeypatch.setattr(widget, "_in_a_kernel", lambda: True)
    monkeypatch.setitem(sys.modules, "anywidget", None)
    widget._class.cache_clear()
    assert live_part(book.ask("please book a room").review.bar()) is None


def test_the_package_names_it_without_loading_it() -> None:
    assert dojang.open.__module__ == "dojang.notebook.book"
    assert {"open", "sample", "Notebook"} <= set(dojang.__all__)
    with pytest.raises(AttributeError):
        _ = dojang.nothing


def test_a_table_of_ones_own() -> None:
    made = dojang.table(["format", "bits"], ["NF4", 4.127], ["INT8", 8])
    assert made.text() == "format  bits\nNF4     4.127\nINT8    8"
    assert [row["bits"] for row in made] == [4.127, 8]
