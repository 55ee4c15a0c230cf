"""Another embedding model beside the one in use: kills, ingests meanwhile, the switch."""

from __future__ import annotations

import signal
import threading
from collections.abc import Sequence

import psycopg
import pytest

from state import Conflict, PassingFault, UserError
from store.database import Connection
from store.ingesting.reembedding import reembed
from store.models.embedding import Vectors
from store.schema.vectors import VectorTable, index
from store.store import DocumentStore
from tests.processes import Forked
from tests.store.conftest import HashEmbedder

WIDTH = 32


def fill(store: DocumentStore, passages: int = 60, name: str = "many.md") -> None:
    text = "\n\n".join(f"## Room {n}\n\nRoom {n} faces the garden{n % 7} with word{n}." for n in range(passages))
    store.ingest_bytes(name, text.encode())


def model(dsn: str) -> dict[str, str]:
    with psycopg.connect(dsn) as connection:
        return dict(connection.execute("SELECT key, value FROM store_meta").fetchall())


def tables(dsn: str) -> list[str]:
    with psycopg.connect(dsn) as connection:
        rows = connection.execute("SELECT relname FROM pg_class WHERE relname ~ '^vectors_\\d+$' ORDER BY 1").fetchall()
    return [str(row[0]) for row in rows]


def lacking(dsn: str, table: str) -> int:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(
            f"SELECT count(*) FROM passages p WHERE current AND language = 'en' "
            f"AND NOT EXISTS (SELECT 1 FROM {table} v WHERE v.passage = p.seq)"
        ).fetchone()
    return int(row[0]) if row else -1


class Meanwhile(HashEmbedder):
    """Does something at its ``at``-th call."""

    def __init__(self, at: int, act: object) -> None:
        super().__init__("other", WIDTH)
        self.calls, self.at, self.act = 0, at, act

    def embed(self, texts: Sequence[str]) -> Vectors:
        self.calls += 1
        if self.calls == self.at and callable(self.act):
            self.act()
        return super().embed(texts)


def test_the_old_model_serves_until_the_switch(store: DocumentStore, postgres_dsn: str) -> None:
    fill(store)
    seen: list[float] = []
    steps: list[tuple[int, int]] = []

    def look() -> None:
        seen.append(store.search("Room 7 garden0")[0]["scores"]["vector"])
        assert model(postgres_dsn)["model"] == "hash-words"
        fill(store, 5, "meanwhile.md")

    made = reembed(postgres_dsn, Meanwhile(3, look), lambda *step: steps.append(step), batch=10)
    assert seen[0] > 0.5
    assert made == 65
    assert steps[0] == (10, 60)
    assert [done for done, _ in steps] == sorted({done for done, _ in steps})
    assert tables(postgres_dsn) == ["vectors_2"]
    assert (model(postgres_dsn)["model"], model(postgres_dsn)["dimension"]) == ("other", "32")
    assert not any(key.startswith("next_") for key in model(postgres_dsn))
    assert lacking(postgres_dsn, "vectors_2") == 0
    with DocumentStore(postgres_dsn, HashEmbedder("other", WIDTH)) as again:
        assert again.search("Room 7 garden0")[0]["scores"]["vector"] > 0.5


def test_a_process_with_the_old_model_is_told(store: DocumentStore, postgres_dsn: str) -> None:
    fill(store)
    for _ in range(3):
        store.search("Room 7")  # prepared
    reembed(postgres_dsn, HashEmbedder("other", WIDTH))
    with pytest.raises(Conflict, match="embedded anew by another model"):
        store.search("Room 7")
    with pytest.raises(Conflict, match="embedded anew by another model"):
        fill(store, 3, "late.md")
    with pytest.raises(Conflict, match="embedded anew by another model"):
        store.ingest_bytes("late.txt", "주차는 무료입니다.".encode())  # no vector of its own, and still not mixed in
    with DocumentStore(postgres_dsn, HashEmbedder("other", WIDTH)) as again:
        assert [row["name"] for row in again.documents()] == ["many.md"]


@pytest.mark.parametrize("batches", [1, 4, 8])
def test_killed_and_taken_up_again(store: DocumentStore, postgres_dsn: str, batches: int) -> None:
    fill(store)
    with Forked("tests.store.reembed_child", [postgres_dsn, "other", str(WIDTH), str(batches)]) as child:
        for _ in range(batches):
            child.stdout.readline()
        child.send_signal(signal.SIGKILL)
    assert store.search("Room 7 garden0")[0]["scores"]["vector"] > 0.5, "the old vectors serve on"
    _wait_until_alone(postgres_dsn)
    other = HashEmbedder("other", WIDTH)
    made = reembed(postgres_dsn, other, batch=8)
    assert made == len(other.seen)
    assert made == max(60 - 8 * batches, 0), "what was done before the kill is not done again"
    assert lacking(postgres_dsn, tables(postgres_dsn)[-1]) == 0
    with DocumentStore(postgres_dsn, HashEmbedder("other", WIDTH)) as again:
        assert again.search("Room 7 garden0")[0]["scores"]["vector"] > 0.5


def _wait_until_alone(dsn: str) -> None:
    """The killed client's session ends when the server notices; its lock goes with it."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(4701310024)")


def test_a_change_of_mind_begins_anew(store: DocumentStore, postgres_dsn: str) -> None:
    fill(store)

    def fail() -> None:
        raise PassingFault("the endpoint is away")

    with pytest.raises(PassingFault):
        reembed(postgres_dsn, Meanwhile(3, fail), batch=10)
    assert tables(postgres_dsn) == ["vectors_1", "vectors_2"]
    assert reembed(postgres_dsn, HashEmbedder("third", 16), batch=10) == 60
    assert tables(postgres_dsn) == ["vectors_3"]


def test_the_model_in_use_gets_what_it_lacks(store: DocumentStore, postgres_dsn: str, embedder: HashEmbedder) -> None:
    fill(store)
    with DocumentStore(postgres_dsn, None) as words_only:
        fill(words_only, 4, "words.md")
    assert lacking(postgres_dsn, "vectors_1") == 4
    assert reembed(postgres_dsn, embedder) == 4
    assert reembed(postgres_dsn, embedder) == 0
    assert tables(postgres_dsn) == ["vectors_1"]


def test_two_at_once(store: DocumentStore, postgres_dsn: str) -> None:
    fill(store)
    inside, done = threading.Event(), threading.Event()

    def wait() -> None:
        inside.set()
        assert done.wait(30)

    worker = threading.Thread(target=reembed, args=(postgres_dsn, Meanwhile(1, wait)))
    worker.start()
    assert inside.wait(30)
    with pytest.raises(Conflict, match="another process embeds"):
        reembed(postgres_dsn, HashEmbedder("third", 16))
    done.set()
    worker.join()
    assert model(postgres_dsn)["model"] == "other"


def test_a_document_deleted_meanwhile(store: DocumentStore, postgres_dsn: str) -> None:
    fill(store)
    fill(store, 5, "gone.md")
    reembed(postgres_dsn, Meanwhile(1, lambda: store.delete("many.md")), batch=10)
    assert lacking(postgres_dsn, "vectors_2") == 0
    with psycopg.connect(postgres_dsn) as connection:
        assert connection.execute("SELECT count(*) FROM vectors_2").fetchone() == (5,)


def test_another_revision_is_another_model(store: DocumentStore, postgres_dsn: str, embedder: HashEmbedder) -> None:
    newer = HashEmbedder()
    newer.revision = "2"
    with pytest.raises(UserError, match=r"revision 1\), the setting is .*revision 2\): run `dojang documents reembed`"):
        DocumentStore(postgres_dsn, newer)
    unknown = HashEmbedder()
    unknown.revision = ""
    DocumentStore(postgres_dsn, unknown).close()
    assert model(postgres_dsn)["revision"] == "1"


def test_vectors_in_a_column_are_moved(store: DocumentStore, postgres_dsn: str, embedder: HashEmbedder) -> None:
    fill(store)
    before = store.search("Room 7 garden0")
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute("ALTER TABLE passages ADD COLUMN embedding halfvec(64)")
        connection.execute("UPDATE passages p SET embedding = v.embedding FROM vectors_1 v WHERE v.passage = p.seq")
        connection.execute("DROP TABLE vectors_1")
        connection.execute("DELETE FROM store_meta WHERE key IN ('vectors', 'revision')")
    with DocumentStore(postgres_dsn, embedder) as moved:
        assert moved.search("Room 7 garden0") == before
    assert model(postgres_dsn)["revision"] == "1"


@pytest.mark.parametrize("late", [5, 90])
def test_what_comes_while_the_index_is_built(
    store: DocumentStore, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch, late: int
) -> None:
    """A few are embedded in the switch itself; with more than that another round is made before it."""
    fill(store)

    def built(connection: Connection, table: VectorTable) -> None:
        index(connection, table)
        fill(store, late, "late.md")

    monkeypatch.setattr("store.ingesting.reembedding.index", built)
    assert reembed(postgres_dsn, HashEmbedder("other", WIDTH)) == 60 + late
    assert lacking(postgres_dsn, "vectors_2") == 0
