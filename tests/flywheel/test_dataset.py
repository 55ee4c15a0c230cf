"""From decisions to rows: what each teaches, what is left out and counted, what is held out, and the frozen folder."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.dataset import folder
from adapters.dataset.building import METHODS, Choices, Dataset, build
from adapters.dataset.duplicates import near, words
from adapters.dataset.mapping import Taught, taught
from adapters.dataset.points import Point
from adapters.dataset.scrubbing import Scrub
from dojang.flywheel.datasets import read_day
from dojang.flywheel.stale import Pseudonyms
from state import UserError
from tests.flywheel.made import ARGS, point


def nobody(text: str) -> list[tuple[int, int]]:
    return []


def found(text: str) -> list[tuple[int, int]]:
    return [match.span() for match in re.finditer(r"\d{3}-\d{4}-\d{4}|[\w.]+@[\w.]+", text)]


def made(points: list[Point], **choices: Any) -> Dataset:
    return build(points, choices=Choices(**choices), find=nobody, pseudonym=lambda name: f"#{name}")


def rows(given: Point) -> dict[str, list[Any]]:
    one = taught(given)
    assert isinstance(one, Taught), one
    return {method: one.rows(method) for method in METHODS}


def call_of(message: Any) -> Any:
    [call] = message["tool_calls"]
    return call["function"]


# ------------------------------------------------------------------------------------------------- what one teaches


def test_an_approval_is_a_good_row(tmp_path: Path) -> None:
    got = rows(point(1))
    assert call_of(got["sft"][0]["completion"]) == {"name": "book_room", "arguments": {**ARGS, "guests": 1}}
    assert got["dpo"] == []
    assert [row["label"] for row in got["kto"]] == [True]
    assert got["sft"][0]["prompt"] == [
        {"role": "user", "content": "Guest1 wants room1 at Namsan Stay for 1 people, not Han River"}
    ]
    assert [t["function"]["name"] for t in got["sft"][0]["tools"]] == ["book_room", "cancel_booking"]


def test_an_edit_is_better_than_what_was_proposed(tmp_path: Path) -> None:
    got = rows(point(1, "edit", edited={**ARGS, "guests": 9}))
    assert call_of(got["sft"][0]["completion"])["arguments"]["guests"] == 9
    [pair] = got["dpo"]
    assert [call_of(pair[side])["arguments"]["guests"] for side in ("chosen", "rejected")] == [9, 1]
    [bad] = got["kto"]
    assert (call_of(bad["completion"])["arguments"]["guests"], bad["label"]) == (1, False)
    unchanged = rows(point(1, "edit", edited={**ARGS, "guests": 1}))
    assert (len(unchanged["sft"]), unchanged["dpo"], unchanged["kto"][0]["label"]) == (1, [], True)


def test_what_a_person_left_alone_stays_in_the_models_own_words() -> None:
    given = point(1, "edit", edited={"check_in": "2026-12-03", "guests": 3, "room": "deluxe"})
    assert given["prompt"] is not None
    assert given["review"] is not None
    given["prompt"]["said"]["calls"][0]["args"] = {"check_in": "December 3", "guests": "2", "hotel": "x"}
    given["review"]["action"]["args"] = {"check_in": "2026-12-03", "guests": 2, "hotel": "x"}
    [pair] = rows(given)["dpo"]
    assert call_of(pair["chosen"])["arguments"] == {"check_in": "December 3", "guests": 3, "room": "deluxe"}
    assert call_of(pair["rejected"])["arguments"] == {"check_in": "December 3", "guests": "2", "hotel": "x"}


def test_an_edited_date_stands_as_it_was_said() -> None:
    given = point(1, "edit", request="from December 3, or rather 5 December", edited={"check_in": "2026-12-05", "n": 1})
    one = taught(given, reads=read_day)
    assert isinstance(one, Taught)
    assert call_of(one.rows("sft")[0]["completion"])["arguments"] == {"check_in": "5 December", "n": 1}
    elsewhere = taught(point(1, "edit", edited={"check_in": "2026-12-09"}), reads=read_day)
    assert isinstance(elsewhere, Taught)
    assert call_of(elsewhere.rows("sft")[0]["completion"])["arguments"] == {"check_in": "2026-12-09"}
    assert read_day("no date", "2026-11-22") is None


def test_a_rejection_is_never_imitated() -> None:
    got = rows(point(1, "reject"))
    assert (got["sft"], got["dpo"], [row["label"] for row in got["kto"]]) == ([], [], [False])


def test_an_answered_question_was_worth_asking() -> None:
    got = rows(point(1, "answer", clarification="Which day?", about="book_room.check_in", message="3 May"))
    assert call_of(got["sft"][0]["completion"]) == {
        "name": "ask_user", "arguments": {"about": "book_room.check_in", "question": "Which day?"},
    }  # fmt: skip
    assert (got["dpo"], got["kto"]) == ([], [])
    refused = rows(point(1, "reject", clarification="Which day?", about="book_room.check_in"))
    assert (refused["sft"], [row["label"] for row in refused["kto"]]) == ([], [False])


def test_drafts_teach_their_words_and_edits_of_them() -> None:
    text = "Breakfast is from 7 to 10. [1]"
    good = rows(point(1, text=text))
    assert good["sft"][0]["completion"]["content"] == text
    assert good["sft"][0]["completion"]["cited"] == ["Breakfast is from 7 to 10."]
    [pair] = rows(point(1, "edit", text=text, message="Seven to ten. [1]"))["dpo"]
    assert (pair["chosen"]["content"], pair["rejected"]["content"]) == ("Seven to ten. [1]", text)
    assert rows(point(1, "reject", text=text))["kto"][0]["label"] is False


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (point(1, "expire", by=""), "expired"),
        (point(1, by=""), "automatic"),
        (point(1, channel="bulk"), "bulk"),
        (point(1, channel="standing"), "standing"),
        (point(1, by="Guest "), "self_approved"),
        (point(1, undone=True), "disputed"),
        (point(1, "reject", votes=[point(2)["decision"]]), "disputed"),
        (point(1, kind="in_doubt"), "in_doubt"),
        (point(1, lacks="no_prompt"), "no_prompt"),
        (point(1, lacks="hash_differs"), "hash_differs"),
        (point(1, lacks="erased"), "erased"),
        (point(1, lacks="opted_out"), "opted_out"),
        (point(1, subject="call:c1#again"), "not_the_models"),
        (point(1, "answer", text="It is closed. [1]", message="It is open", kind="correction"), "corrected"),
        (point(1, "answer", text="It is closed. [1]", message="nice", kind="feedback"), "commented"),
        (point(1, "answer", clarification="Hm?", message="yes"), "unclear"),
    ],
)
def test_what_does_not_count_says_why(given: Point, why: str) -> None:
    assert taught(given) == why


def test_a_rejection_by_whoever_asked_counts_and_so_does_an_approval_where_that_is_wanted() -> None:
    assert isinstance(taught(point(1, "reject", by="guest")), Taught)
    assert isinstance(taught(point(1, by="guest"), self_approved=True), Taught)


def test_several_calls_of_one_turn_are_left_out() -> None:
    given = point(1)
    assert given["prompt"] is not None
    given["prompt"]["said"]["calls"].append({"id": "other", "name": "cancel_booking", "args": {}})
    assert taught(given) == "several_calls"


# --------------------------------------------------------------------------------------------------------- building


def test_two_people_who_contradict_each_other_teach_nothing() -> None:
    same: Any = {"request": "Book room 7 for the fair", "args": {"hotel": "x"}}
    built = made([point(1, **same), point(2, "reject", by="choi", **same), *(point(n) for n in range(3, 9))])
    assert built.left_out["disputed"] == 2
    assert {row["point"] for row in built.provenance} == {f"rv_{n}" for n in range(3, 9)}
    edit = point(1, "edit", edited={"hotel": "y"}, thread="t1", **same)
    denied = point(2, "reject", by="choi", thread="t1", subject="call:c1#second", **same)
    built = made([edit, denied, *(point(n) for n in range(3, 9))])
    assert built.left_out == {"disputed": 1, "not_the_models": 1}


def test_the_newest_threads_are_held_out_whole() -> None:
    points = [point(n, thread=f"t{n // 2}") for n in range(20)]
    built = made(points)
    sides = {row["thread"]: row["side"] for row in built.provenance}
    assert {thread for thread, side in sides.items() if side == "heldout"} == {"t8", "t9"}
    assert len(built.heldout) == 4
    assert not {row["point"] for row in built.heldout} & {row["point"] for row in built.rows["sft"]}


def test_near_duplicates_of_what_is_held_out_leave_the_training_side() -> None:
    points = [point(n) for n in range(1, 5)]
    points += [point(5, request="please cancel the booking of Mr Kim at the Namsan Stay today", args={"hotel": "a"})]
    points += [point(9, request="Please cancel the booking of Mr Kim at the Namsan Stay", args={"hotel": "b"})]
    built = made(points)
    assert built.left_out == {"near_heldout": 1}
    assert "rv_5" not in {row["point"] for row in built.provenance}
    assert made(points, alike=0.99).left_out == {}


@settings(max_examples=25)
@given(st.lists(st.text("ab c가", max_size=12), max_size=8), st.lists(st.text("ab c가", max_size=12), max_size=8))
def test_near_finds_every_equal_request_and_no_unlike_one(ours: list[str], theirs: list[str]) -> None:
    hits = near([(str(n), text) for n, text in enumerate(ours)], theirs, 0.7)
    for n, text in enumerate(ours):
        likeness = [len(words(text) & words(o)) / len(words(text) | words(o)) for o in theirs]
        if max(likeness, default=0) >= 1:
            assert str(n) in hits
        if str(n) in hits:
            assert max(likeness) >= 0.7


@pytest.mark.parametrize(
    ("points", "said"),
    [
        ([], "nobody has decided anything yet"),
        ([point(1, "expire", by="")], "none of the 1 decisions teaches anything (expired 1)"),
        ([point(n, thread="t") for n in range(10)], "all 10 decisions that teach anything are of one conversation"),
        ([point(n, request="the same words") for n in range(4)], "ask nearly the same as one in them"),
    ],
)
def test_too_little_is_said_in_words(points: list[Point], said: str) -> None:
    with pytest.raises(UserError) as error:
        made(points)
    assert said in str(error.value)


def test_ten_approvals_are_a_dataset_with_warnings() -> None:
    built = made([point(n) for n in range(10)])
    assert built.warnings == ["few_decisions", "one_sided", "one_reviewer"]
    assert built.counts() == {"sft": 8, "dpo": 0, "kto": 8, "heldout": 2}


def test_over_long_rows_are_left_out_and_counted() -> None:
    points = [point(n) for n in range(6)] + [point(2, request="word " * 400)]
    assert made(points, longest=3_000).left_out == {"too_long": 1}
    with pytest.raises(UserError, match="heldout is 2"):
        made(points, heldout=2)


# -------------------------------------------------------------------------------------------------------- scrubbing


def test_personal_data_are_scrubbed_alike_in_the_request_and_in_the_call() -> None:
    phone, mail = "010-2345-6789", "hana.kim@example.org"
    given = point(1, request=f"Call {phone} or write to {mail}", args={"hotel": phone, "guest": mail, "guests": 2})
    scrub = Scrub(found)
    row = scrub.row(rows(given)["sft"][0])
    text = json.dumps(row, ensure_ascii=False)
    assert (phone in text, mail in text) == (False, False)
    assert row["prompt"][0]["content"] == "Call 000-0000-0000 or write to xxxx.xxx@xxxxxxx.xxx"
    assert call_of(row["completion"])["arguments"] == {
        "hotel": "000-0000-0000", "guest": "xxxx.xxx@xxxxxxx.xxx", "guests": 2,
    }  # fmt: skip
    assert row["tools"] == rows(given)["sft"][0]["tools"]
    assert scrub.replaced >= 2


@given(st.text(max_size=40), st.integers(0, 40), st.integers(0, 40))
def test_scrubbing_keeps_places(text: str, a: int, b: int) -> None:
    start, end = sorted((min(a, len(text)), min(b, len(text))))
    after = Scrub(lambda _: [(start, end)]).text(text)
    assert len(after) == len(text)
    assert (after[:start], after[end:]) == (text[:start], text[end:])
    assert not any((c.isalpha() and c != "x") or (c.isdigit() and c != "0") for c in after[start:end])


def test_a_reviewer_is_a_keyed_hash(tmp_path: Path) -> None:
    name = Pseudonyms(tmp_path)
    assert name("Kim Hana") == Pseudonyms(tmp_path)(" kim  hana ") != name("Lee")
    assert len(name("Kim")) == 12
    assert Pseudonyms(tmp_path / "other")("Kim") != name("Kim")
    assert (tmp_path / "pseudonyms.key").stat().st_mode & 0o777 == 0o600


# ----------------------------------------------------------------------------------------------------- on the disk


POINTS = [point(n, ("approve", "reject")[n % 2], by=f"p{n % 3}") for n in range(10)]


def test_a_dataset_is_named_by_its_content(tmp_path: Path) -> None:
    first = folder.write(made(POINTS), tmp_path)
    assert folder.write(made(POINTS), tmp_path) == first
    assert folder.write(made(POINTS[:-1]), tmp_path) != first
    told = folder.verify(tmp_path, first.name[:6])
    assert (told["id"], told["files"]["heldout.jsonl"]["rows"]) == (first.name, 2)
    assert list(folder.read(first, "kto.jsonl")) == made(POINTS).rows["kto"]
    assert len(folder.folders(tmp_path)) == 2
    with pytest.raises(folder.UnknownDataset, match="there is no dataset 'zz'"):
        folder.named(tmp_path, "zz")
    with pytest.raises(folder.UnknownDataset, match="there is no dataset ''"):
        folder.named(tmp_path, "")


@pytest.mark.parametrize("name", [*folder.FILES, folder.MANIFEST])
@pytest.mark.parametrize("how", ["changed", "gone"])
def test_a_changed_dataset_is_refused(name: str, how: str, tmp_path: Path) -> None:
    path = folder.write(made(POINTS), tmp_path) / name
    path.chmod(0o600)
    if how == "gone":
        path.unlink()
    else:
        data = path.read_bytes()
        path.write_bytes(data.replace(b'"decisions": 10', b'"decisions": 11').replace(b"point", b"paint") or b"{}")
    with pytest.raises(folder.DamagedDataset, match="build it again"):
        folder.verify(tmp_path, path.parent.name)


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for nth in range(1, 9):  # six files, their folder, the one above
        with monkeypatch.context() as full:
            full.setattr(os, "fsync", failing_at(nth))
            with pytest.raises(folder.DatasetNotWritten, match="nothing was kept"):
                folder.write(made(POINTS), tmp_path)
        assert list(tmp_path.iterdir()) == []
    assert folder.verify(tmp_path, folder.write(made(POINTS), tmp_path).name)


def test_what_a_killed_build_left_is_swept_after_a_day(tmp_path: Path) -> None:
    left, fresh = tmp_path / ".building-old", tmp_path / ".building-new"
    for folder_ in (left, fresh):
        folder_.mkdir()
    os.utime(left, (0, 0))
    folder.write(made(POINTS), tmp_path)
    assert (left.exists(), fresh.exists(), len(folder.folders(tmp_path))) == (False, True, 1)


def failing_at(nth: int) -> Any:
    count: Iterator[int] = iter(range(1, 1_000))
    whole = os.fsync

    def fsync(fd: int) -> None:
        if next(count) == nth:
            raise OSError(errno.ENOSPC, "No space left on device")
        whole(fd)

    return fsync


def test_what_was_erased_marks_the_datasets_that_have_it(tmp_path: Path) -> None:
    first, second = folder.write(made(POINTS), tmp_path), folder.write(made(POINTS[:6]), tmp_path)
    assert folder.threads_of(tmp_path, "#p1") == {"t1", "t4", "t7"}
    assert folder.mark_stale(tmp_path, ["t9"], "erased") == [first.name]
    assert set(folder.stale(tmp_path)) == {first.name}
    with (tmp_path / folder.STALE).open("ab") as torn:
        torn.write(b'{"dataset": "x')
    assert sorted(folder.mark_stale(tmp_path, ["t1"], "erased too")) == sorted([first.name, second.name])
    assert set(folder.stale(tmp_path)) == {first.name, second.name}
    assert folder.mark_stale(tmp_path, ["nobody"], "erased") == []
