"""How Korean says what tools have in English: the values of choices (``choices.txt``), the names of arguments.

Tools have choices like ``same_day`` and arguments like ``page_count``, and who asks says 당일 배송 and 쪽수. A base of
ten million numbers brings the two together for those that it has read of only. The lists hold what tools of many trades
have in common; what a house alone says, its tools declare (``effect(synonyms=…)``, titles, descriptions).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Final

ENDINGS: Final[Mapping[str, tuple[str, ...]]] = {
    "name": ("명", " 이름"), "number": (" 번호",), "no": (" 번호",), "id": (" 번호",), "ref": (" 번호",),
    "code": (" 코드", " 번호"), "count": (" 수", " 개수"), "date": ("일", " 날짜", " 일자"), "time": (" 시간", " 시각"),
    "type": (" 종류", " 유형"), "title": (" 제목",), "email": (" 이메일",), "phone": (" 전화번호", " 연락처"),
    "address": (" 주소",), "price": (" 가격",), "fee": ("비", " 요금"), "amount": (" 금액",), "level": (" 등급",),
    "location": (" 장소",),
}  # fmt: skip
"""What Korean puts behind a word for the last part of an argument's name: 건물명 for ``building_name``."""
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[\s_-]+")


def choice_words(value: str) -> tuple[str, ...]:
    """What Korean calls a value of a choice, the most usual first; none where it is not known."""
    return _listed("choices.txt").get(_key(value), ())


def argument_words(name: str) -> tuple[str, ...]:
    """What Korean calls an argument of this name, or a part of its name; none where it is not known."""
    key = _key(name)
    head, _, last = key.rpartition("_")
    made = (f"{word}{ending}" for word in _argument(head) if len(word) > 1 for ending in ENDINGS.get(last, ()))
    return tuple(dict.fromkeys((*_argument(key), *made)))


def _argument(key: str) -> tuple[str, ...]:
    listed = _listed("arguments.txt")
    return listed.get(key) or listed.get(key.removesuffix("s"), ())


def _key(name: str) -> str:
    """A name as the lists have it: ``pageCount`` and "Page count" are ``page_count``."""
    return "_".join(part.lower() for part in _CAMEL.split(name) if part)


@cache
def _listed(file: str) -> Mapping[str, tuple[str, ...]]:
    """A list by its English side."""
    found: dict[str, tuple[str, ...]] = {}
    for line in files(__package__).joinpath(file).read_text(encoding="utf-8").splitlines():
        english, _, korean = line.partition(" | ")
        found[english] = tuple(word.strip() for word in korean.split(","))
    return found


__all__ = ["argument_words", "choice_words"]
