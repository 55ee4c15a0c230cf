"""The front desk's tables: their migrations, the sample rows, and the look-ups that several tools share.

Every function takes the connection it is to work in; none commits.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from psycopg.rows import dict_row

from state import UserError
from tools.errors import ToolFailed
from tools.migrations import migrate

STEPS = (
    """create table hotels (
        id int generated always as identity primary key,
        name text not null unique,
        name_ko text not null unique,
        city text not null,
        city_ko text not null
    )""",
    """create table rooms (
        hotel_id int not null references hotels,
        room_type text not null,
        count int not null check (count >= 0),
        sleeps int not null check (sleeps > 0),
        price_krw bigint not null check (price_krw > 0),
        primary key (hotel_id, room_type)
    )""",
    "create sequence booking_numbers start with 2041",
    """create table bookings (
        id text primary key default 'BK-' || nextval('booking_numbers'),
        hotel_id int not null,
        room_type text not null,
        guest text not null,
        check_in date not null,
        check_out date not null check (check_out > check_in),
        guests int not null check (guests > 0),
        total_krw bigint not null,
        created_at timestamptz not null default now(),
        cancelled_at timestamptz,
        cancel_reason text,
        foreign key (hotel_id, room_type) references rooms
    )""",
    "create index bookings_by_room on bookings (hotel_id, room_type, check_in) where cancelled_at is null",
    """create table refunds (
        id bigint generated always as identity primary key,
        booking_id text not null references bookings,
        amount_krw bigint not null check (amount_krw > 0),
        reason text not null,
        at timestamptz not null default now()
    )""",
    "create index refunds_by_booking on refunds (booking_id)",
)
"""Append-only."""


class Room(NamedTuple):
    """One room type of a hotel, as a tool needs it."""

    hotel_id: int
    name: str
    name_ko: str
    room_type: str
    total: int
    sleeps: int
    price_krw: int


def prepare(connection: psycopg.Connection, sample: Path | None) -> None:
    """Make the tables; put in the rows of ``sample`` (TOML) that are not there yet.

    Raises:
        UserError: the sample file cannot be read, with its name and what is wrong.
    """
    migrate(connection, "hotel", STEPS)
    if sample is None:
        return
    try:
        rows = tomllib.loads(sample.read_text(encoding="utf-8"))
        with connection.transaction():
            _seed(connection, rows)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"sample rows {sample.name} cannot be read ({type(error).__name__}: {error}); mend it"
        ) from error


def _seed(connection: psycopg.Connection, rows: dict[str, Any]) -> None:
    for hotel in rows.get("hotel", []):
        connection.execute(
            "insert into hotels (name, name_ko, city, city_ko) values (%s, %s, %s, %s) on conflict do nothing",
            (hotel["name"], hotel["name_ko"], hotel["city"], hotel["city_ko"]),
        )
        for room in hotel["rooms"]:
            connection.execute(
                "insert into rooms select id, %s, %s, %s, %s from hotels where name = %s on conflict do nothing",
                (room["type"], room["count"], room["sleeps"], room["price_krw"], hotel["name"]),
            )
    for booking in rows.get("booking", []):
        connection.execute(
            """insert into bookings (id, hotel_id, room_type, guest, check_in, check_out, guests, total_krw)
            select %(id)s, h.id, r.room_type, %(guest)s, current_date + %(starts_in_days)s,
                current_date + %(starts_in_days)s + %(nights)s, %(guests)s, r.price_krw * %(nights)s
            from hotels h join rooms r on r.hotel_id = h.id
            where h.name = %(hotel)s and r.room_type = %(room_type)s
            on conflict do nothing""",
            booking,
        )


def folded(name: str) -> str:
    """A name as it is compared: case, spaces, hyphens and the two ways of writing Hangul make no difference."""
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", name).casefold())


def find_hotel(connection: psycopg.Connection, name: str) -> int:
    """The id of the hotel with this name in either language; raises ToolFailed that lists the hotels."""
    found = connection.execute("select id, name, name_ko from hotels order by id").fetchall()
    for number, english, korean in found:
        if folded(name) in (folded(english), folded(korean)):
            return int(number)
    known = ", ".join(f"{english} ({korean})" for _, english, korean in found) or "none at all"
    raise ToolFailed(f"There is no hotel called “{name}”; the hotels are {known}.")


def rooms_of(
    connection: psycopg.Connection, hotel_id: int, room_type: str | None = None, *, lock: bool = False
) -> list[Room]:
    """The room types of a hotel, cheapest first; ``lock`` holds their rows until the transaction ends."""
    query = """select h.id, h.name, h.name_ko, r.room_type, r.count, r.sleeps, r.price_krw
        from rooms r join hotels h on h.id = r.hotel_id
        where h.id = %s and (%s::text is null or r.room_type = %s) order by r.price_krw"""
    values = (hotel_id, room_type, room_type)
    found = connection.execute(query + " for update of r" if lock else query, values)
    return [Room(*row) for row in found]


def rooms_left(connection: psycopg.Connection, room: Room, check_in: date, check_out: date) -> int:
    """How many rooms of the type are free on every night of the stay."""
    row = connection.execute(
        """select coalesce(max(taken), 0) from (
            select count(b.id) as taken
            from generate_series(%(first)s::date, %(last)s::date, interval '1 day') as night
            left join bookings b on b.hotel_id = %(hotel)s and b.room_type = %(type)s and b.cancelled_at is null
                and b.check_in <= night and night < b.check_out
            group by night
        ) as nights""",
        {
            "first": check_in,
            "last": check_out - timedelta(days=1),
            "hotel": room.hotel_id,
            "type": room.room_type,
        },
    ).fetchone()
    return room.total - (int(row[0]) if row else 0)


def find_booking_row(connection: psycopg.Connection, booking_id: str, *, lock: bool = False) -> dict[str, Any]:
    """The booking with its hotel and what was refunded; raises ToolFailed when there is none.

    ``lock`` holds the booking's row, so that two refunds cannot both take the last won.
    """
    digits = re.fullmatch(r"(?:bk)?(\d{1,18})", folded(booking_id))
    known = f"BK-{int(digits[1])}" if digits else booking_id
    if lock:
        connection.execute("select 1 from bookings where id = %s for update", (known,))
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(
            """select b.*, h.name, h.name_ko,
                (select coalesce(sum(amount_krw), 0)::bigint from refunds where booking_id = b.id) as refunded_krw
            from bookings b join hotels h on h.id = b.hotel_id where b.id = %s""",
            (known,),
        ).fetchone()
    if row is None:
        raise ToolFailed(f"There is no booking {known}; check the number.")
    return row
