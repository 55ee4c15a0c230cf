"""What the front desk's tools say, in English and Korean: before (what will happen) and after (what came of it).

Pure functions of arguments and results; a Korean sentence is written as a Korean clerk would say it, not translated.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from state import JSON
from tools.wording import counted, day, particle, stay, won

ROOM_TYPES_KO = {"standard": "스탠다드", "deluxe": "디럭스", "suite": "스위트"}
ROOM_SYNONYMS = {
    "스탠다드": "standard", "스탠더드": "standard", "일반": "standard", "일반실": "standard", "기본": "standard",
    "디럭스": "deluxe", "딜럭스": "deluxe", "스위트": "suite", "스위트룸": "suite", "스탠다드룸": "standard",
    "디럭스룸": "deluxe", "standard room": "standard", "deluxe room": "deluxe", "suite room": "suite",
}  # fmt: skip

Args = Mapping[str, JSON]


def _room_ko(room_type: JSON) -> str:
    return ROOM_TYPES_KO.get(str(room_type), str(room_type))


def _because(args: Args) -> str:
    return f" (reason: {args['reason']})" if args.get("reason") else ""


def _because_ko(args: Args) -> str:
    return f" (사유: {args['reason']})" if args.get("reason") else ""


def search_en(args: Args) -> str:
    """What search_hotels will do."""
    when = f", {stay(args['check_in'], args['check_out'], 'en')}" if _both_dates(args) else ""
    who = f", {counted(args['guests'], 'guest')}" if args.get("guests") else ""
    return f"Look for hotels in {args['city']}{when}{who}."


def search_ko(args: Args) -> str:
    """What search_hotels will do."""
    when = f" {stay(args['check_in'], args['check_out'], 'ko')}" if _both_dates(args) else ""
    who = f" {args['guests']}명" if args.get("guests") else ""
    return f"{args['city']}의{when}{who} 숙박 가능한 호텔을 찾습니다."


def _both_dates(args: Args) -> bool:
    return bool(args.get("check_in") and args.get("check_out"))


def book_en(args: Args) -> str:
    """What book_room will do."""
    when, who = stay(args["check_in"], args["check_out"], "en"), counted(args["guests"], "guest")
    return f"Book {args['hotel']} for {args['guest']}, {when}, {who} ({args.get('room_type', 'standard')})."


def book_ko(args: Args) -> str:
    """What book_room will do."""
    when, room = stay(args["check_in"], args["check_out"], "ko"), _room_ko(args.get("room_type", "standard"))
    return f"{args['hotel']}에 {args['guest']} 님 이름으로 {when}, {args['guests']}명, {room} 객실을 예약합니다."


def cancel_en(args: Args) -> str:
    """What cancel_booking will do."""
    return f"Cancel booking {args['booking_id']}{_because(args)}."


def cancel_ko(args: Args) -> str:
    """What cancel_booking will do."""
    return f"예약 {particle(args['booking_id'], '을', '를')} 취소합니다{_because_ko(args)}."


def refund_en(args: Args) -> str:
    """What issue_refund will do."""
    return f"Refund {won(args['amount'], 'en')} for booking {args['booking_id']}{_because(args)}."


def refund_ko(args: Args) -> str:
    """What issue_refund will do."""
    return f"예약 {args['booking_id']} 건으로 {won(args['amount'], 'ko')}을 환불합니다{_because_ko(args)}."


def send_en(args: Args) -> str:
    """What send_message will do."""
    return f"Send {args['to']} the message “{args['text']}”."


def send_ko(args: Args) -> str:
    """What send_message will do."""
    return f"{args['to']} 앞으로 “{args['text']}” 메시지를 보냅니다."


def find_en(args: Args) -> str:
    """What find_booking will do."""
    return f"Look up booking {args['booking_id']}."


def find_ko(args: Args) -> str:
    """What find_booking will do."""
    return f"예약 {particle(args['booking_id'], '을', '를')} 조회합니다."


def found_en(result: Any) -> list[str]:
    """The hotels that were found."""
    if not result["hotels"]:
        return [f"There is no hotel with a free room in {result['city']}."]
    return [
        f"{h['hotel']} in {h['city']} has {counted(r['left'], r['room_type'] + ' room')} free "
        f"at {won(r['price_krw'], 'en')} a night."
        for h in result["hotels"]
        for r in h["rooms"]
    ]


def found_ko(result: Any) -> list[str]:
    """The hotels that were found."""
    if not result["hotels"]:
        return [f"{result['city']}에는 빈 객실이 있는 호텔이 없습니다."]
    return [
        f"{h['city_ko']} {h['hotel_ko']}에는 {_room_ko(r['room_type'])} 객실이 {r['left']}개 남아 있고 "
        f"1박에 {won(r['price_krw'], 'ko')}입니다."
        for h in result["hotels"]
        for r in h["rooms"]
    ]


def booked_en(result: Any) -> list[str]:
    """The booking that was made."""
    when = stay(result["check_in"], result["check_out"], "en")
    return [
        f"Booking {result['booking_id']} is confirmed: {result['hotel']}, {result['room_type']} room, {when}, "
        f"{counted(result['guests'], 'guest')}, for {result['guest']}.",
        f"The total for {counted(result['nights'], 'night')} is {won(result['total_krw'], 'en')}.",
    ]


def booked_ko(result: Any) -> list[str]:
    """The booking that was made."""
    when = stay(result["check_in"], result["check_out"], "ko")
    return [
        f"예약 번호 {result['booking_id']}, {result['hotel_ko']} {_room_ko(result['room_type'])} 객실, {when}, "
        f"{result['guests']}명, {result['guest']} 님으로 예약되었습니다.",
        f"{result['nights']}박 요금은 모두 {won(result['total_krw'], 'ko')}입니다.",
    ]


def cancelled_en(result: Any) -> list[str]:
    """The booking that was cancelled."""
    return [f"Booking {result['booking_id']} at {result['hotel']} is cancelled."]


def cancelled_ko(result: Any) -> list[str]:
    """The booking that was cancelled."""
    return [f"{result['hotel_ko']} 예약 {particle(result['booking_id'], '이', '가')} 취소되었습니다."]


def refunded_en(result: Any) -> list[str]:
    """The refund that was paid."""
    return [
        f"{won(result['amount_krw'], 'en')} was refunded for booking {result['booking_id']}.",
        f"{won(result['left_krw'], 'en')} of what was paid is left.",
    ]


def refunded_ko(result: Any) -> list[str]:
    """The refund that was paid."""
    return [
        f"예약 {result['booking_id']} 건으로 {won(result['amount_krw'], 'ko')}이 환불되었습니다.",
        f"환불하고 남은 결제 금액은 {won(result['left_krw'], 'ko')}입니다.",
    ]


def sent_en(result: Any) -> list[str]:
    """The message that was handed over."""
    return [f"The message to {result['to']} was sent."]


def sent_ko(result: Any) -> list[str]:
    """The message that was handed over."""
    return [f"{result['to']} 앞으로 메시지를 보냈습니다."]


def booking_en(result: Any) -> list[str]:
    """A booking as it stands."""
    when = stay(result["check_in"], result["check_out"], "en")
    lines = [
        f"Booking {result['booking_id']} is {result['status']}: {result['hotel']}, {result['room_type']} room, {when}, "
        f"{counted(result['guests'], 'guest')}, for {result['guest']}.",
        f"{won(result['total_krw'], 'en')} was paid and {won(result['refunded_krw'], 'en')} of it refunded.",
    ]
    if result.get("cancelled_on"):
        lines.append(f"It was cancelled on {day(result['cancelled_on'], 'en')}.")
    return lines


def booking_ko(result: Any) -> list[str]:
    """A booking as it stands."""
    when = stay(result["check_in"], result["check_out"], "ko")
    status = {"confirmed": "확정", "cancelled": "취소"}.get(result["status"], result["status"])
    lines = [
        f"예약 {result['booking_id']}의 상태는 {status}이고, {result['hotel_ko']} "
        f"{_room_ko(result['room_type'])} 객실, {when}, {result['guests']}명, 예약자 {result['guest']} 님입니다.",
        f"결제 금액 {won(result['total_krw'], 'ko')} 중 {won(result['refunded_krw'], 'ko')}이 환불되었습니다.",
    ]
    if result.get("cancelled_on"):
        lines.append(f"{day(result['cancelled_on'], 'ko')}에 취소되었습니다.")
    return lines
