"""The sample domain: a hotel front desk over real tables in Postgres, and an outbox for messages.

The names and parameters are those that the shipped model is trained on. Sentences stand in `tools.hotel_words`, tables
in `tools.hotel_data`.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Literal

from pydantic import Field

from state import JSON
from tools import hotel_words as words
from tools.effects import InWorld, World, effect
from tools.errors import ToolFailed
from tools.hotel_data import Room, find_booking_row, find_hotel, folded, prepare, rooms_left, rooms_of

LONGEST_STAY_NIGHTS = 60

Guests = Annotated[int, Field(ge=1, le=50)]
Name = Annotated[str, Field(min_length=1, max_length=120)]
BookingId = Annotated[str, Field(min_length=1, max_length=40)]
Reason = Annotated[str, Field(max_length=500)]
Amount = Annotated[int, Field(ge=1, le=1_000_000_000, description="KRW")]
Text = Annotated[str, Field(min_length=1, max_length=4000)]


@effect(
    "read",
    ko="도시에서 빈 객실이 있는 호텔을 찾습니다.",
    will={"en": words.search_en, "ko": words.search_ko},
    tells={"en": words.found_en, "ko": words.found_ko},
    after={"check_out": "check_in"},
)
def search_hotels(
    city: Name,
    world: InWorld,
    check_in: date | None = None,
    check_out: date | None = None,
    guests: Guests | None = None,
) -> dict[str, JSON]:
    """Find hotels with a free room in a city."""
    first = check_in or world.today
    last = check_out or first + timedelta(days=1)
    _refuse_stay(first, last)
    hotels = []
    rows = world.db.execute("select id, name, name_ko, city, city_ko from hotels order by id").fetchall()
    for number, name, name_ko, in_city, in_city_ko in rows:
        if not _same_city(city, in_city, in_city_ko):
            continue
        offers: list[dict[str, JSON]] = [
            {"room_type": room.room_type, "left": left, "price_krw": room.price_krw, "sleeps": room.sleeps}
            for room in rooms_of(world.db, number)
            if room.sleeps >= (guests or 1) and (left := rooms_left(world.db, room, first, last)) > 0
        ]
        if offers:
            hotels.append({"hotel": name, "hotel_ko": name_ko, "city": in_city, "city_ko": in_city_ko, "rooms": offers})
    return {"city": city, "check_in": first.isoformat(), "check_out": last.isoformat(), "hotels": hotels}


@effect(
    "write",
    recovery="transactional",
    reversible=True,
    ko="호텔 객실을 예약합니다.",
    will={"en": words.book_en, "ko": words.book_ko},
    tells={"en": words.booked_en, "ko": words.booked_ko},
    synonyms={"room_type": words.ROOM_SYNONYMS},
    after={"check_out": "check_in"},
)
def book_room(
    hotel: Name,
    guest: Name,
    check_in: date,
    check_out: date,
    guests: Guests,
    world: InWorld,
    room_type: Literal["standard", "deluxe", "suite"] = "standard",
) -> dict[str, JSON]:
    """Book a room in a hotel."""
    _refuse_stay(check_in, check_out)
    if check_in < world.today:
        raise ToolFailed(f"Check-in {check_in.isoformat()} is in the past; today is {world.today.isoformat()}.")
    room = _free_room(world, hotel, room_type, check_in, check_out, guests)
    nights = (check_out - check_in).days
    total = room.price_krw * nights
    row = world.db.execute(
        "insert into bookings (hotel_id, room_type, guest, check_in, check_out, guests, total_krw)"
        " values (%s, %s, %s, %s, %s, %s, %s) returning id",
        (room.hotel_id, room_type, guest, check_in, check_out, guests, total),
    ).fetchone()
    return {
        "booking_id": row[0] if row else "",
        "hotel": room.name,
        "hotel_ko": room.name_ko,
        "room_type": room_type,
        "guest": guest,
        "check_in": check_in.isoformat(),
        "check_out": check_out.isoformat(),
        "nights": nights,
        "guests": guests,
        "total_krw": total,
    }


@effect(
    "write",
    recovery="transactional",
    reversible=False,
    ko="예약을 취소합니다.",
    will={"en": words.cancel_en, "ko": words.cancel_ko},
    tells={"en": words.cancelled_en, "ko": words.cancelled_ko},
)
def cancel_booking(booking_id: BookingId, world: InWorld, reason: Reason | None = None) -> dict[str, JSON]:
    """Cancel a booking."""
    row = find_booking_row(world.db, booking_id, lock=True)
    if row["cancelled_at"] is not None:
        raise ToolFailed(f"Booking {row['id']} is already cancelled.")
    world.db.execute(
        "update bookings set cancelled_at = now(), cancel_reason = %s where id = %s", (reason or "", row["id"])
    )
    return {"booking_id": row["id"], "hotel": row["name"], "hotel_ko": row["name_ko"], "reason": reason or ""}


@effect(
    "irreversible",
    recovery="transactional",
    ko="예약 요금을 환불합니다.",
    will={"en": words.refund_en, "ko": words.refund_ko},
    tells={"en": words.refunded_en, "ko": words.refunded_ko},
)
def issue_refund(
    booking_id: BookingId, amount: Amount, world: InWorld, reason: Reason | None = None
) -> dict[str, JSON]:
    """Pay money back for a booking."""
    row = find_booking_row(world.db, booking_id, lock=True)
    left = row["total_krw"] - row["refunded_krw"]
    if amount > left:
        raise ToolFailed(
            f"KRW {amount:,} is more than the KRW {left:,} that can still be refunded for booking {row['id']}."
        )
    world.db.execute(
        "insert into refunds (booking_id, amount_krw, reason) values (%s, %s, %s)", (row["id"], amount, reason or "")
    )
    return {"booking_id": row["id"], "amount_krw": amount, "left_krw": left - amount, "reason": reason or ""}


def _look_up_message(args: Mapping[str, JSON], world: World) -> JSON:
    """Whether the outbox has the message of this effect. One that somebody took from there already cannot be told."""
    for path in world.outbox.glob("*.json"):
        message = json.loads(path.read_text(encoding="utf-8"))
        if message.get("effect") == world.key:
            return {"to": message["to"], "message_id": message["id"]}
    raise ToolFailed("it is not in the outbox: it was never sent, or somebody took it already")


@effect(
    "irreversible",
    recovery="at_most_once",
    probe=_look_up_message,
    ko="손님에게 메시지를 보냅니다.",
    will={"en": words.send_en, "ko": words.send_ko},
    tells={"en": words.sent_en, "ko": words.sent_ko},
)
def send_message(to: Name, text: Text, world: InWorld) -> dict[str, JSON]:
    """Send a message to a guest."""
    try:
        world.outbox.mkdir(parents=True, exist_ok=True)
        number = uuid.uuid4().hex
        waiting, delivered = world.outbox / f".{number}.part", world.outbox / f"{number}.json"
        with waiting.open("x", encoding="utf-8") as file:
            at = datetime.now(UTC).isoformat(timespec="milliseconds")
            message = {"id": number, "effect": world.key, "to": to, "text": text, "at": at}
            json.dump(message, file, ensure_ascii=False)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise ToolFailed(f"The message was not sent: the outbox cannot be written ({error.strerror}).") from error
    waiting.rename(delivered)  # from here on somebody may have taken it: an error is not a clean failure any more
    return {"to": to, "message_id": number}


@effect(
    "read",
    ko="예약을 조회합니다.",
    will={"en": words.find_en, "ko": words.find_ko},
    tells={"en": words.booking_en, "ko": words.booking_ko},
)
def find_booking(booking_id: BookingId, world: InWorld) -> dict[str, JSON]:
    """Look up a booking."""
    row = find_booking_row(world.db, booking_id)
    return {
        "booking_id": row["id"],
        "status": "confirmed" if row["cancelled_at"] is None else "cancelled",
        "hotel": row["name"],
        "hotel_ko": row["name_ko"],
        "room_type": row["room_type"],
        "guest": row["guest"],
        "check_in": row["check_in"].isoformat(),
        "check_out": row["check_out"].isoformat(),
        "guests": row["guests"],
        "total_krw": row["total_krw"],
        "refunded_krw": row["refunded_krw"],
        "cancelled_on": row["cancelled_at"].date().isoformat() if row["cancelled_at"] else None,
    }


TOOLS = (search_hotels, book_room, cancel_booking, issue_refund, send_message, find_booking)
__all__ = ["TOOLS", "prepare"]


def _refuse_stay(check_in: date, check_out: date) -> None:
    if check_out <= check_in:
        raise ToolFailed(f"Check-out {check_out.isoformat()} is not after check-in {check_in.isoformat()}.")
    if (check_out - check_in).days > LONGEST_STAY_NIGHTS:
        raise ToolFailed(
            f"{(check_out - check_in).days} nights are too many; {LONGEST_STAY_NIGHTS} is the longest stay."
        )


def _same_city(asked: str, city: str, city_ko: str) -> bool:
    wanted = folded(asked)
    return wanted in (folded(city), folded(city_ko)) or wanted in (folded(city) + "city", folded(city_ko) + "시")


def _free_room(world: World, hotel: str, room_type: str, check_in: date, check_out: date, guests: int) -> Room:
    """The room type with one left, its row locked until the booking commits."""
    hotel_id = find_hotel(world.db, hotel)
    found = rooms_of(world.db, hotel_id, room_type, lock=True)
    if not found:
        kinds = ", ".join(room.room_type for room in rooms_of(world.db, hotel_id))
        raise ToolFailed(f"{hotel} has no {room_type} rooms; it has {kinds}.")
    room = found[0]
    if guests > room.sleeps:
        raise ToolFailed(f"A {room_type} room at {room.name} takes {room.sleeps} guests, not {guests}.")
    if rooms_left(world.db, room, check_in, check_out) < 1:
        stay = f"{check_in.isoformat()} to {check_out.isoformat()}"
        raise ToolFailed(f"{room.name} has no {room_type} room left for {stay}.")
    return room
