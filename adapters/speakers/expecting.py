# ruff: noqa: E501 - one pattern a line reads better than a wrapped one
"""What kind of answer a question asks for, as far as its words say so: a year, a sum of money, so many metres, a person.

"When" wants a sentence that names a time which the question does not name itself, "how many nights" one with a number
of nights. This is a hint beside the model's own judgement (``speakers.lexical.worth``), never a filter: many answers
are said otherwise. What cannot be told from how it is written (a place, a reason, what something is called) is no kind
here: tried, it found no more answers (docs/adr/0052).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple


class Kind(NamedTuple):
    """A kind of answer: what it is called, and a pattern of how it is written."""

    name: str
    written: str


_MONTHS: Final = "january|february|march|april|may|june|july|august|september|october|november|december"
_DAYS: Final = "monday|tuesday|wednesday|thursday|friday|saturday|sunday"
_SAID: Final = (
    "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen"
    "|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|thousand|million|billion|trillion|dozen"
    "|half|third|quarter|once|twice|several|both|free"
)
_TENS: Final = "열|스물|서른|마흔|쉰|예순|일흔|여든|아흔"
_ONES: Final = "한|두|세|네|석|넉|서너|다섯|여섯|일곱|여덟|아홉"
_SPOKEN: Final = rf"(?<![가-힣])(?:(?:{_TENS})(?:{_ONES})?|스무|{_ONES}|수십|수백|수천|수만)(?=\s?[가-힣])"
_DAYS_SPOKEN: Final = "하루|이틀|사흘|나흘|닷새|엿새|이레|여드레|아흐레|열흘|보름"
_DIGITS: Final = r"(?<![\d,.])\d[\d,.]*+(?:\s?[십백천만억조여](?:\s?\d[\d,.]*+)?){0,6}"
_NUMBER: Final = rf"(?:{_DIGITS}|\b(?:{_SAID})\b(?:[ -](?:{_SAID})\b){{0,6}}|{_SPOKEN})"
"""Bounded everywhere: who writes a thousand numbers in a row is not gone through again from each of them."""
_COUNTED: Final = (
    "명|개|번|가지|차례|곳|권|편|층|마리|골|척|대|기|장|표|석|건|종|쪽|페이지|량|벌|켤레|그루|송이|잔|병|판|승|패|경기"
    "|팀|나라|국|줄|칸|자|글자|구|동|마디|라운드|바퀴|조|인|사람|배|집|호|회|세대|가구|부족|점"
)


def _of(units: str) -> str:
    """A number of such units; Latin ones end there."""
    return rf"{_NUMBER}[ -]?(?:{units})(?![a-z])"


def _how(nouns: str) -> str:
    """A Korean question for the measure itself: "길이는?", "비용은 얼마인가요?", not "비용은 누가 내나요?"."""
    return rf"(?:{nouns})[가-힣]{{0,2}}\s?(?:모두|대략|약|각각)?\s?(?:얼마|몇|어느 정도|\?|$)"


_ASKED: Final[tuple[tuple[str, str, str], ...]] = (
    ("span", rf"얼마 ?(?:동안|만에)|얼마나 오래|며칠|몇 ?(?:년|달|주|일|시간|분|초) ?(?:간|동안|만|째)|몇 ?(?:개월|주|시간|분|초|박)|{_how('기간')}|\bhow long\b|\bhow many (?:years|months|weeks|days|nights|hours|minutes|seconds)\b|\bduration\b", rf"{_of('년|해|개월|달|주|일|시간|분|초|박|years?|months?|weeks?|days?|nights?|hours?|minutes?|seconds?|decades?|centur(?:y|ies)|seasons?')}|{_DAYS_SPOKEN}"),
    ("year", r"몇 ?년(?:도|에|$|\?)|(?:어느|무슨) 해(?![가-힣])|(?:연도|년도)(?![가-힣]{3})|\b(?:what|which) year\b", r"\d{3,4}\s?년|\b[12]\d{3}\b|\d0s\b"),
    ("century", r"(?:몇|어느) ?세기|\b(?:what|which) (?:century|decade)\b", r"세기|년대|centur(?:y|ies)\b|\d0s\b"),
    ("month", r"몇 ?월|\b(?:what|which) month\b", rf"\d\s?월|\b(?:{_MONTHS})\b"),
    ("weekday", r"(?:무슨|어느|어떤) ?요일|\b(?:what|which) (?:weekday|day of the week)\b", rf"요일|평일|주말|\b(?:{_DAYS}|weekdays?|weekends?)\b"),
    ("clock", r"몇 ?시(?!간)|시각은|(?:시작|종료|출발|도착|마감) ?시간은|\bwhat time\b(?! of)|\bwhat hours?\b", r"\d\s?시(?!간)|\d{1,2}:\d\d|오전|오후|정오|자정|24 ?hours|\d\s?(?:am|pm|a\.m\.|p\.m\.)(?!\w)|o'clock|\b(?:noon|midnight)\b"),
    ("day", r"몇 ?일(?!간)|날짜|(?:날|일자|일시|생일)(?:은|는)|\b(?:what|which) (?:date|day)\b", rf"\d\s?일|요일|\b\d{{1,2}}(?:st|nd|rd|th)? (?:of )?(?:{_MONTHS})\b|\b(?:{_MONTHS}) \d|\b(?:{_DAYS})\b"),
    ("age", rf"{_how('나이|연령')}|몇 ?(?:살|세)(?![가-힣])|\bhow old\b|\b(?:what|which) age\b", rf"{_of('살|세|대|years?')}|\baged? \d|\bat \d\d?\b|\bage of\b"),
    ("time", r"언제(?!나)|(?:시기|때|시점|해)(?:은|는) ?(?:언제|\?|$)|\bwhen (?:is|are|was|were|do|does|did|will|can|may|must|should|has|had)\b|\b(?:until|till|since|by) (?:what|when)\b", rf"\d\s?(?:년|월|일|시|세기|학기|분기)|\d{{1,2}}:\d\d|오전|오후|정오|요일|매일|언제나|이듬해|같은 해|24 ?hours|\b[12]\d{{3}}\b|\d\s?(?:am|pm|a\.m\.|p\.m\.)(?!\w)|\bcentury\b|\d0s\b|\b(?:{_MONTHS}|{_DAYS}|noon|midnight)\b"),
    ("money", rf"{_how('금액|비용|가격|요금|상금|연봉|급여|월급|주급|액수|수익|매출|예산|이적료|벌금|자본금|보험[료금]|수수료|보증금|입장료|이용료|회비|한도액?|투자액|값|돈|손해')}|\bhow expensive\b|\bhow much (?:money|does\b.{0,60}\bcost|did\b.{0,60}\b(?:cost|pay|earn|raise))|\b(?:what|which) (?:is |was |were |are )?(?:the )?(?:[a-z]+ )?(?:price|fee|cost|salary|budget|fine|sum|revenue|profit|turnover|rent|deposit)\b", rf"[$£€¥₩]\s?\d|{_of('[가-힣]{0,4} ?(?:원|달러|유로|엔|파운드|위안|프랑|마르크|센트|냥|환|크론)|(?:[a-z]+ )?(?:won|dollars?|pounds?|euros?|yen|francs?|marks?|crowns?|cents?|pence|shillings?|guilders?|thalers?|florins?)')}|무료|\bfree\b"),
    ("length", rf"{_how('높이|길이|거리|깊이|너비|(?<![가-힣])폭|(?<![가-힣])키|둘레|직경|지름|해발')}|\bhow (?:far|tall|high|deep|wide|thick)\b|\b(?:what|which) (?:is |was )?(?:the )?(?:[a-z]+ )?(?:height|length|depth|width|distance|diameter|altitude|elevation)\b", _of(r"㎞|㎝|㎜|미터|킬로미터|센티미터|밀리미터|피트|마일|인치|해리|광년|k?m|cm|mm|(?:kilo|centi|milli)?met(?:er|re)s?|feet|foot|ft|(?:[a-z]+ )?miles?|yards?|inch(?:es)?")),
    ("weight", rf"{_how('무게|체중|중량')}|\bhow heavy\b|\bhow much .{0,60}\bweighs?\b|\bthe weight of\b", _of(r"㎏|톤|킬로|그램|파운드|kg|g|mg|t|tons?|tonnes?|(?:kilo|milli)?grams?|pounds?|lbs?|ounces?")),
    ("area", rf"{_how('면적|넓이')}|\b(?:what|which) (?:is|was) the (?:total )?(?:surface )?area\b", _of(r"㎢|㎡|제곱|평|헥타르|에이커|km2|m2|km²|m²|square|sq|hectares?|acres?")),
    ("share", rf"{_how('비율|확률|점유율|지지율|득표율|퍼센트|%')}|몇 ?(?:퍼센트|%|프로)|\b(?:percent|percentage|proportion|per cent)\b", r"\d\s?(?:%|％|퍼센트|할|percent\b|per cent\b)|분의|절반|\b(?:half|third|quarter|fifth|tenth)\b"),
    ("heat", rf"{_how('온도|기온|수온')}|몇 도(?![가-힣])|\b(?:what|which) (?:[a-z]+ )?temperature\b|\bhow (?:hot|cold|warm)\b", _of(r"도|℃|°|degrees")),
    ("speed", rf"{_how('속도|속력|시속')}|\bhow fast\b|\bspeed\b", r"시속|초속|노트|마하|km/h|㎞/h|m/s|\bmph\b|\bknots\b|per hour"),
    ("often", r"\bhow (?:often|frequently)\b|얼마나 자주|(?:얼마|며칠|몇 ?(?:년|달|개월|주|일|시간))(?:마다|에 한 번)", rf"매[일주월년달]|[날해]마다|{_NUMBER}\s?[가-힣]{{0,2}}마다|\d\s?[회번]|[한두세네] ?번|\b(?:once|twice|daily|weekly|monthly|annually|yearly|every|each|times)\b"),
    ("rank", r"몇 ?(?:위|등)(?![가-힣]*급)|순위는|등수|\b(?:what|which) (?:place|rank)\b", r"\d\s?[위등]|우승|[금은동]메달|최하위|선두|꼴찌|\b(?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|last|\d+(?:st|nd|rd|th))\b"),
    ("score", rf"몇 ?대 ?몇|{_how('점수|스코어')}|\bwhat (?:is|was) the (?:final )?score\b", r"\d\s?[-–:대]\s?\d|\d\s?점|\bpoints?\b"),
    ("number", rf"몇|얼마|{_how('인구|인원|횟수|개수|크기|용량|화소|[가-힣]수')}|\bhow (?:many|much|large|big)\b|\b(?:what|which) (?:is |was )?(?:the )?(?:number|population|size|capacity|total)\b", _NUMBER),
    ("person", r"\bwho(?:m|se)?\b|\b(?:which|what) (?:person|man|woman|king|queen|player)\b", r"(?-i:(?<!^)(?<![.!?] )\b[A-Z][a-z]+)"),
)  # fmt: skip
_COUNTER: Final = rf"몇 ?({_COUNTED})"
_THINGS: Final = r"\bhow many ((?:[a-z-]+ )?[a-z]{3,})"
_STEM_CHARS: Final = 5
_BETWEEN: Final = 3
"""Words that may stand between a number and what is counted: "twelve small wooden boats"."""


@lru_cache(maxsize=256)
def _pattern(text: str) -> re.Pattern[str]:
    """Compiled when it is first asked for (all of them take 60 ms), and some of them kept: things counted have no end."""
    return re.compile(text, re.IGNORECASE)


def expected(question: str) -> Kind | None:
    """The kind of answer that is asked for, None where the words do not say."""
    kinds = (Kind(name, written) for name, asked, written in _ASKED if _pattern(asked).search(question))
    kind = next(kinds, None)
    if kind is not None and kind.name == "number":
        if (counter := _pattern(_COUNTER).search(question)) is not None:
            return Kind("count", _of(rf"여?\s?{counter[1]}"))
        if (things := _pattern(_THINGS).search(question)) is not None:
            return Kind("count", _counted(things[1].lower()))
    return kind


def holds(kind: Kind, sentence: str, question: str) -> bool:
    """Whether a sentence names something of a kind that the question does not name itself."""
    told = question.casefold()
    return any(found.group().casefold() not in told for found in _pattern(kind.written).finditer(sentence))


def _counted(things: str) -> str:
    """A number of such English things, told by their beginnings."""
    stems = "|".join(re.escape(word[:_STEM_CHARS]) for word in things.split() if len(word) > 2)
    return rf"{_NUMBER}(?: [\w'-]+){{0,{_BETWEEN}}}? (?:{stems})"


__all__ = ["Kind", "expected", "holds"]
