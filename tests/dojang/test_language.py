"""Korean is complete, and says the same things."""

from __future__ import annotations

import re
import string

import pytest

from dojang.language import catalogue
from dojang.visible import visible
from tests.dojang.messages import helps, marked

SAME = {"PostgreSQL", "Python"}


def fields(text: str) -> set[str]:
    return {name for _literal, name, _spec, _conversion in string.Formatter().parse(text) if name}


def test_every_text_has_korean() -> None:
    korean = catalogue("cli", "ko").gettext
    texts = marked() | helps()
    assert len(texts) > 150
    missing = [text for text in texts if korean(text) == text and text not in SAME]
    assert missing == []


def test_korean_texts_have_the_same_blanks_and_commands() -> None:
    korean = catalogue("cli", "ko").gettext
    for text in marked():
        assert fields(korean(text)) == fields(text), text
        assert set(re.findall(r"`[^`]+`", korean(text))) == set(re.findall(r"`[^`]+`", text)), text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("남산스테이 👩‍👧 한글\n\ttab", "남산스테이 👩‍👧 한글\n\ttab"),
        ("a\x1b[31mb", "a\\u{1b}[31mb"),
        ("a\u202eb\u2066c", "a\\u{202e}b\\u{2066}c"),
        ("a\rb\x00\x9b", "a\\u{d}b\\u{0}\\u{9b}"),
        ("zero\u200bwidth\ufeff", "zero\\u{200b}width\\u{feff}"),
        ("\udcff", "\\u{dcff}"),
    ],
)
def test_what_hides_or_moves_text_is_written_out(text: str, shown: str) -> None:
    assert visible(text) == shown
