"""Generated dialogues of the hotel front desk: calls, missing arguments, results. Korean and English.

A request is an opening (hundreds an intent and language, some for tests only, see ``wordings``) with a fragment for each
argument that the user gives, in changing order. Values come from ``words``.
"""

# ruff: noqa: E501 - one wording or rule a line reads better than a wrapped one

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from adapters.prompt import Turn, call_text, purpose
from adapters.training import qa, speech, wordings
from adapters.training.examples import Example, tool
from adapters.training.wordings import ASK
from adapters.training.words import Side, Values, choose, fill
from state import JSON, Language, ToolSpec

SEARCH = tool(
    "search_hotels", "Find hotels with a free room in a city.", "city, check_in?: date, check_out?: date, guests?: int"
)
BOOK = tool(
    "book_room",
    "Book a room in a hotel.",
    "hotel, guest, check_in: date, check_out: date, guests: int, room_type?: standard|deluxe|suite",
)
CANCEL = tool("cancel_booking", "Cancel a booking.", "booking_id, reason?")
REFUND = tool("issue_refund", "Pay money back for a booking.", "booking_id, amount: int, reason?")
MESSAGE = tool("send_message", "Send a message to a guest.", "to, text")
FIND = tool("find_booking", "Look up a booking.", "booking_id")
TOOLS: Final = [SEARCH, BOOK, CANCEL, REFUND, MESSAGE, FIND]
ROOMS: Final = {
    "ko": {
        "standard": "스탠다드룸 스탠다드 일반실".split(),
        "deluxe": "디럭스룸 디럭스".split(),
        "suite": "스위트룸 스위트".split(),
    },
    "en": {
        "standard": ["a standard room", "standard"],
        "deluxe": ["a deluxe room", "deluxe"],
        "suite": ["a suite", "the suite"],
    },
}


@dataclass
class Request:
    """What a user wants: the spoken form of each argument and its value in the call, in signature order."""

    tool: ToolSpec
    spoken: dict[str, str]
    values: dict[str, JSON]

    def required(self) -> list[str]:
        """Names of required arguments, in order."""
        return [str(name) for name in self.tool["parameters"]["required"]]


def request(v: Values, spec: ToolSpec) -> Request:
    """Draw values for ``spec``; optional arguments appear in about a third of the requests."""
    r = v.rng
    spoken: dict[str, str] = {}
    values: dict[str, JSON] = {}
    stay = v.stay()
    required = set(spec["parameters"]["required"])
    together = r.random() < 0.4
    for name in spec["parameters"]["properties"]:
        if name not in required and not (r.random() < 0.5 or (together and name in ("check_in", "check_out"))):
            continue
        spoken[name], values[name] = _draw(v, name, stay)
    if "check_in" not in values and "check_out" in values and "check_in" not in required:
        del spoken["check_out"], values["check_out"]
    return Request(spec, spoken, values)


def _draw(v: Values, name: str, stay: tuple[str, str]) -> tuple[str, JSON]:
    r = v.rng
    if name in ("amount", "guests"):
        return v.amount() if name == "amount" else v.guests()
    if name == "room_type":
        room = r.choice(("standard", "deluxe", "suite"))
        return r.choice(ROOMS[v.language][room]), room
    simple: dict[str, Callable[[], str]] = {
        "city": v.city,
        "hotel": v.hotel,
        "guest": v.guest,
        "booking_id": v.booking_id,
        "to": v.to,
        "check_in": lambda: stay[0],
        "check_out": lambda: stay[1],
        "reason": lambda: choose(r, r.choice(wordings.values(v.language, "reasons", v.side))),
        "text": lambda: _message(v),
    }
    text = simple[name]()
    return text, text


def _message(v: Values) -> str:
    """What a message says: a phrase of the desk, or any sentence of a house's rules."""
    r = v.rng
    if r.random() < 0.2:
        return qa.sentence(v, r.choice(qa.blocks(v.language))).rstrip(".")
    slots = {"hotel": v.hotel(), "guest": v.guest(), "date": v.stay()[0], "n": r.randint(1, 12)}
    return fill(r, r.choice(wordings.values(v.language, "texts", v.side)), **slots)


def utterance(v: Values, q: Request, given: list[str], *, heldout: bool = False) -> str:
    """The user's words that give the arguments ``given`` of ``q``: a sentence, sometimes with others around it."""
    r = v.rng
    opening = choose(r, wordings.opening(r, v.language, q.tool["name"], heldout=heldout))
    order = [g for g in given if g != "check_out" or "check_in" not in given]
    if "room_type" in order and r.random() < 0.5 and (roomy := _with_room(opening, q.spoken["room_type"])):
        opening, order = roomy, [g for g in order if g != "room_type"]
    if "check_out" in given and "check_out" not in order and r.random() < 0.15:
        order.append("check_out")
    if r.random() < 0.8:
        r.shuffle(order)
    late = ("text",) if v.language == "ko" else ("reason", "text")
    order.sort(key=lambda g: late.index(g) + 1 if g in late else 0)
    apart = [g for g in order if r.random() < 0.5] if r.random() < 0.25 else []
    whole = "check_in" in order and "check_out" in given and "check_out" not in order
    if whole and "check_in" in apart:
        apart.insert(apart.index("check_in") + 1, "check_out")
    parts = []
    for argument in order:
        if argument in apart:
            continue
        name = "stay" if argument == "check_in" and whole else argument
        rare = heldout and r.random() < 0.3
        parts.append(choose(r, r.choice(wordings.fragments(v.language, name, heldout=rare))))
    mark = r.choice((" ", " ", " ", ", ", " and ")) if v.language == "en" else r.choice((" ", " ", " ", ", "))
    words = speech.styled(v, opening).replace("{parts}", mark.join(parts))
    text = speech.around(v, words, [choose(r, _apart(v, g)) for g in apart], heldout=heldout)
    text = fill(r, text, **q.spoken)
    text = (
        re.sub(r"\s+([,.?:])", r"\1", " ".join(text.split())).replace(",.", ".").replace(",?", "?").replace(",,", ",")
    )
    return text[0].upper() + text[1:] if v.language == "en" and r.random() < 0.7 else text


def _apart(v: Values, argument: str) -> str:
    """A sentence of its own that gives an argument."""
    return v.rng.choice(wordings.lines(v.language, f"sentence.{argument}").train)


def _with_room(opening: str, room: str) -> str:
    """The opening with the kind of room before "room", "" where it speaks of none."""
    bare = re.sub(r"^(a|the) | room$|룸$", "", room)
    for word in ("a room", "방", "객실"):
        if word in opening:
            kind = f"a {bare} room" if word == "a room" else f"{bare} {word}"
            return opening.replace(word, kind, 1)
    return ""


def _asked(v: Values, name: str) -> str:
    """How the assistant asks for an argument: the model in its words, or the gate in its own."""
    gate = f"What should {name} be?" if v.language == "en" else f"{name} 값을 알려 주세요."
    return v.rng.choice((*ASK[v.language][name] * 3, gate))


def _reply(v: Values, name: str, spoken: str) -> str:
    return fill(v.rng, v.rng.choice(wordings.replies(v.language, name, v.side)), value=spoken)


def call(v: Values, spec: ToolSpec, *, heldout: bool = False) -> tuple[list[Turn], Request]:
    """A dialogue at whose end everything required has been said: at once, or after questions and their answers."""
    r = v.rng
    q = request(v, spec)
    required = q.required()
    if len(required) > 1 and r.random() < 0.3:
        asked = [name for name in required if name in r.sample(required, k=r.choice((1, 1, 2)))]
        turns = [Turn("user", utterance(v, q, [g for g in q.values if g not in asked], heldout=heldout))]
        for name in asked:
            turns += [Turn("assistant", _asked(v, name)), Turn("user", _reply(v, name, q.spoken[name]))]
        return turns, q
    dates = [name for name in q.values if name in ("check_in", "check_out")]
    if dates and r.random() < 0.06:
        return _cleared(v, q, r.choice(dates), heldout=heldout), q
    return [Turn("user", utterance(v, q, list(q.values), heldout=heldout))], q


VAGUE: Final[dict[Language, list[str]]] = {
    "en": [
        "next Friday",
        "this Sunday",
        "next Tuesday",
        "the 3rd",
        "the 21st",
        "next Monday",
        "this Thursday",
        "the 12th",
    ],
    "ko": ["다음 주 금요일", "이번 주 일요일", "3일", "21일", "다음 주 월요일", "12일", "금요일", "이번 주 목요일"],
}


def _cleared(v: Values, q: Request, name: str, *, heldout: bool) -> list[Turn]:
    """A dialogue in which a date was not clear at first, and the gate asked what it means."""
    vague = v.rng.choice(VAGUE[v.language])
    first = Request(q.tool, {**q.spoken, name: vague}, q.values)
    question = (
        f"“{vague}” is not clear enough. What exactly should {name} be? (Dates like 2026-12-03.)"
        if v.language == "en"
        else f"“{vague}”만으로는 분명하지 않습니다. {name} 값을 정확히 알려 주세요. (날짜는 2026-12-03처럼)"
    )
    turns = [Turn("user", utterance(v, first, list(q.values), heldout=heldout)), Turn("assistant", question)]
    return [*turns, Turn("user", _reply(v, name, q.spoken[name]))]


def ask(v: Values, spec: ToolSpec, *, heldout: bool = False) -> tuple[list[Turn], str, dict[str, JSON]]:
    """A request that lacks one to three required arguments; the first missing one is asked for.

    Sometimes one of them has been asked for already, and answered.
    """
    r = v.rng
    q = request(v, spec)
    required = q.required()
    missing = set(r.sample(required, k=min(len(required), r.choice((1, 1, 1, 2, 3)))))
    if "check_in" in missing and "check_out" in q.values and r.random() < 0.7:
        missing.add("check_out")
    turns = [Turn("user", utterance(v, q, [g for g in q.values if g not in missing], heldout=heldout))]
    if len(missing) > 1 and r.random() < 0.3:
        name = next(name for name in required if name in missing)
        turns += [Turn("assistant", _asked(v, name)), Turn("user", _reply(v, name, q.spoken[name]))]
        missing.remove(name)
    first = next(name for name in required if name in missing)
    return turns, first, {name: value for name, value in q.values.items() if name not in missing}


def offered(r: random.Random) -> list[ToolSpec]:
    """The front desk's tools; mostly all six in order, sometimes fewer or shuffled."""
    if r.random() < 0.6:
        return list(TOOLS)
    return r.sample(TOOLS, k=r.randint(2, 6))


def purposes(r: random.Random, k: int) -> list[tuple[str, str]]:
    """The purposes of some tools, and their names."""
    return [(purpose(tool), tool["name"]) for tool in r.sample(TOOLS, k=k)]


def past(v: Values) -> list[Turn]:
    """Earlier turns that have nothing to do with the present question."""
    r = v.rng
    if r.random() < 0.9:
        return []
    spec = r.choice(TOOLS)
    turns, q = call(v, spec)
    result = result_text(v, q)
    return [
        *turns[-1:],
        Turn("assistant", call_text(spec["name"], q.values)),
        Turn("ipython", result),
        Turn("assistant", result),
    ]


RESULTS: Final[dict[Language, dict[str, list[str]]]] = {
    "en": {
        "search_hotels": [
            "{n} hotels found in {city}: {hotel}, {hotel2}",
            "Hotels in {city}: {hotel} (from {price}), {hotel2}",
        ],
        "book_room": [
            "Booked: {new_id}, {hotel}, {guest}",
            "Booking {new_id} is confirmed for {guest} at {hotel}",
            "booking_id: {new_id}, status: confirmed, hotel: {hotel}",
        ],
        "cancel_booking": ["Booking {booking_id} is cancelled", "booking_id: {booking_id}, status: cancelled"],
        "issue_refund": [
            "{price} refunded for booking {booking_id}",
            "booking_id: {booking_id}, refunded: {amount}, status: done",
        ],
        "send_message": ["Message sent to {to}", "to: {to}, status: sent"],
        "find_booking": [
            "{booking_id}: {guest}, {hotel}, status confirmed",
            "booking_id: {booking_id}, hotel: {hotel}, guest: {guest}, status: cancelled",
            "No booking {booking_id} was found",
        ],
    },
    "ko": {
        "search_hotels": [
            "{city}에서 호텔 {n}곳을 찾았습니다: {hotel}, {hotel2}",
            "{city} 호텔: {hotel} ({price}부터), {hotel2}",
        ],
        "book_room": [
            "예약했습니다: {new_id}, {hotel}, {guest}",
            "{guest} 님의 {hotel} 예약 {new_id}이(가) 확정되었습니다",
            "booking_id: {new_id}, status: confirmed, hotel: {hotel}",
        ],
        "cancel_booking": ["예약 {booking_id}을(를) 취소했습니다", "booking_id: {booking_id}, status: cancelled"],
        "issue_refund": [
            "예약 {booking_id}에 {price}을 환불했습니다",
            "booking_id: {booking_id}, refunded: {amount}, status: done",
        ],
        "send_message": ["{to}에게 메시지를 보냈습니다", "to: {to}, status: sent"],
        "find_booking": [
            "{booking_id}: {guest} 님, {hotel}, 확정",
            "booking_id: {booking_id}, hotel: {hotel}, guest: {guest}, status: confirmed",
            "예약 {booking_id}을(를) 찾을 수 없습니다",
        ],
    },
}
REJECTED: Final[dict[Language, list[str]]] = {
    "en": ["Rejected by a person: {why}", "Rejected by a person", "The call was not approved: {why}", "Refused: {why}"],
    "ko": [
        "Rejected by a person: {why}",
        "담당자가 거절했습니다: {why}",
        "승인되지 않았습니다: {why}",
        "거절됨: {why}",
    ],
}
NOISE: Final = [
    "duration_ms: {n}",
    "trace: {word}{n}",
    "at: 2026-{m:02d}-{d:02d}T09:{n:02d}:00Z",
    "retry: false",
    "source: {word}",
    "cache: miss",
]


def result_text(v: Values, q: Request) -> str:
    """A plausible result of the call."""
    r = v.rng
    n = r.randint(1, 999) * 1000
    slots = {
        "guest": v.guest(),
        "hotel": v.hotel(),
        **q.values,
        "n": r.randint(2, 9),
        "new_id": v.booking_id(),
        "hotel2": v.hotel(),
    }
    price = f"{n:,}원" if v.language == "ko" else f"{n:,} won"
    return fill(r, r.choice(RESULTS[v.language][q.tool["name"]]), price=price, **slots)


def after_result(v: Values) -> tuple[list[Turn], list[str], int]:
    """A dialogue that ends with a tool result or a rejection: turns, its lines, the number of the line that answers."""
    r = v.rng
    turns, q = call(v, r.choice(TOOLS))
    if r.random() < 0.35:
        line = fill(r, r.choice(REJECTED[v.language]), why=r.choice(WHY[v.language]))
    else:
        line = result_text(v, q)
    noise = [
        n.format(n=r.randint(1, 59), word=v.word(), m=r.randint(1, 12), d=r.randint(1, 28))
        for n in r.sample(NOISE, k=r.choice((0, 0, 0, 1, 2, 3)))
    ]
    lines = noise[:]
    at = 0 if r.random() < 0.6 else r.randint(0, len(noise))
    lines.insert(at, line)
    turns = [*turns, Turn("assistant", call_text(q.tool["name"], q.values)), Turn("ipython", "\n".join(lines))]
    return turns, lines, at + 1


WHY: Final[dict[Language, list[str]]] = {
    "en": [
        "the amount is too high",
        "ask the guest first",
        "wrong date",
        "not our hotel",
        "the booking is already paid",
        "the guest must confirm",
        "no rooms left",
        "wrong person",
        "the manager has to sign this",
    ],
    "ko": [
        "금액이 너무 큽니다",
        "고객에게 먼저 확인하세요",
        "날짜가 틀렸습니다",
        "우리 호텔이 아닙니다",
        "이미 결제된 예약입니다",
        "남은 객실이 없습니다",
        "수신자가 다릅니다",
        "지배인 결재가 필요합니다",
    ],
}


def example(
    rng: random.Random,
    side: Side,
    language: Language,
    kind: str,
    *,
    heldout: bool = False,
    slice_: str = "",
    spec: ToolSpec | None = None,
) -> Example:
    """One front-desk example without passages (``corpus`` mixes them in). ``kind``: call, ask or tell."""
    v = Values(rng, side, language)
    spec = spec or rng.choice([BOOK, BOOK, *TOOLS])
    tools = offered(rng)
    if spec["name"] not in {t["name"] for t in tools}:
        tools[rng.randrange(len(tools))] = spec
    before = past(v)
    if kind == "call":
        turns, q = call(v, spec, heldout=heldout)
        return Example("call", slice_, language, before + turns, tools, [], spec["name"], q.values)
    if kind == "ask":
        turns, missing, values = ask(v, spec, heldout=heldout)
        question = rng.choice(ASK[language][missing])
        about = f"{spec['name']}.{missing}"
        return Example(
            "ask", slice_, language, before + turns, tools, [], arguments=values, about=about, question=question
        )
    turns, lines, n = after_result(v)
    return Example("tell", slice_, language, turns, tools, lines, n=n)
