"""Laws of the reducers."""

from __future__ import annotations

import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state import BrokenInvariant, ReducerConflict, language_of, merge_records

records = st.dictionaries(st.text(max_size=3), st.integers(0, 3), max_size=4)


@given(records)
def test_nothing_is_the_identity(old: dict[str, Any]) -> None:
    assert merge_records(old, {}) == old
    assert merge_records(old, None) == old
    assert merge_records(None, old) == old


@given(records, records)
def test_replay_changes_nothing_and_contradiction_fails(old: dict[str, Any], new: dict[str, Any]) -> None:
    if any(key in old and old[key] != value for key, value in new.items()):
        with pytest.raises(ReducerConflict):
            merge_records(old, new)
        return
    once = merge_records(old, new)
    assert merge_records(once, new) == once
    assert set(once) == set(old) | set(new)


@given(records, records, records)
def test_merging_is_associative(a: dict[str, Any], b: dict[str, Any], c: dict[str, Any]) -> None:
    def both(order: str) -> Any:
        try:
            if order == "left":
                return merge_records(merge_records(a, b), c)
            return merge_records(a, merge_records(b, c))
        except ReducerConflict:
            return "conflict"

    assert both("left") == both("right")


@given(records)
def test_the_old_value_is_not_touched(old: dict[str, Any]) -> None:
    before = dict(old)
    merge_records(old, {"new": 1} if "new" not in old else {})
    assert old == before


def test_a_conflict_is_a_broken_invariant() -> None:
    with pytest.raises(BrokenInvariant, match="'a' was written twice"):
        merge_records({"a": 1}, {"a": 2})


@pytest.mark.parametrize(
    "text", ["ㅎㅇ", "ㅇㅇ", "ㄱㅅ!", "환불되나요", "hi ㅎㅎ", unicodedata.normalize("NFD", "주차 되나요?")]
)
def test_korean_is_korean_however_its_letters_are_written(text: str) -> None:
    assert language_of(text) == "ko"


@pytest.mark.parametrize("text", ["hello", "12:30", "", "The dish 비빔밥 is served in the restaurant", "こんにちは"])
def test_other_texts_are_not_called_korean(text: str) -> None:
    assert language_of(text) == "en"
