# ruff: noqa: E501 - one pattern a line reads better than a wrapped one
"""What kind of answer a question asks for, as far as its words say so: a time, a number, a person.

"When" wants a sentence that names a time which the question does not name itself, "how many" one with a number. This
is a hint beside the model's own judgement (``speakers.lexical.worth``), never a filter: many answers are said otherwise.
"""

from __future__ import annotations

import re
from typing import Final, Literal

Kind = Literal["time", "number", "person"]

_MONTHS: Final = "january|february|march|april|may|june|july|august|september|october|november|december"
_DAYS: Final = "monday|tuesday|wednesday|thursday|friday|saturday|sunday"
_ASKS: Final[tuple[tuple[Kind, re.Pattern[str]], ...]] = (
    (
        "time",
        re.compile(
            r"\bwhen\b|\b(?:what|which|what's the) (?:year|date|day|month|century|decade|time|hours?)\b|\b(?:until|till) what"
            r"|언제|몇 ?(?:년|월|일|세기|시)(?!간)|연도|년도|날짜|(?:날|해|시기|때|시점)(?:은|는|\?|$)|시간은",
            re.IGNORECASE,
        ),
    ),
    (
        "number",
        re.compile(
            r"\bhow (?:many|much|old|long|far|large|big|tall|high|deep|fast|often|expensive)\b"
            r"|\b(?:what|which) (?:number|percent|percentage|amount|population|age|size|score|price|fee)\b"
            r"|몇|얼마|인구|비율|퍼센트|면적|높이|길이|액수|금액|요금|횟수|수는",
            re.IGNORECASE,
        ),
    ),
    ("person", re.compile(r"\bwho(?:m|se)?\b|\b(?:which|what) (?:person|man|woman|king|queen|player)\b", re.IGNORECASE)),
)  # fmt: skip
_NUMBER: Final = re.compile(
    r"\d[\d,.:]*|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|hundred|thousand|million|billion|half"
    r"|third|quarter|once|twice|dozen|free)\b|(?:한|두|세|네) ?(?:명|개|번|가지|차례|살|곳|편|권)|다섯|여섯|일곱|여덟|아홉"
    r"|수십|수백|무료",
    re.IGNORECASE,
)
_TIME: Final = re.compile(
    rf"\b[12]\d{{3}}\b|\d+\s?(?:년|월|일|시|세기)|\d{{1,2}}:\d\d|\d\s?(?:am|pm|a\.m\.|p\.m\.)(?!\w)|\bcentury\b|\d0s\b"
    rf"|\b(?:{_MONTHS}|{_DAYS}|noon|midnight)\b|오전|오후|요일|매일|언제나|24 ?hours",
    re.IGNORECASE,
)
_NAME: Final = re.compile(r"(?<!^)(?<![.!?] )\b[A-Z][a-z]+")


def expected(question: str) -> Kind | None:
    """The kind of answer that is asked for, None where the words do not say."""
    return next((kind for kind, asks in _ASKS if asks.search(question)), None)


def holds(kind: Kind, sentence: str, question: str) -> bool:
    """Whether a sentence names something of a kind that the question does not name itself."""
    if kind == "person":
        return any(name.group() not in question for name in _NAME.finditer(sentence))
    pattern, told = (_TIME if kind == "time" else _NUMBER), question.casefold()
    return any(found.group().casefold() not in told for found in pattern.finditer(sentence))
