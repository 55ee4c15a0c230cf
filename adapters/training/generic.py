"""Invented facts, and the front desk under other names: what the base learns before it ever sees the front desk.

Facts and questions share rare words, so that an answer can only be found by matching.
"""

# ruff: noqa: E501 - one wording or rule a line reads better than a wrapped one

from __future__ import annotations

import random
from dataclasses import replace
from typing import Final

from adapters.prompt import Turn, call_text, called
from adapters.training.examples import Example
from adapters.training.words import Side, Values, fill
from state import Language, ToolSpec

ATTRIBUTES: Final = {
    "price": "가격", "height": "높이", "owner": "주인", "colour": "색", "weight": "무게", "age": "나이", "address": "주소", "capacity": "정원",
    "opening time": "개장 시간", "founder": "설립자", "length": "길이", "password": "비밀번호", "fee": "요금", "manager": "지배인", "phone number": "전화번호",
    "deadline": "마감", "discount": "할인율", "nickname": "별명", "speed": "속도", "birthday": "생일", "origin": "원산지", "flavour": "맛",
}  # fmt: skip


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
        call = called(t.content) if t.role == "assistant" else None
        if call is None:
            return t
        return Turn(t.role, call_text(names[call[0]], {arguments[k]: x for k, x in call[1].items()}))

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
