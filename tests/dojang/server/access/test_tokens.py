from __future__ import annotations

import os
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from checkpoints.audit.check import verify_audit
from checkpoints.audit.trail import AuditLog
from dojang.server.access.database import BrokenTokens
from dojang.server.access.tokens import TOKEN, BadToken, Tokens, UnknownToken, redacted
from state import Conflict, UserError
from tests.dojang.conftest import Shell
from tests.sessions_in_postgres import kept_in

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


class Clock:
    at = NOON

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tokens(tmp_path: Path, clock: Clock) -> Tokens:
    return Tokens(tmp_path, AuditLog(kept_in(tmp_path).backend, tmp_path / "keys"), clock)


def test_a_token_opens_until_it_expires_and_its_file_does_not_have_it(
    tokens: Tokens, clock: Clock, tmp_path: Path
) -> None:
    assert (tokens.any(), tokens.all()) == (False, [])
    secret, made = tokens.make("Hana Kim", ["operator", "finance", "operator"], days=1, by="kim")
    assert TOKEN.fullmatch(secret)
    assert secret.startswith(made.prefix + "_")
    assert (made.name, made.roles, tokens.any()) == ("Hana Kim", ("operator", "finance"), True)
    assert tokens.check(secret).prefix == made.prefix
    if os.name == "posix":
        assert (tmp_path / "tokens.sqlite").stat().st_mode & 0o777 == 0o600
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert made.prefix.encode() in written
    assert secret[12:].encode() not in written
    clock.at += timedelta(days=1)
    with pytest.raises(BadToken, match=f"{made.prefix} expired at"):
        tokens.check(secret)


@pytest.mark.parametrize("wrong", ["", "x", "dj_00000000_" + "a" * 43, "가", "dj_00000000_" + "a" * 43 + "\n"])
def test_what_is_no_token_is_refused_and_not_repeated(tokens: Tokens, wrong: str) -> None:
    secret, made = tokens.make("hana", ["viewer"], days=1, by="kim")
    for given in (wrong, made.prefix, secret[:-1], secret + "a", secret.swapcase(), made.prefix + "_" + "a" * 43):
        with pytest.raises(BadToken, match="not known") as refused:
            tokens.check(given)
        assert len(given) < 3 or given not in str(refused.value)


def test_a_revoked_token_opens_nothing_and_nobody_gets_in_without_one(tokens: Tokens) -> None:
    secret, made = tokens.make("hana", ["viewer"], days=1, by="kim")
    assert tokens.revoke(made.prefix, by="lee").revoked_by == "lee"
    with pytest.raises(BadToken, match="was revoked at"):
        tokens.check(secret)
    with pytest.raises(Conflict, match="revoked by lee already"):
        tokens.revoke(made.prefix, by="kim")
    with pytest.raises(UnknownToken) as unknown:
        tokens.revoke(secret, by="kim")
    assert secret not in str(unknown.value)
    assert tokens.any()


def test_the_last_use_is_written_once_an_hour(tokens: Tokens, clock: Clock) -> None:
    secret, _ = tokens.make("hana", ["viewer"], days=1, by="kim")
    assert [token.used_at for token in tokens.all()] == [""]
    for minutes, hour in ((10, 12), (59, 12), (75, 13)):
        clock.at = NOON + timedelta(minutes=minutes)
        tokens.check(secret)
        assert tokens.all()[0].used_at == f"2026-11-22T{hour}:00:00+00:00"


@pytest.mark.parametrize(
    ("name", "roles", "days", "said"),
    [
        ("", ["viewer"], 1, "no name"),
        ("ha\u200bna", ["viewer"], 1, "no name"),
        ("h\u0430na", ["viewer"], 1, "no name"),
        ("hana", [], 1, "at least one of the roles monitor, agent, viewer"),
        ("hana", ["finance"], 1, "at least one of the roles"),
        ("hana", ["viewer", "two words"], 1, "is no role"),
        ("hana", ["viewer"], 0, "from 1 to 366 days"),
        ("hana", ["viewer"], 367, "from 1 to 366 days"),
    ],
)
def test_what_cannot_be_made(tokens: Tokens, name: str, roles: list[str], days: int, said: str) -> None:
    with pytest.raises(UserError, match=said):
        tokens.make(name, roles, days=days, by="kim")
    assert not tokens.any()


def test_making_and_revoking_is_in_the_audit_chain_and_without_it_nothing_is_made(
    tokens: Tokens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, made = tokens.make("hana", ["viewer"], days=1, by="kim")
    tokens.revoke(made.prefix, by="lee")
    noted = [(r["event"], r["actor"], r["subject"]) for r in tokens.audit.records(None) if r["event"] != "key.made"]
    assert noted == [("token.made", "kim", made.prefix), ("token.revoked", "lee", made.prefix)]
    assert verify_audit(tmp_path, backend=tokens.audit.backend)["problems"] == 0

    def full(*_args: object, **_keys: object) -> bool:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tokens.audit, "note", full)
    with pytest.raises(Exception, match="No space left"):
        tokens.make("lee", ["viewer"], days=1, by="kim")
    assert [token.name for token in tokens.all()] == ["hana"]


def test_a_damaged_or_newer_file_lets_nobody_in(tokens: Tokens, tmp_path: Path) -> None:
    secret, _ = tokens.make("hana", ["viewer"], days=1, by="kim")
    path = tmp_path / "tokens.sqlite"
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(BrokenTokens, match="newer Dojang"):
        tokens.check(secret)
    path.write_bytes(b"this was a database once" * 100)
    with pytest.raises(BrokenTokens, match="nobody is let in"):
        tokens.any()


def test_a_token_in_a_text_is_cut_down() -> None:
    assert redacted("a dj_0123abcd_" + "aB-_9" * 8 + "xyz!") == "a dj_0123abcd_…!"
    assert redacted("dj_0123abcd and nothing else") == "dj_0123abcd and nothing else"


def test_the_commands(shell: Shell) -> None:
    assert "no token was made" in shell("tokens", "list").err
    made = shell("tokens", "create", "--name", "Hana", "--role", "operator", "--role", "manager", "--days", "3")
    secret = made.out.strip()
    assert TOKEN.fullmatch(secret)
    assert "for Hana (operator, manager), until" in made.err
    prefix = secret[:11]
    [listed] = shell("tokens", "list", "--json").json
    assert (listed["prefix"], listed["name"], listed["status"]) == (prefix, "Hana", "active")
    assert secret not in shell("tokens", "list").out
    assert shell("tokens", "create", "--name", "Hana", "--role", "chef").code == 2
    assert f"{prefix} is revoked by kim" in shell("tokens", "revoke", prefix).out
    assert shell("tokens", "revoke", prefix).code == 4
    assert "철회됨" in shell("tokens", "list", "--lang", "ko").out
