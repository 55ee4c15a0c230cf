"""Invented tools of many domains and invented facts: what the base learns before it ever sees the front desk.

Tool and argument names are drawn anew for every example, so that a call can only be written by reading the
signature and the request. Facts and questions share rare words, so that an answer can only be found by matching.
"""

# ruff: noqa: E501 - one wording or rule a line reads better than a wrapped one

from __future__ import annotations

import json
import random
import re
from dataclasses import replace
from typing import Final

from adapters.prompt import Turn, call_text
from adapters.training.examples import Example, tool
from adapters.training.words import Side, Values, fill
from state import JSON, Language, ToolSpec

VERBS: Final = {
    "create": ("create", "만들어"), "open": ("open", "열어"), "close": ("close", "닫아"), "send": ("send", "보내"), "add": ("add", "추가해"),
    "delete": ("delete", "지워"), "update": ("update", "고쳐"), "check": ("check", "확인해"), "find": ("find", "찾아"), "order": ("order", "주문해"),
    "start": ("start", "시작해"), "stop": ("stop", "멈춰"), "assign": ("assign", "맡겨"), "print": ("print", "인쇄해"), "move": ("move", "옮겨"),
    "pay": ("pay", "결제해"), "report": ("report", "보고해"), "record": ("record", "기록해"), "schedule": ("schedule", "잡아"), "approve": ("approve", "승인해"),
}  # fmt: skip
NOUNS: Final = {
    "invoice": "송장", "ticket": "티켓", "order": "주문", "meeting": "회의", "task": "업무", "file": "파일", "parcel": "소포", "loan": "대출",
    "course": "강좌", "car": "차량", "table": "자리", "recipe": "요리법", "alarm": "알람", "note": "메모", "contract": "계약", "visit": "방문",
    "repair": "수리", "survey": "설문", "playlist": "재생목록", "delivery": "배송", "patient": "환자", "lesson": "수업", "stock": "재고", "event": "행사",
}  # fmt: skip
ARGUMENTS: Final = {
    "customer": "고객", "title": "제목", "owner": "담당자", "address": "주소", "phone": "전화번호", "email": "이메일", "code": "코드", "item": "품목",
    "place": "장소", "topic": "주제", "note": "메모", "product": "상품", "room": "방", "name": "이름", "user": "사용자", "company": "회사",
    "amount": "금액", "count": "개수", "people": "인원", "price": "가격", "minutes": "분", "size": "크기", "quantity": "수량", "level": "단계",
    "date": "날짜", "due": "마감일", "start": "시작일", "end": "종료일", "day": "요일", "color": "색상", "mode": "방식", "priority": "우선순위",
}  # fmt: skip
INTS: Final = {"amount", "count", "people", "price", "minutes", "size", "quantity", "level"}
DATES: Final = {"date", "due", "start", "end", "day"}
ENUMS: Final = {
    "color": {"red": "빨강", "blue": "파랑", "green": "초록", "black": "검정"},
    "mode": {"fast": "빠르게", "slow": "천천히", "normal": "보통"},
    "priority": {"low": "낮음", "high": "높음", "urgent": "긴급"},
}
ASK: Final[dict[Language, list[str]]] = {"en": ["What is the {arg}?"], "ko": ["{arg}을(를) 알려 주시겠어요?"]}
ATTRIBUTES: Final = {
    "price": "가격", "height": "높이", "owner": "주인", "colour": "색", "weight": "무게", "age": "나이", "address": "주소", "capacity": "정원",
    "opening time": "개장 시간", "founder": "설립자", "length": "길이", "password": "비밀번호", "fee": "요금", "manager": "지배인", "phone number": "전화번호",
    "deadline": "마감", "discount": "할인율", "nickname": "별명", "speed": "속도", "birthday": "생일", "origin": "원산지", "flavour": "맛",
}  # fmt: skip


def spec(r: random.Random) -> ToolSpec:
    """An invented tool; its description is its verb and its noun."""
    verb, noun = r.choice(list(VERBS)), r.choice(list(NOUNS))
    words = r.sample(list(ARGUMENTS), k=r.choice((1, 2, 2, 3, 3, 4)))
    parts = []
    for i, word in enumerate(words):
        kind = (
            ": int"
            if word in INTS
            else ": date"
            if word in DATES
            else f": {'|'.join(ENUMS[word])}"
            if word in ENUMS
            else ""
        )
        parts.append(word + ("?" if i and r.random() < 0.25 else "") + kind)
    name = r.choice(
        (f"{verb}_{noun}", f"{noun}_{verb}", f"{verb}_{noun}_{r.choice('abcxyz')}", f"{verb}{noun.title()}")
    )
    return tool(name, f"{verb.title()} {r.choice(('a', 'the'))} {noun}", ", ".join(parts))


def _value(v: Values, word: str) -> tuple[str, JSON]:
    r = v.rng
    if word in INTS:
        n = r.choice((r.randint(1, 99), r.randint(100, 9999), r.randint(1, 99) * 1000))
        return r.choice((str(n), f"{n:,}")), n
    if word in ENUMS:
        english = r.choice(list(ENUMS[word]))
        return (ENUMS[word][english] if v.language == "ko" else english), english
    if word in DATES:
        day = v.stay()[0]
        return day, day
    kinds = {
        "email": v.email,
        "phone": v.phone,
        "code": v.booking_id,
        "place": v.city,
        "address": v.hotel,
        "room": v.hotel,
    }
    people = {"customer", "owner", "name", "user"}
    draw = (
        v.guest
        if word in people
        else kinds.get(word, lambda: " ".join(v.word() for _ in range(r.choice((1, 1, 2, 3)))))
    )
    text = draw()
    return text, text


PAIRS: Final[dict[Language, list[str]]] = {
    "en": ["{a} {x}", "{a}: {x}", "with {a} {x}", "the {a} is {x}", "{a} = {x}", "{x} as {a}"],
    "ko": ["{a} {x}", "{a}: {x}", "{a}은(는) {x}", "{a}을(를) {x}으로(로)", "{x}을(를) {a}으로(로)"],
}
REQUESTS: Final[dict[Language, list[str]]] = {
    "en": ["{do} {p}", "Please {do}, {p}.", "Can you {do} {p}?", "{p}. {do} please", "I want to {do} {p}"],
    "ko": ["{do} 주세요. {p}", "{p} {do} 주세요", "{p}. {do} 줘", "{p}, {do} 주시겠어요?"],
}


def calls(
    rng: random.Random,
    side: Side,
    language: Language,
    *,
    missing: bool = False,
    tools: list[ToolSpec] | None = None,
    name: str = "",
) -> Example:
    """A request for an invented tool: the call, or (``missing``) the question for the first required argument that lacks.

    ``tools`` and ``name`` fix what is offered and wanted; else both are invented.
    """
    v = Values(rng, side, language)
    if tools is None:
        made = [spec(rng) for _ in range(rng.choice((1, 2, 3, 4)))]
        tools = list({t["name"]: t for t in made}.values())
        name = rng.choice(tools)["name"]
    wanted = next(t for t in tools if t["name"] == name)
    verb, noun = (word.lower() for word in re.split(r" (?:a|the) ", wanted["description"]))
    required = list(wanted["parameters"]["required"])
    lacks = set(rng.sample(required, k=rng.randint(1, min(2, len(required))))) if missing else set()
    values: dict[str, JSON] = {}
    spoken = []
    for word in wanted["parameters"]["properties"]:
        if word in lacks or (word not in required and rng.random() < 0.5):
            continue
        text, values[word] = _value(v, word)
        label = ARGUMENTS[word] if language == "ko" else word
        spoken.append(fill(rng, rng.choice(PAIRS[language]), a=label, x=text))
    rng.shuffle(spoken)
    do = f"{NOUNS[noun]} {VERBS[verb][1]}" if language == "ko" else f"{verb} {rng.choice(('a', 'the'))} {noun}"
    text = rng.choice(REQUESTS[language]).replace("{do}", do).replace("{p}", ", ".join(spoken)).strip(" ,.")
    turns = [Turn("user", text)]
    if not missing:
        return Example("call", "generic", language, turns, tools, [], wanted["name"], values)
    first = next(word for word in required if word in lacks)
    question = fill(rng, rng.choice(ASK[language]), arg=ARGUMENTS[first] if language == "ko" else first)
    return Example(
        "ask",
        "generic",
        language,
        turns,
        tools,
        [],
        arguments=values,
        about=f"{wanted['name']}.{first}",
        question=question,
    )


def facts(rng: random.Random, side: Side, language: Language, *, abstain: bool = False) -> Example:
    """A question about an invented thing; wrong sentences share its name or its attribute."""
    return next(e for _ in range(99) for e in fact_episode(rng, side, language) if (e.n == 0) == abstain)


def fact_episode(rng: random.Random, side: Side, language: Language) -> list[Example]:
    """Questions about some of the facts that are given, and about some that are not."""
    v = Values(rng, side, language)
    things = [v.word().title() if language == "en" else v.word() for _ in range(3)]
    kinds = rng.sample(list(ATTRIBUTES), k=6)
    pairs = sorted({(t, a) for t in things for a in kinds})
    rng.shuffle(pairs)
    size = rng.choice((3, 4, 6, 8, 10))
    given, absent = pairs[:size], pairs[size:]
    lines = [_fact(v, *p) for p in given]
    asked = [(p, n + 1) for n, p in enumerate(given)]
    asked = rng.sample(asked, k=min(len(asked), rng.choice((2, 3, 4))))
    asked += [(p, 0) for p in absent[: rng.choice((0, 1, 1))]]
    rng.shuffle(asked)
    forms = (
        [
            "What is the {a} of {t}?",
            "{t}: {a}?",
            "Tell me the {a} of {t}.",
            "Which {a} does {t} have?",
            "I want to know {t}'s {a}",
        ]
        if language == "en"
        else ["{t}의 {a}은(는) 무엇인가요?", "{t} {a} 알려 주세요", "{t}은(는) {a}이(가) 어떻게 되나요?", "{t}의 {a}?"]
    )
    out = []
    for (thing, kind), n in asked:
        a = ATTRIBUTES[kind] if language == "ko" else kind
        turns = [Turn("user", fill(rng, rng.choice(forms), t=thing, a=a))]
        out.append(Example("choose" if n else "abstain", "generic", language, turns, [], lines, n=n))
    return out


def _fact(v: Values, thing: str, attribute: str) -> str:
    r = v.rng
    value = r.choice((v.word(), f"{v.word()} {v.word()}", str(r.randint(1, 9999)), f"{r.randint(1, 900)},000"))
    if v.language == "en":
        forms = [
            "The {a} of {t} is {x}.",
            "{t} has the {a} {x}.",
            "{t}'s {a}: {x}.",
            "For {t}, the {a} is {x}.",
            "{x} is the {a} of {t}.",
        ]
        return fill(r, r.choice(forms), a=attribute, t=thing, x=value)
    forms = [
        "{t}의 {a}은(는) {x}입니다.",
        "{t}은(는) {a}이(가) {x}입니다.",
        "{t} {a}: {x}.",
        "{x}이(가) {t}의 {a}입니다.",
    ]
    return fill(r, r.choice(forms), a=ATTRIBUTES[attribute], t=thing, x=value)


LEADS: Final[dict[Language, list[str]]] = {
    "en": ["What about", "Where is", "Is there", "How is", "Tell me about"],
    "ko": ["그러면", "혹시", "언제", "어디", "얼마나"],
}


def overlap(rng: random.Random, side: Side, language: Language) -> Example:
    """Sentences of invented words; the question takes some words of one of them in another order."""
    v = Values(rng, side, language)
    vocabulary = [v.word() for _ in range(rng.choice((16, 24, 32)))]
    rows = [rng.sample(vocabulary, k=rng.randint(4, 8)) for _ in range(rng.choice((3, 4, 6, 8)))]
    at = rng.randrange(len(rows))
    lead = rng.choice(LEADS[language])
    picked = rng.sample(rows[at], k=rng.choice((2, 3, 3)))
    question = f"{lead} {' '.join(picked)}?"
    lines = [" ".join(row).capitalize() + "." for row in rows]
    return Example("choose", "generic", language, [Turn("user", question)], [], lines, n=at + 1)


TOOL_NAMES: Final = {
    "search_hotels": ["find_stays", "list_hotels", "hotel_search", "lookup_hotels", "search_rooms", "find_hotel"],
    "book_room": ["reserve_room", "create_reservation", "make_booking", "room_booking", "new_reservation", "reserve"],
    "cancel_booking": ["cancel_reservation", "drop_booking", "void_reservation", "booking_cancel", "remove_booking"],
    "issue_refund": ["refund_payment", "pay_back", "refund", "create_refund", "return_money"],
    "send_message": ["send_text", "message_guest", "notify", "write_message", "send_note"],
    "find_booking": ["get_booking", "lookup_reservation", "booking_status", "show_booking", "get_reservation"],
}
ARGUMENT_NAMES: Final = {
    "city": ["town", "place", "location", "city"], "hotel": ["property", "hotel_name", "house", "hotel"], "guest": ["name", "guest_name", "customer", "guest"],
    "check_in": ["start", "arrival", "from_date", "check_in"], "check_out": ["end", "departure", "to_date", "check_out"], "guests": ["people", "persons", "party_size", "guests"],
    "room_type": ["room", "category", "room_type"], "booking_id": ["id", "reservation", "number", "booking_id"], "amount": ["sum", "money", "amount"],
    "reason": ["why", "cause", "reason"], "to": ["recipient", "receiver", "to"], "text": ["body", "message", "text"],
}  # fmt: skip


def disguised(rng: random.Random, example: Example) -> Example:
    """A front-desk example with other tool and argument names: what the base may see of the front desk."""
    names = {old: rng.choice(new) for old, new in TOOL_NAMES.items()}
    arguments = {old: rng.choice(new) for old, new in ARGUMENT_NAMES.items()}

    def turn(t: Turn) -> Turn:
        if not (t.role == "assistant" and t.content.startswith('{"name"')):
            return t
        value = json.loads(t.content)
        return Turn(t.role, call_text(names[value["name"]], {arguments[k]: x for k, x in value["parameters"].items()}))

    def renamed(old: ToolSpec) -> ToolSpec:
        schema = old["parameters"]
        parameters = {
            "type": "object",
            "properties": {arguments[k]: x for k, x in schema["properties"].items()},
            "required": [arguments[k] for k in schema["required"]],
        }
        return {**old, "name": names[old["name"]], "parameters": parameters}

    tool_name, _, argument = example.about.partition(".")
    return replace(
        example,
        turns=[turn(t) for t in example.turns],
        tools=[renamed(t) for t in example.tools],
        name=names.get(example.name, ""),
        arguments={arguments[k]: x for k, x in example.arguments.items()},
        about=f"{names[tool_name]}.{arguments[argument]}" if argument else "",
    )
