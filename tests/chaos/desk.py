"""Three tools that pay, one for each way in which an effect can be recovered. A life says where the outside is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psycopg

from state import JSON
from tests.chaos.outside import Address, ask
from tools.effects import InWorld, effect

OUTSIDE: Address = ("", 0)


def _nowhere(name: str) -> None:
    """No instant: the tool runs in a process that nobody kills."""


here: Callable[[str], None] = _nowhere


def prepare(connection: psycopg.Connection, sample: Path | None) -> None:
    """The table of the payments; no key in it is unique, so that a second one would be seen."""
    connection.execute("create table if not exists payments (name text, amount int)")


@effect("write", recovery="transactional", reversible=True)
def pay_here(name: str, amount: int, world: InWorld) -> JSON:
    """Pay from our own database."""
    here("effect")
    world.db.execute("insert into payments values (%s, %s)", (name, amount))
    here("effect done")
    return {"paid": name}


@effect("irreversible", recovery="idempotent")
def pay_with_key(name: str, amount: int, world: InWorld) -> JSON:
    """Pay at a bank that takes idempotency keys."""
    return _pay(name, amount, key=world.key)


@effect("irreversible", recovery="at_most_once")
def pay_blind(name: str, amount: int, world: InWorld) -> JSON:
    """Pay at a bank that takes none."""
    return _pay(name, amount, key="")


def _pay(name: str, amount: int, *, key: str) -> JSON:
    here("effect")
    ask(OUTSIDE, name, key=key, value=amount)
    here("effect done")
    return {"paid": name}


TOOLS = [pay_here, pay_with_key, pay_blind]
TOOL_OF = {"transactional": "pay_here", "idempotent": "pay_with_key", "at_most_once": "pay_blind"}
