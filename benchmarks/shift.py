"""What changes at the house: a tool, a rule of the house and ways to ask that the shipped adapter has never seen.

A seeded grammar of requests with the call that is right for each, and the simulated operator, a program that knows it.
Wordings, names and dates of the ``test`` side stand in no request of the ``train`` side.

The rule of the house, which no request states: who celebrates sits in the hall, who comes on business in a booth, and
everybody else at the window, which is what the tool takes where nothing is said.
"""

# ruff: noqa: E501 - one wording a line reads better than a wrapped one

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from adapters.training.words import Side, Values, side_of
from state import JSON, Language

OPERATOR: Final = "simulated-operator"
GUEST: Final = "simulated-guest"
TODAY: Final = dt.date(2026, 11, 25)
DEFAULTS: Final[dict[str, dict[str, JSON]]] = {"reserve_table": {"hour": "19:00", "guests": 2, "area": "window"}}
SLANG: Final = 0.2
"""Share of requests that want an old tool in the house's own words."""

TABLE: Final[dict[Language, dict[Side, list[str]]]] = {
    "en": {
        "train": [
            "A table for {n} on {day} at {hour}, the name is {guest}.",
            "Please keep a table for {guest}, {n}, {day}, {hour}.",
            "{guest} would like to dine with us {day} at {hour}, {n}.",
            "Dinner for {n} under {guest}, {day} at {hour} please.",
            "Could you reserve a table in the restaurant for {guest}? {n}, {day}, {hour}.",
            "{n} for dinner, {day} at {hour}, name {guest}.",
            "Put {guest} down for a table, {n}, at {hour} on {day}.",
            "I want to eat in the restaurant {day} at {hour}. We are {n}. {guest}",
            "Restaurant, {day}, {hour}: {guest}, {n}.",
            "Seats for {n} at {hour} on {day}, guest {guest}.",
            "Can {guest} have dinner on {day}? {n}, at {hour}.",
            "Set a table for {n}: {guest}, {day}, {hour}.",
            "My name is {guest}, we need a table for {n} at {hour}, {day}.",
            "Table booking, guest {guest}, {day} {hour}, {n}",
        ],
        "test": [
            "{guest} is coming to eat on {day}, {n}, at {hour}.",
            "Is there a table free {day} at {hour}? {n}, in the name of {guest}.",
            "We would love supper in your restaurant: {n}, {hour}, {day}, {guest}.",
            "Save {n} places in the restaurant for {guest}, {day} around {hour}.",
            "For {guest}: a dinner table, {day}, {n}, {hour} sharp.",
            "Let me reserve for {n} on {day}. It would be {hour}, under {guest}.",
        ],
    },
    "ko": {
        "train": [
            "{day} {hour}에 {n} 자리 부탁드려요. 이름은 {guest}입니다.",
            "식당 예약이요. {guest}, {day} {hour}, {n}",
            "{guest} 이름으로 {day} {hour}에 {n} 식사 자리 잡아 주세요.",
            "{n}인데 {day} {hour}에 저녁 먹을 테이블 하나 주세요. {guest}입니다.",
            "{guest} 손님 식당 자리 {n}, {day} {hour}으로 잡아 줘",
            "레스토랑에 {day} {hour} {n} 테이블 예약해 주세요, {guest}",
            "{day} 저녁 {n} 식사 예약할게요. 시간은 {hour}, 이름은 {guest}.",
            "{guest}인데요, {day} {hour}에 {n} 자리 있으면 잡아 주세요.",
            "테이블 예약: {guest}, {n}, {day}, {hour}",
            "{hour}에 {n} 식당 자리 부탁해요. 날짜는 {day}, 예약자는 {guest}.",
            "{day}에 식당에서 {n} 밥 먹으려고요. {hour}, {guest}",
            "식사 자리 {n} 잡아 주세요. {guest}, {day} {hour}.",
            "{guest} 님이 {day} {hour}에 {n} 저녁 식사를 원하십니다.",
            "{n} 테이블이요. {day} {hour}, {guest} 이름으로.",
        ],
        "test": [
            "{guest} 님 {day} {hour} 만찬 자리 {n} 맡아 주세요.",
            "{day}에 {n} 갈 건데 식당 자리 될까요? {hour}쯤이고 {guest}예요.",
            "저녁 먹으러 {n} 갑니다. {guest}, {day}, {hour}.",
            "식당에 {guest} 앞으로 {n} 좌석을 {day} {hour}에 마련해 주세요.",
            "{day} {hour}, {n}, {guest}. 레스토랑 테이블이요.",
            "{guest} 명의로 {n} 테이블을 {day} {hour}에 맡길게요.",
        ],
    },
}
OCCASIONS: Final[dict[Language, dict[str, dict[Side, list[str]]]]] = {
    "en": {
        "hall": {
            "train": ["It is a birthday.", "For a birthday party.", "It is our anniversary.", "We celebrate an anniversary.", "Birthday dinner."],
            "test": ["It is her birthday!", "An anniversary dinner."],
        },
        "booth": {
            "train": ["A business dinner.", "It is a meeting with clients.", "Business meeting.", "I bring clients.", "Dinner with a client."],
            "test": ["It is on business.", "Two of us are clients."],
        },
        "window": {"train": ["", "", "", "With children.", "Nothing special."], "test": ["", "", "The children come, too."]},
    },
    "ko": {
        "hall": {
            "train": ["생일이에요.", "생일 파티입니다.", "결혼기념일이에요.", "기념일 저녁입니다.", "생일 식사예요."],
            "test": ["어머니 생일이거든요.", "기념일이라서요."],
        },
        "booth": {
            "train": ["거래처 식사예요.", "회의를 겸한 식사입니다.", "거래처 손님을 모십니다.", "업무 회의예요.", "거래처와 만나요."],
            "test": ["거래처 접대입니다.", "회의가 있어서요."],
        },
        "window": {"train": ["", "", "", "아이들도 와요.", "특별한 일은 없어요."], "test": ["", "", "아이와 함께요."]},
    },
}  # fmt: skip
"""Where they sit, and how it is heard in a request."""
STRIKE: Final[dict[Language, dict[Side, list[str]]]] = {
    "en": {
        "train": ["Strike {id} from the ledger.", "{id} is a washout, take it down.", "Wipe {id} off the board please", "Scratch {id}, they are not showing up.", "{id} fell through, void it."],
        "test": ["Void {id}, the party bailed.", "{id} is off, strike it.", "Rub {id} out of the ledger."],
    },
    "ko": {
        "train": ["{id} 장부에서 빼 주세요.", "{id} 펑크 났어요. 지워 주세요.", "{id} 노쇼래요, 내려 주세요.", "{id} 접수한 거 무르겠습니다.", "{id} 건 없애 줘"],
        "test": ["{id} 무르기로 했어요.", "장부의 {id} 지워 주세요.", "{id} 펑크래요, 빼 줘"],
    },
}  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """A request and the call that is right: the tool and its arguments as the toolbox reads them."""

    key: str
    language: Language
    kind: Literal["table", "slang"]
    text: str
    tool: str
    args: dict[str, JSON]


def requests(side: Side, n: int, seed: int) -> list[Asked]:
    """``n`` different requests, the same for the same seed; English and Korean take turns."""
    found: dict[str, Asked] = {}
    for number in _numbers():
        r = random.Random(f"shift:{seed}:{side}:{number}")
        language: Language = "en" if len(found) % 2 == 0 else "ko"
        made = (_slang if r.random() < SLANG else _table)(r, side, language, f"{side}-{number}")
        found.setdefault(made.text, made)
        if len(found) == n:
            return list(found.values())
    raise AssertionError


def _numbers() -> Iterator[int]:
    number = 0
    while True:
        yield number
        number += 1


def _slang(r: random.Random, side: Side, language: Language, key: str) -> Asked:
    table = Values(r, side, "en").pick(lambda: f"T-{r.randint(100, 999)}")
    text = r.choice(STRIKE[language][side]).replace("{id}", table)
    return Asked(key, language, "slang", text, "cancel_table", {"table": table})


def _table(r: random.Random, side: Side, language: Language, key: str) -> Asked:
    v = Values(r, side, language)
    day, said = _day(v)
    guests, people = _people(r, language)
    hour, minute = r.choice((17, 18, 18, 19, 19, 20, 20, 21, 21, 22)), r.choice((0, 0, 30))
    at = _hour(r, language, hour, minute)
    guest = v.guest()
    area = r.choice(("hall", "booth", "window"))
    slots = {"guest": guest, "day": said, "hour": at, "n": people}
    text = r.choice(TABLE[language][side])
    for name, value in slots.items():
        text = text.replace("{" + name + "}", value)
    occasion = r.choice(OCCASIONS[language][area][side])
    if occasion:
        text = f"{text}{'' if text.endswith(('.', '?')) else '.'} {occasion}"
    args: dict[str, JSON] = {"guest": guest, "day": day.isoformat(), "hour": at, "guests": guests, "area": area}
    return Asked(key, language, "table", text, "reserve_table", args)


def _day(v: Values) -> tuple[dt.date, str]:
    """A day of the next ten weeks, with its month named: no reading of it is in doubt."""
    while True:
        day = TODAY + dt.timedelta(days=v.rng.randrange(2, 70))
        said = v.date(day, v.rng.choice((0, 0, 2, 3) if v.language == "ko" else (0, 1, 2, 5)))
        if side_of(said) == v.side:
            return day, said


def _people(r: random.Random, language: Language) -> tuple[int, str]:
    n = r.choice((1, 2, 2, 2, 3, 3, 4, 4, 5, 6, 7, 8, 8, 9, 10, 12))
    if language == "ko":
        native = ("", "한", "두", "세", "네", "다섯", "여섯", "일곱", "여덟", "아홉")
        return n, r.choice([f"{n}명", f"{n}명", *([f"{native[n]} 명", f"{native[n]} 사람"] if n < 10 else [])])
    words = ("", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    noun = "person" if n == 1 else "people"
    return n, r.choice([f"{n} {noun}", f"{n} {noun}", *([f"{words[n]} {noun}"] if n < 10 else [])])


def _hour(r: random.Random, language: Language, hour: int, minute: int) -> str:
    if language == "ko":
        return r.choice((f"{hour}:{minute:02d}", f"{hour}시{f' {minute}분' if minute else ''}"))
    return r.choice((f"{hour}:{minute:02d}", f"{hour - 12}:{minute:02d} pm"))  # fmt: skip


# ------------------------------------------------------------------------------------------------------- the operator


def whole(tool: str, args: Mapping[str, JSON]) -> dict[str, JSON]:
    """Arguments with what the tool takes where nothing is said."""
    return {**DEFAULTS.get(tool, {}), **{key: value for key, value in args.items() if value is not None}}


def right(asked: Asked, tool: str, args: Mapping[str, JSON]) -> bool:
    """Whether a call is the one that is wanted."""
    return tool == asked.tool and whole(tool, args) == whole(asked.tool, asked.args)


def decide(asked: Asked, review: Mapping[str, Any]) -> dict[str, Any]:
    """What the simulated operator says: yes to what is right, an edit of what is nearly right, no to what is wrong.

    Nearly right is the right tool: all of its arguments can be edited. A question about what was said is refused.
    """
    tool, args = review["action"]["tool"], review["action"]["args"]
    if review["kind"] == "clarification" or tool != asked.tool:
        return {"type": "reject", "reason": "not what was asked for"}
    if right(asked, tool, args):
        return {"type": "approve"}
    return {"type": "edit", "edited_args": whole(asked.tool, asked.args)}
