"""kill -9 of an ingest and of the server under it: nothing is half in, and doing it again finishes it."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from state import PassingFault
from store.postgres.embedded import EmbeddedPostgres
from store.postgres.server import Server
from store.store import DocumentStore
from tests.processes import Ended, ran
from tests.store.test_embedded import until

KILLS = int(os.environ.get("DOJANG_TEST_KILLS", "6"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "docs"
    place.mkdir()
    for n in range(8):
        (place / f"{n}.md").write_text(f"# House {n}\n\nRoom {n} costs {n}0,000 won. It sleeps {n}.\n\n주차는 {n}대.\n")
    (place / "long.md").write_text("# Long\n\n" + "\n".join(f"- Rule {n} says {n * 7}." for n in range(300)))
    return place


def child(dsn: str, folder: Path, last: int) -> Ended:
    return ran("tests.store.killed_child", [dsn, str(folder), str(last)])


def content(dsn: str) -> dict[str, Any]:
    """Everything but numbers of rows and times."""
    with psycopg.connect(dsn) as connection:
        return {
            "documents": connection.execute(
                "SELECT name, digest, passages, text FROM documents ORDER BY name"
            ).fetchall(),
            "passages": connection.execute(
                "SELECT p.id, d.name, p.current, p.text, p.length "
                "FROM passages p JOIN documents d ON d.id = p.document ORDER BY p.id"
            ).fetchall(),
            "postings": connection.execute(
                "SELECT p.id, term, tf, t.length FROM postings t JOIN passages p ON p.seq = t.passage ORDER BY 1, 2"
            ).fetchall(),
            "corpus": connection.execute("SELECT passages, terms FROM corpus").fetchall(),
        }


def whole(dsn: str) -> None:
    """What holds after any kill: documents have all of their passages, and the corpus is as large as it says."""
    with psycopg.connect(dsn) as connection:
        torn = connection.execute(
            "SELECT d.name FROM documents d LEFT JOIN passages p ON p.document = d.id AND p.current "
            "GROUP BY d.id HAVING count(p.seq) <> d.passages OR count(p.seq) = 0"
        ).fetchall()
        assert torn == []
        said = connection.execute("SELECT passages, terms FROM corpus").fetchone()
        real = connection.execute("SELECT count(*), coalesce(sum(length), 0) FROM passages WHERE current").fetchone()
        assert said == real


def emptied(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        for row in connection.execute("SELECT name FROM documents").fetchall():
            connection.execute("DELETE FROM documents WHERE name = %s", row)
        connection.execute("UPDATE corpus SET passages = 0, terms = 0")


@pytest.mark.slow
def test_killed_at_any_call_nothing_is_half_in_and_the_next_run_finishes(postgres_dsn: str, folder: Path) -> None:
    clean = child(postgres_dsn, folder, 0)
    calls, *fates = map(int, clean.stdout.split())
    assert fates == [9, 0, 0, 0]
    expected = content(postgres_dsn)
    instants = random.Random(7).sample(range(1, calls + 1), KILLS)
    for instant in instants:
        emptied(postgres_dsn)
        died = child(postgres_dsn, folder, instant)
        assert died.returncode == -signal.SIGKILL, (instant, died.stderr)
        with DocumentStore(postgres_dsn, None) as store:  # a backend that still rolls back holds the names' locks
            until(lambda: _nobody_else(postgres_dsn))
            whole(postgres_dsn)
            report = store.ingest([folder])
        assert report.failed == []
        assert content(postgres_dsn) == expected, instant


def _nobody_else(dsn: str) -> bool:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
            "AND state <> 'idle'"
        ).fetchone()
    return row == (0,)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    embedded = EmbeddedPostgres(tmp_path / "postgres", linger_s=0.2)
    yield embedded
    embedded.stop()
    Server(tmp_path / "postgres").stop()


def test_the_server_killed_mid_ingest_is_a_passing_fault_and_it_goes_on(
    server: EmbeddedPostgres, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.ingesting.ingest.BATCH_DOCUMENTS", 2)
    with DocumentStore(server.start(), None) as store:

        def kill(name: str, done: int, total: int) -> None:
            pid = Server(server.directory).pid()
            if done == 4 and pid is not None:
                os.kill(pid, signal.SIGKILL)
                until(lambda: Server(server.directory).pid() is None)

        with pytest.raises(PassingFault, match="try again"):
            store.ingest([folder], on_progress=kill)
        dsn = server.start()
        whole(dsn)
        report = store.ingest([folder])
        assert len(report.unchanged) == 4
        assert len(report.added) == 5
        whole(dsn)


def test_several_processes_ingest_one_folder_at_once(postgres_dsn: str, folder: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        ended = list(pool.map(lambda _: child(postgres_dsn, folder, 0), range(4)))
    assert [one.stderr for one in ended] == [""] * 4
    fates = [list(map(int, one.stdout.split()))[1:] for one in ended]
    assert sum(added for added, *_ in fates) == 9
    assert all(replaced == failed == 0 for _, replaced, _, failed in fates)
    whole(postgres_dsn)
