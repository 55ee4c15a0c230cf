"""The lists of what Korean calls choices and arguments: well formed, and found however code writes a name."""

from __future__ import annotations

import re
import unicodedata
from importlib.resources import files

import pytest

from adapters.forms import lexicon
from adapters.forms.lexicon import argument_words, choice_words

LISTS = ["choices.txt", "arguments.txt"]


@pytest.mark.parametrize("name", LISTS)
def test_a_list_has_a_name_a_line_and_its_words(name: str) -> None:
    lines = files(lexicon).joinpath(name).read_text(encoding="utf-8").splitlines()
    names = [line.partition(" | ")[0] for line in lines]
    assert len(lines) > 1_000
    assert len(set(names)) == len(names)
    for line in lines:
        assert re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)* \| [^|]+", line), line
        words = line.partition(" | ")[2].split(", ")
        assert all(word == unicodedata.normalize("NFC", word).strip() != "" for word in words), line
        assert len({"".join(word.split()) for word in words}) == len(words), line


@pytest.mark.parametrize("value", ["same_day", "Same day", "sameDay", "SAME-DAY", "same-day"])
def test_a_choice_is_found_however_it_is_written(value: str) -> None:
    assert "당일 배송" in choice_words(value)


def test_an_argument_is_called_by_its_whole_name_or_by_its_last_part() -> None:
    assert "쪽수" in argument_words("page_count")
    assert argument_words("pageCount") == argument_words("page_count")
    assert argument_words("bicycles") == argument_words("bicycle") != ()
    assert "건물 이름" in argument_words("building_name"), "made of building and name"
    assert argument_words("") == argument_words("frobnication") == argument_words("frobnication_name") == ()
    assert choice_words("") == ()
