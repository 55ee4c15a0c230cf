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

from adapters.prompt import Turn, call_text
from adapters.training.examples import Example, tool
from adapters.training.wordings import ASK, FRAGMENTS, REASONS, REPLIES, TEXTS, openings
from adapters.training.words import Side, Values, fill
from state import JSON, Language, ToolSpec

SEARCH = tool("search_hotels", "Search hotels in a city", "city, check_in?: date, check_out?: date, guests?: int")
BOOK = tool(
    "book_room",
    "Book a room for a guest",
    "hotel, guest, check_in: date, check_out: date, guests: int, room_type?: standard|deluxe|suite",
)
CANCEL = tool("cancel_booking", "Cancel a booking", "booking_id, reason?")
REFUND = tool("issue_refund", "Pay money back for a booking", "booking_id, amount: int, reason?")
MESSAGE = tool("send_message", "Send a message to a guest", "to, text")
FIND = tool("find_booking", "Look up a booking by its id", "booking_id")
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
        if name not in required and not (r.random() < 0.35 or (together and name in ("check_in", "check_out"))):
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
        "reason": lambda: r.choice(REASONS[v.language]),
        "text": lambda: fill(
            r, r.choice(TEXTS[v.language]), hotel=v.hotel(), guest=v.guest(), date=v.stay()[0], n=r.randint(1, 12)
        ),
    }
    text = simple[name]()
    return text, text


def utterance(v: Values, q: Request, given: list[str], *, heldout: bool = False) -> str:
    """The user's sentence that gives the arguments ``given`` of ``q``."""
    r = v.rng
    opening = r.choice(openings(v.language, q.tool["name"], heldout=heldout))
    order = [g for g in given if g != "check_out" or "check_in" not in given]
    if "check_out" in given and "check_out" not in order and r.random() < 0.15:
        order.append("check_out")
    if r.random() < 0.8:
        r.shuffle(order)
    late = ("text",) if v.language == "ko" else ("reason", "text")
    order.sort(key=lambda g: late.index(g) + 1 if g in late else 0)
    parts = []
    for argument in order:
        whole = argument == "check_in" and "check_out" in given and "check_out" not in order
        pieces = FRAGMENTS[v.language]["stay" if whole else argument]
        parts.append(r.choice(pieces[-1:] if heldout and r.random() < 0.3 else pieces[:-1]))
    text = fill(r, opening.replace("{parts}", " ".join(parts)), **q.spoken)
    text = re.sub(r"\s+([,.?:])", r"\1", " ".join(text.split())).replace(",.", ".").replace(",?", "?")
    return text[0].upper() + text[1:] if v.language == "en" and r.random() < 0.7 else text


def call(v: Values, spec: ToolSpec, *, heldout: bool = False) -> tuple[list[Turn], Request]:
    """A dialogue at whose end everything required has been said: in one sentence, or after a question and its answer."""
    r = v.rng
    q = request(v, spec)
    given = list(q.values)
    required = q.required()
    if len(required) == 1 or r.random() < 0.68:
        return [Turn("user", utterance(v, q, given, heldout=heldout))], q
    asked = r.choice(required)
    turns = [Turn("user", utterance(v, q, [g for g in given if g != asked], heldout=heldout))]
    turns.append(Turn("assistant", r.choice(ASK[v.language][asked])))
    turns.append(
        Turn(
            "user", fill(r, r.choice(REPLIES[v.language].get(asked, REPLIES[v.language]["any"])), value=q.spoken[asked])
        )
    )
    return turns, q


def ask(v: Values, spec: ToolSpec, *, heldout: bool = False) -> tuple[list[Turn], str]:
    """A request that lacks one to three required arguments; the first missing one is asked for."""
    r = v.rng
    q = request(v, spec)
    required = q.required()
    missing = set(r.sample(required, k=min(len(required), r.choice((1, 1, 1, 2, 3)))))
    if "check_in" in missing and "check_out" in q.values and r.random() < 0.7:
        missing.add("check_out")
    given = [g for g in q.values if g not in missing]
    first = next(name for name in required if name in missing)
    return [Turn("user", utterance(v, q, given, heldout=heldout))], first


def offered(r: random.Random) -> list[ToolSpec]:
    """The front desk's tools; mostly all six in order, sometimes fewer or shuffled."""
    if r.random() < 0.6:
        return list(TOOLS)
    return r.sample(TOOLS, k=r.randint(2, 6))


def past(v: Values) -> list[Turn]:
    """Earlier turns that have nothing to do with the present question."""
    r = v.rng
    if r.random() < 0.75:
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
    """One front-desk example without passages (``corpus`` mixes them in). ``kind``: call, ask or result."""
    v = Values(rng, side, language)
    spec = spec or rng.choice([BOOK, BOOK, *TOOLS])
    today, tools = f"2026-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}", offered(rng)
    if spec["name"] not in {t["name"] for t in tools}:
        tools[rng.randrange(len(tools))] = spec
    before = past(v)
    if kind == "call":
        turns, q = call(v, spec, heldout=heldout)
        return Example("call", slice_, language, today, before + turns, tools, [], spec["name"], q.values)
    if kind == "ask":
        turns, missing = ask(v, spec, heldout=heldout)
        question = rng.choice(ASK[language][missing])
        about = f"{spec['name']}.{missing}"
        return Example("ask", slice_, language, today, before + turns, tools, [], about=about, question=question)
    turns, lines, n = after_result(v)
    return Example("choose", slice_, language, today, turns, tools, lines, n=n)
