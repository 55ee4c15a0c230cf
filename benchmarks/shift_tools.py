"""A tool that the shipped adapter has never seen: tables in the restaurant. Named by ``DOJANG_TOOLS`` in flywheel.py.

Its rows lie in the embedded PostgreSQL and commit with the record of the effect, like those of the sample's own tools.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Final, Literal, LiteralString

import psycopg
from pydantic import Field

from state import JSON
from tools.effects import InWorld, effect
from tools.migrations import migrate

Guest = Annotated[str, Field(min_length=1, max_length=120)]
Hour = Annotated[str, Field(min_length=1, max_length=20)]
Table = Annotated[str, Field(min_length=1, max_length=20)]
Seats = Annotated[int, Field(ge=1, le=20)]
AREAS_KO = {"window": "창가", "hall": "홀", "booth": "칸막이"}


STEPS: Final[tuple[LiteralString, ...]] = (
    "create table if not exists tables_kept"
    " (id bigserial primary key, guest text, day date, hour text, guests int, area text)",
)


def prepare(connection: psycopg.Connection, sample: Path | None) -> None:
    """The table of tables, made once however many processes come at the same time."""
    migrate(connection, "shift", STEPS)


def _will_en(args: Mapping[str, JSON]) -> str:
    seats, hour = args.get("guests") or 2, args.get("hour") or "19:00"
    return f"Keep a table ({args.get('area') or 'window'}) for {args['guest']}, {seats} seats, {args['day']} at {hour}."


def _will_ko(args: Mapping[str, JSON]) -> str:
    area = AREAS_KO[str(args.get("area") or "window")]
    seats, hour = args.get("guests") or 2, args.get("hour") or "19:00"
    return f"{args['guest']} 님, {seats}명, {args['day']} {hour}, {area} 자리를 잡습니다."


def _kept_en(result: Any) -> list[str]:
    return [f"Table T-{result['table']} ({result['area']}) is kept for {result['guest']}, {result['hour']}."]


def _kept_ko(result: Any) -> list[str]:
    return [
        f"{result['guest']} 님의 {AREAS_KO[result['area']]} 자리(T-{result['table']}, {result['hour']})를 잡았습니다."
    ]


@effect(
    "write",
    recovery="transactional",
    reversible=True,
    ko="식당의 자리를 잡습니다.",
    will={"en": _will_en, "ko": _will_ko},
    tells={"en": _kept_en, "ko": _kept_ko},
)
def reserve_table(
    guest: Guest,
    day: date,
    world: InWorld,
    hour: Hour = "19:00",
    guests: Seats = 2,
    area: Literal["window", "hall", "booth"] = "window",
) -> dict[str, JSON]:
    """Reserve a table in the restaurant, 식당 자리 예약."""
    row = world.db.execute(
        "insert into tables_kept (guest, day, hour, guests, area) values (%s, %s, %s, %s, %s) returning id",
        (guest, day, hour, guests, area),
    ).fetchone()
    return {"table": row[0] if row else 0, "guest": guest, "day": day.isoformat(), "hour": hour, "area": area}


@effect(
    "write",
    recovery="transactional",
    reversible=True,
    ko="식당의 자리를 취소합니다.",
    will={"en": "Give up table {table}.", "ko": "{table} 자리를 취소합니다."},
    tells={
        "en": lambda r: [f"Table {r['table']} is given up."],
        "ko": lambda r: [f"{r['table']} 자리를 취소했습니다."],
    },
)
def cancel_table(table: Table, world: InWorld) -> dict[str, JSON]:
    """Cancel a table, 식당 자리 취소."""
    world.db.execute("delete from tables_kept where id::text = substr(%s, 3)", (table,))
    return {"table": table}


TOOLS = (reserve_table, cancel_table)
