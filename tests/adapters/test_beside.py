"""Which sentences are told together with the one that answers: never one of another document, never unasked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.speakers.beside import MOST, together
from adapters.speakers.evidence import Evidence

LONG = 40
NATS = st.floats(-40, 12)
SHARES = st.floats(0, 3)


def row(n: int, *, passage: str = "p", document: str = "rules.md") -> Evidence:
    """The ``n``-th sentence of its document, a character after the one before."""
    return Evidence(f"Sentence {n}.", passage, document, n * (LONG + 1), n * (LONG + 1) + LONG)


def test_what_is_as_alike_and_stands_beside_it_is_told_in_the_order_of_the_document() -> None:
    rows = [row(2), row(0), row(1), row(7, passage="q")]
    assert together(0, rows, [4.0, 3.0, 4.0, -18.0], [1.0, 1.0, 1.0, 0.1], 0.5) == [1, 2, 0]


def test_what_is_far_behind_by_its_words_or_not_alike_is_left_out() -> None:
    rows = [row(0), row(1), row(2)]
    assert together(0, rows, [4.0, 4.0, -15.0], [1.9, 0.6, 1.8], 0.5) == [0]


def test_another_documents_sentence_is_never_told_with_it() -> None:
    rows = [row(0), row(1, document="other.md")]
    assert together(0, rows, [9.0, 9.0], [1.0, 1.0], 0.01) == [0]


def test_where_a_sentence_stands_counts() -> None:
    beside, elsewhere = [row(0), row(1)], [row(0), row(9, passage="q")]
    assert together(0, beside, [1.0, -2.0], [1.0, 1.0], 0.5) == [0, 1]
    assert together(0, elsewhere, [1.0, -2.0], [1.0, 1.0], 0.5) == [0]


def test_nobody_who_asked_for_none_is_told_more_than_one() -> None:
    assert together(1, [row(0), row(1)], [9.0, 9.0], [1.0, 1.0], 0.0) == [1]


@given(st.lists(st.tuples(NATS, SHARES, st.sampled_from(["a", "b"])), min_size=1, max_size=14), st.data())
def test_the_chosen_one_is_always_told_with_few_of_its_document(
    found: list[tuple[float, float, str]], data: st.DataObject
) -> None:
    chosen = data.draw(st.integers(0, len(found) - 1))
    rows = [row(n, document=document) for n, (_, _, document) in enumerate(found)]
    told = together(chosen, rows, [a for a, _, _ in found], [s for _, s, _ in found], data.draw(st.floats(0, 1)))
    assert chosen in told
    assert 1 <= len(told) <= MOST
    assert {rows[i].document for i in told} == {rows[chosen].document}
    assert [rows[i].start for i in told] == sorted(rows[i].start for i in told)


@pytest.mark.parametrize("least", [0.2, 0.5, 0.9])
def test_who_asks_for_more_certainty_is_told_no_more(least: float) -> None:
    rows, alike, shared = [row(n) for n in range(6)], [3.0, 2.0, 0.0, -4.0, -9.0, -20.0], [1.0, 0.9, 1.1, 0.8, 1.0, 0.4]
    assert set(together(0, rows, alike, shared, least)) >= set(together(0, rows, alike, shared, min(1.0, least + 0.09)))
