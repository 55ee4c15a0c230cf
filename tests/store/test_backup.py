"""Backup, restore and move on real servers: whole or not at all, and compared."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from state import BrokenInvariant, UserError
from store.postgres import backup as backups
from store.postgres.backup import backup, move, read_manifest, restore, without_password
from store.postgres.tables import measured, names_of
from store.store import DocumentStore
from tests.databases import fresh_database
from tests.processes import ran
from tests.store.conftest import HashEmbedder

TEXTS = {"house.md": "# House\n\nParking is free.\n\nBreakfast is at 8.", "안내.md": "# 안내\n\n주차는 무료입니다.\n"}


@pytest.fixture
def filled(store: DocumentStore, postgres_dsn: str) -> str:
    """A store with documents, a correction, and a table of a tool."""
    for name, text in TEXTS.items():
        store.ingest_bytes(name, text.encode(), trust="trusted")
    store.correct(store.search("parking")[0]["id"], "Parking costs 9,000 won.", author="kim", reason="")
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute("CREATE SEQUENCE booking_numbers START WITH 2041")
        connection.execute("CREATE TABLE bookings (id text PRIMARY KEY, guest text, at timestamptz DEFAULT now())")
        connection.execute(
            "INSERT INTO bookings SELECT 'BK-' || nextval('booking_numbers'), '김하나' FROM generate_series(1, 3)"
        )
    return postgres_dsn


def tables(dsn: str) -> dict[str, tuple[int, str]]:
    with psycopg.connect(dsn) as connection:
        return {t["name"]: (t["rows"], t["digest"]) for t in measured(connection, names_of(connection))}


@pytest.fixture
def other_dsn(postgres_server: str) -> Iterator[str]:
    with fresh_database(postgres_server) as dsn:
        yield dsn


def test_a_restore_brings_back_everything(filled: str, tmp_path: Path, store: DocumentStore) -> None:
    before = tables(filled)
    told: list[tuple[str, int, int]] = []
    manifest = backup(filled, tmp_path / "one" / "backup", lambda *step: told.append(step))
    assert {t["name"]: (t["rows"], t["digest"]) for t in manifest["tables"]} == before
    assert told[-1][1:] == (2 * len(before), 2 * len(before))
    store.delete("house.md")
    store.ingest_bytes("new.md", b"Something new.")
    with psycopg.connect(filled, autocommit=True) as connection:
        connection.execute("UPDATE bookings SET guest = 'x'")
        connection.execute("SELECT nextval('booking_numbers')")
        connection.execute("CREATE TABLE later (n int)")
    restore(filled, tmp_path / "one" / "backup", lambda *step: told.append(step))
    assert tables(filled) == before
    assert store.search("parking")[0]["text"] == "Parking costs 9,000 won."
    assert store.search("주차")[0]["text"] == "주차는 무료입니다."
    assert [one["author"] for one in store.history(store.search("parking")[0]["id"])] == ["kim"]
    assert store.ingest_bytes("more.md", b"Sauna is free.").added == ["more.md"]  # counters go on behind what is there
    with psycopg.connect(filled) as connection:
        assert connection.execute("SELECT nextval('booking_numbers')").fetchone() == (2044,)


def test_a_backup_is_one_instant_and_appears_whole(
    filled: str, tmp_path: Path, store: DocumentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    real: Callable[..., object] = backups._dump

    def meanwhile(*args: object) -> object:
        store.delete("house.md")  # between the counts and the dump
        return real(*args)

    monkeypatch.setattr(backups, "_dump", meanwhile)
    manifest = backup(filled, tmp_path / "b")
    restore(filled, tmp_path / "b")
    assert next(t["rows"] for t in manifest["tables"] if t["name"] == "documents") == 2
    assert len(store.documents()) == 2

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(backups, "_dump", fail)
    with pytest.raises(Exception, match="could not be written"):
        backup(filled, tmp_path / "c")
    assert [path.name for path in tmp_path.iterdir() if path.name != "docs"] == ["b"]


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda folder: (folder / "manifest.json").unlink(), "no backup of a store"),
        (lambda folder: (folder / "manifest.json").write_text("[]"), "no backup of a store"),
        (lambda folder: os.truncate(folder / "database.dump", 10**6), "is damaged"),
        (lambda folder: os.truncate(folder / "database.dump", 1000), "is damaged"),
        (
            lambda folder: (folder / "manifest.json").write_text(
                json.dumps({**json.loads((folder / "manifest.json").read_text()), "format": 99})
            ),
            "newer program",
        ),
    ],
    ids=["none", "list", "longer", "cut", "newer"],
)
def test_what_is_no_whole_backup_is_refused_before_anything(
    filled: str, tmp_path: Path, spoil: Callable[[Path], object], says: str
) -> None:
    backup(filled, tmp_path / "b")
    before = tables(filled)
    spoil(tmp_path / "b")
    with pytest.raises(UserError, match=says):
        restore(filled, tmp_path / "b")
    assert tables(filled) == before


def test_a_restore_that_fails_halfway_leaves_the_old(filled: str, tmp_path: Path, store: DocumentStore) -> None:
    backup(filled, tmp_path / "b")
    store.ingest_bytes("new.md", b"Something new.")
    before = tables(filled)
    dump, manifest = tmp_path / "b" / "database.dump", tmp_path / "b" / "manifest.json"
    os.truncate(dump, dump.stat().st_size - 400)  # its table of contents is whole, its last data are not
    said = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**said, "dump_sha256": backups._sha256(dump)}))
    with pytest.raises(UserError, match="nothing was changed"):
        restore(filled, tmp_path / "b")
    assert tables(filled) == before
    assert len(store.documents()) == 3


KILLED = """
import os, signal, sys
from pathlib import Path
from store.postgres import backup
def kill(*_):
    os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[3] == "commit":
    backup._commit = kill
backup.restore(sys.argv[1], Path(sys.argv[2]), kill if sys.argv[3] == "table" else None)
"""


@pytest.mark.parametrize("instant", ["commit", "table"])
def test_a_restore_killed_halfway_leaves_the_old_or_the_new_whole(
    filled: str, tmp_path: Path, store: DocumentStore, instant: str
) -> None:
    backup(filled, tmp_path / "b")
    new = tables(filled)
    store.ingest_bytes("new.md", b"Something new.")
    old = tables(filled)
    died = ran(code=KILLED, words=[filled, str(tmp_path / "b"), instant])
    assert died.returncode == -signal.SIGKILL, died.stderr
    found = tables(filled)  # waits for the locks of a transaction that is still being undone
    assert found == old if instant == "commit" else found in (old, new)


def test_a_move_copies_documents_and_tables_of_tools(filled: str, other_dsn: str, embedder: HashEmbedder) -> None:
    before = tables(filled)
    moved = move(filled, other_dsn)
    assert {t["name"]: (t["rows"], t["digest"]) for t in moved} == before == tables(other_dsn) == tables(filled)
    with DocumentStore(other_dsn, embedder) as store:
        assert store.search("parking")[0]["text"] == "Parking costs 9,000 won."
    with psycopg.connect(other_dsn) as connection:
        assert connection.execute("SELECT count(*) FROM bookings WHERE guest = '김하나'").fetchone() == (3,)
    with pytest.raises(UserError, match="name an empty database"):
        move(filled, other_dsn)


def test_a_copy_that_differs_is_noticed(filled: str, other_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real: Callable[..., object] = backups._load

    def spoiled(dsn: str, *rest: object, **more: object) -> None:
        real(dsn, *rest, **more)
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("UPDATE bookings SET guest = 'x' WHERE id = 'BK-2042'")
            connection.execute("DELETE FROM corrections")

    monkeypatch.setattr(backups, "_load", spoiled)
    with pytest.raises(BrokenInvariant, match=r"bookings has other contents; corrections has 0 rows instead of 1"):
        move(filled, other_dsn)


def test_a_folder_in_use_is_not_written_over(filled: str, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "mine.txt").write_text("keep")
    with pytest.raises(UserError, match="is there already"):
        backup(filled, tmp_path / "b")
    with pytest.raises(UserError, match="no backup"):
        read_manifest(tmp_path / "nowhere")


def test_a_password_is_on_no_command_line() -> None:
    assert "hush" not in without_password("postgresql://kim:hush@db.example:5433/hotel?sslmode=require")
    assert "sslmode=require" in without_password("postgresql://kim:hush@db.example:5433/hotel?sslmode=require")
    assert backups._environment("postgresql://kim:hush@db.example/hotel")["PGPASSWORD"] == "hush"
