"""The fast way to canonical JSON gives the bytes of RFC 8785's own library, for whatever JSON can say."""

from __future__ import annotations

from typing import Any

import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from checkpoints.audit.canonical import canonical

TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
)
TREES = st.recursive(LEAVES, lambda t: st.lists(t, max_size=3) | st.dictionaries(TEXTS, t, max_size=4), max_leaves=12)


@given(TREES)
@example({"\ufb33": 1, "\U0001f600": 2, "\u20ac": 3})  # UTF-16 sorts these otherwise than UTF-8
@example({"b": 1e21, "a": 0.1, "c": -0.0, "": '\x7f\x00\x1f\b\t\n\f\r"\\/\u2028한글'})
@example([1, {"a": [True, None, "x"]}, (2**53) - 1])
def test_the_same_bytes(value: Any) -> None:
    assert canonical(value) == rfc8785.dumps(value)


@pytest.mark.parametrize("value", [2**53, "\ud800", {"a": [-(2**53)]}, float("nan"), {1: 2}])
def test_what_has_no_canonical_form_is_refused_in_the_same_words(value: Any) -> None:
    with pytest.raises(rfc8785.CanonicalizationError) as theirs:
        rfc8785.dumps(value)
    with pytest.raises(type(theirs.value)) as ours:
        canonical(value)
    assert str(ours.value) == str(theirs.value)
