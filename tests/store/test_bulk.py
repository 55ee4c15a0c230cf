"""A large ingest leaves the index of vectors out and makes it at its end; killed in between, somebody else makes it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from state import Conflict
from store.ingesting import bulk
from store.ingesting.reembedding import reembed
from store.schema.vectors import VectorTable, is_indexed
from store.store import DocumentStore
from tests.processes import ran
from tests.store.conftest import HashEmbedder
from tests.store.test_embedded import until

TABLE = VectorTable(1)


@pytest.fixture(autouse=True)
def few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("store.ingesting.bulk.AT_LEAST", 6)
    monkeypatch.setattr("store.ingesting.ingest.BATCH_DOCUMENTS", 2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "docs"
    place.mkdir()
    for n in range(8):
        (place / f"{n}.md").write_text(f"# House {n}\n\nRoom {n} costs {n}0,000 won.\n\n## Pool\n\nIt opens at {n}.\n")
    return place


@pytest.fixture
def connection(postgres_dsn: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(postgres_dsn, autocommit=True) as opened:
        yield opened


def indexed(connection: psycopg.Connection) -> bool:
    return is_indexed(connection, TABLE)


def best(store: DocumentStore) -> list[str]:
    return [passage["text"] for passage in store.search("Which room costs 30,000 won?", k=3)]


def test_the_index_is_made_at_the_end_and_searches_go_on(
    store: DocumentStore, folder: Path, connection: psycopg.Connection, postgres_dsn: str
) -> None:
    assert indexed(connection)
    seen: list[bool] = []
    found: list[list[str]] = []
    told: list[tuple[str, int]] = []

    def look(name: str, done: int, total: int) -> None:
        seen.append(indexed(connection))
        with DocumentStore(postgres_dsn, HashEmbedder()) as other:  # must not make the index under the ingest
            found.append(best(other))

    store.ingest([folder], on_progress=look, on_work=lambda stage, n: told.append((stage, n)))
    assert seen == [False] * 8
    assert indexed(connection)
    assert told[-1] == ("indexing", 16)
    assert found[-1] == best(store)
    assert found[-1][0] == "Room 3 costs 30,000 won."


def test_a_small_ingest_keeps_the_index(
    store: DocumentStore, folder: Path, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []
    store.ingest([folder / "0.md"], on_progress=lambda *_: seen.append(indexed(connection)))
    store.ingest([folder])
    (folder / "new.md").write_text("# New\n\nOne more.\n\n## And\n\nAnother.\n")
    monkeypatch.setattr("store.ingesting.bulk.AT_LEAST", 1)
    monkeypatch.setattr("store.ingesting.bulk.SHARE", 2)  # 2 vectors beside 16
    store.ingest([folder / "new.md"], on_progress=lambda *_: seen.append(indexed(connection)))
    assert seen == [True, True]


def test_what_searches_for_long_does_not_hold_an_ingest_up(
    store: DocumentStore, folder: Path, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.ingesting.bulk.DROP_WAIT", "1ms")
    with psycopg.connect(postgres_dsn) as reader:
        reader.execute("SELECT count(*) FROM vectors_1")
        assert len(store.ingest([folder]).added) == 8
        assert is_indexed(reader, TABLE)


def test_two_large_ingests_and_the_later_makes_the_index(
    store: DocumentStore, folder: Path, connection: psycopg.Connection
) -> None:
    with bulk.Bulk(store._connections, TABLE) as other:
        other.coming(6, 1, 1)
        store.ingest([folder])
        assert not indexed(connection)
    assert indexed(connection)


def test_another_model_that_took_over_has_an_index_of_its_own(
    store: DocumentStore, folder: Path, connection: psycopg.Connection, postgres_dsn: str
) -> None:
    other = HashEmbedder("other", 32)

    def switch(name: str, done: int, total: int) -> None:
        if done == total:
            assert reembed(postgres_dsn, other) == 16

    assert len(store.ingest([folder], on_progress=switch).added) == 8
    assert is_indexed(connection, VectorTable(2))
    with pytest.raises(Conflict, match="embedded anew"):
        store.search("pool")


def test_an_ingest_killed_in_between_leaves_the_index_to_the_next_opening(
    store: DocumentStore, folder: Path, connection: psycopg.Connection, postgres_dsn: str
) -> None:
    died = ran("tests.store.killed_child", [postgres_dsn, str(folder), "bulk"])
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert not indexed(connection)
    exact = best(store)
    assert exact
    # its session, and with it its lock, ends when the server notices
    until(lambda: connection.execute("SELECT pg_try_advisory_lock(%s)", (bulk.LOCK,)).fetchone() == (True,))
    connection.execute("SELECT pg_advisory_unlock_all()")
    DocumentStore(postgres_dsn, HashEmbedder()).close()
    assert indexed(connection)
    assert best(store) == exact


def test_the_next_ingest_makes_an_index_that_is_missing(
    store: DocumentStore, folder: Path, connection: psycopg.Connection
) -> None:
    connection.execute("DROP INDEX vectors_1_hnsw")
    store.ingest([folder / "0.md"])
    assert indexed(connection)


def test_a_small_shared_memory_still_gives_an_index(
    store: DocumentStore, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    from store.schema import vectors

    real, tried = vectors._index, []

    def small(*given: object) -> None:
        tried.append(given[2])
        if len(tried) == 1:
            raise psycopg.errors.DiskFull("could not resize shared memory segment")
        real(*given)  # type: ignore[arg-type]

    connection.execute(sql.SQL("DROP INDEX vectors_1_hnsw"))
    monkeypatch.setattr(vectors, "_index", small)
    vectors.index(connection, TABLE)
    assert indexed(connection)
    assert tried[1]["max_parallel_maintenance_workers"] == "0"  # type: ignore[index]


def test_what_goes_with_passages_goes_from_every_table(
    store: DocumentStore, folder: Path, connection: psycopg.Connection
) -> None:
    store.ingest([folder])
    connection.execute("CREATE TABLE vectors_2 AS TABLE vectors_1")
    for n in range(7):
        store.delete(f"{n}.md")
    for table in ("postings", "vectors_1", "vectors_2"):
        statement = sql.SQL(
            "SELECT count(DISTINCT passage), count(*) FILTER (WHERE p.seq IS NULL) "
            "FROM {} LEFT JOIN passages p ON p.seq = passage"
        ).format(sql.Identifier(table))
        assert connection.execute(statement).fetchone() == (2, 0), table
    keys = connection.execute("SELECT count(*) FROM pg_constraint WHERE confrelid = 'passages'::regclass").fetchone()
    assert keys == (0,)
