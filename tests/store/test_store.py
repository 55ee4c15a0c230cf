"""Ingest, search, correct and delete on a real PostgreSQL."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from state import Conflict, PassingFault, UserError
from store.ingesting.reembedding import reembed
from store.schema import migrations as schema
from store.store import DocumentStore
from tests.store.conftest import HashEmbedder

POOL = "## Pool\n\nThe pool opens at 7 a.m.\n"
PARKING = "# House\n\n## Parking\n\nParking costs 15,000 won a night. Motorbikes park free.\n\n" + POOL
KOREAN = "# 안내\n\n## 주차\n\n주차 요금은 1박에 15,000원입니다.\n\n## 수영장\n\n수영장은 오전 7시에 엽니다.\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "docs"
    (place / "ko").mkdir(parents=True)
    (place / "house.md").write_text(PARKING, encoding="utf-8")
    (place / "ko" / "house.md").write_bytes(KOREAN.encode("cp949"))
    return place


def rows(dsn: str) -> dict[str, int]:
    with psycopg.connect(dsn) as connection:
        counts = {}
        for table in ("documents", "passages", "postings"):
            row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
            counts[table] = int(row[0]) if row else -1
        row = connection.execute("SELECT passages, terms FROM corpus").fetchone()
        assert row is not None
        real = connection.execute("SELECT count(*), coalesce(sum(length), 0) FROM passages WHERE current").fetchone()
        assert row == real, "the kept size of the corpus is wrong"
        return counts


def test_found_read_and_resolved_in_both_languages(store: DocumentStore, folder: Path, embedder: HashEmbedder) -> None:
    seen: list[tuple[str, int, int]] = []
    report = store.ingest([folder], on_progress=lambda *step: seen.append(step))
    assert (report.added, report.failed, report.passages) == (["house.md", "ko/house.md"], [], 4)
    assert seen == [("house.md", 1, 2), ("ko/house.md", 2, 2)]
    english = store.search("How much does parking cost?")[0]
    korean = store.search("주차 요금은 얼마예요?")[0]
    assert (english["title"], english["language"], set(english["scores"])) == (
        "House › Parking",
        "en",
        {"fused", "lexical", "vector"},
    )
    assert (korean["document"], korean["language"], set(korean["scores"])) == (
        "ko/house.md",
        "ko",
        {"fused", "lexical"},
    )
    for passage in (english, korean):
        assert store.document_text(passage["document"])[passage["start"] : passage["end"]] == passage["text"]
        assert all(0 <= score <= 1 for score in passage["scores"].values())
        assert passage["trust"] == "trusted"
    assert english["sentences"] == [[0, 33], [34, 55]]
    assert not any("주차" in text for text in embedder.seen), "the model does not know Korean"
    fetched = store.fetch([korean["id"], english["id"]])
    assert [p["id"] for p in fetched] == [korean["id"], english["id"]]
    assert fetched[1]["text"] == english["text"]


def test_ingest_twice_changes_nothing(store: DocumentStore, folder: Path, postgres_dsn: str) -> None:
    store.ingest([folder])
    before, first = rows(postgres_dsn), store.search("parking")
    again = store.ingest([folder])
    assert (again.added, again.replaced, again.passages) == ([], [], 0)
    assert again.unchanged == ["house.md", "ko/house.md"]
    assert rows(postgres_dsn) == before
    assert store.search("parking") == first


def test_ids_are_stable_and_change_with_the_text(store: DocumentStore, folder: Path) -> None:
    store.ingest([folder])
    before = store.search("parking")[0]["id"]
    store.delete("house.md")
    store.ingest([folder])
    assert store.search("parking")[0]["id"] == before
    (folder / "house.md").write_text(PARKING.replace("15,000", "16,000"), encoding="utf-8")
    assert store.ingest([folder]).replaced == ["house.md"]
    after = store.search("parking")[0]
    assert "16,000" in after["text"]
    assert after["id"] != before
    assert [p["id"] for p in store.fetch([before, after["id"]])] == [after["id"]]


def test_a_changed_file_replaces_its_passages(store: DocumentStore, folder: Path, postgres_dsn: str) -> None:
    store.ingest([folder])
    (folder / "house.md").write_text("# House\n\nThe sauna costs 12,000 won.\n", encoding="utf-8")
    store.ingest([folder])
    assert [p["text"] for p in store.search("parking pool sauna", filters={"language": "en"})] == [
        "The sauna costs 12,000 won."
    ]
    assert rows(postgres_dsn)["documents"] == 2


def test_two_ingests_of_one_file_at_once(postgres_dsn: str, embedder: HashEmbedder, folder: Path) -> None:
    gate = threading.Barrier(4)

    def one(_: int) -> list[str]:
        with DocumentStore(postgres_dsn, embedder) as store:
            gate.wait()
            report = store.ingest([folder])
            return [*report.added, *(message for _, message in report.failed)]

    with ThreadPoolExecutor(4) as pool:
        added = sorted(itertools.chain.from_iterable(pool.map(one, range(4))))
    assert added == ["house.md", "ko/house.md"]
    assert rows(postgres_dsn)["passages"] == 4


def test_a_broken_file_is_reported_and_the_rest_goes_in(store: DocumentStore, folder: Path) -> None:
    (folder / "broken.pdf").write_bytes(b"%PDF-1.4 half")
    (folder / "empty.txt").write_bytes(b"")
    (folder / "picture.txt").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    with (folder / "huge.txt").open("wb") as file:
        file.truncate(100 * 2**20)
    report = store.ingest([folder, folder / "없음.txt"])
    assert report.added == ["house.md", "ko/house.md"]
    assert {name for name, _ in report.failed} == {"broken.pdf", "empty.txt", "huge.txt", "picture.txt", "없음.txt"}
    assert all(name in message for name, message in report.failed)


def test_a_cut_off_batch_is_taken_up_again(
    store: DocumentStore, folder: Path, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.ingesting.ingest.BATCH_DOCUMENTS", 1)

    class Cut(Exception):
        pass

    def cut(name: str, done: int, total: int) -> None:
        raise Cut

    with pytest.raises(Cut):
        store.ingest([folder], on_progress=cut)
    assert rows(postgres_dsn)["documents"] == 1
    report = store.ingest([folder])
    assert (report.unchanged, report.added) == (["house.md"], ["ko/house.md"])


def test_a_failure_inside_the_transaction_leaves_the_old_document(
    store: DocumentStore, folder: Path, postgres_dsn: str
) -> None:
    store.ingest([folder])
    before = rows(postgres_dsn)
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute("ALTER TABLE postings ADD CHECK (term <> 'forbidden')")
    (folder / "house.md").write_text("# House\n\nForbidden words are here.\n", encoding="utf-8")
    with pytest.raises(psycopg.errors.CheckViolation):
        store.ingest([folder])
    assert rows(postgres_dsn) == before
    assert "15,000" in store.search("parking")[0]["text"]


def test_one_name_of_two_files_is_not_mixed_up(store: DocumentStore, folder: Path) -> None:
    store.ingest([folder / "house.md"])
    report = store.ingest([folder / "ko" / "house.md"])
    assert "is the name of another document" in report.failed[0][1]
    assert store.search("parking")[0]["document"] == "house.md"


def test_uploads_replace_by_name_and_are_untrusted(store: DocumentStore) -> None:
    assert store.ingest_bytes("note.txt", "조식은 무료입니다.".encode()).added == ["note.txt"]
    assert store.ingest_bytes("note.txt", "조식은 유료입니다.".encode()).replaced == ["note.txt"]
    (found,) = store.search("조식")
    assert (found["text"], found["trust"]) == ("조식은 유료입니다.", "untrusted")
    with pytest.raises(UserError, match=r"note\.xyz"):
        store.ingest_bytes("note.xyz", b"text")


def test_a_filter_that_matches_one_in_a_hundred_loses_nothing(store: DocumentStore, postgres_dsn: str) -> None:
    many = "\n".join(f"- Room {n} faces the garden with word{n % 50}." for n in range(2000))
    store.ingest_bytes("many.md", many.encode())
    store.ingest_bytes("few.md", "\n".join(f"- Cabin {n} faces the sea." for n in range(20)).encode())
    found = store.search("zebra quagga okapi", k=4, filters={"document": "few.md"})
    assert [p["document"] for p in found] == ["few.md"] * 4  # nothing lexical: all from the exact vector half


BAD_QUERIES = [
    "'; DROP TABLE passages; --",
    "parking' & | ! <-> :* (",
    '"unclosed',
    "%s %(terms)s {}",
    "parking\x00night",
    "parking \ud800 night",
    "주차\u200b \u200d요금",
    "\u202eparking",
    "parking " * 12_500,
    "가" * 100_000,
    "\\x",
    "😀 parking",
    "15,000",
    "the of and",
]


@pytest.mark.parametrize("query", BAD_QUERIES, ids=range(len(BAD_QUERIES)))
def test_odd_queries_are_searched_without_error(store: DocumentStore, folder: Path, query: str) -> None:
    store.ingest([folder])
    found = store.search(query)
    if "parking" in query:
        assert found[0]["title"] == "House › Parking"
    if "주차" in query:
        assert found[0]["title"] == "안내 › 주차"


@pytest.mark.parametrize("query", ["", "   ", "\u200b\u200d", "\x00\x00", "?!…", "😀", "\ud800"])
def test_a_query_without_words_finds_nothing(store: DocumentStore, query: str) -> None:
    store.ingest_bytes("house.md", "Parking is free! 주차는 무료입니다?".encode())
    assert store.search(query) == []


def test_an_empty_store_finds_nothing(store: DocumentStore) -> None:
    assert store.search("parking") == []
    assert store.documents() == []
    with pytest.raises(UserError, match="no document"):
        store.document_text("none.md")
    with pytest.raises(UserError, match="no document"):
        store.delete("none.md")


def test_delete_takes_everything_out(store: DocumentStore, folder: Path, postgres_dsn: str) -> None:
    store.ingest([folder])
    store.delete("house.md")
    assert [row["name"] for row in store.documents()] == ["ko/house.md"]
    assert [p["document"] for p in store.search("parking 주차", k=10)] == ["ko/house.md"]
    store.delete("ko/house.md")
    assert rows(postgres_dsn) == {"documents": 0, "passages": 0, "postings": 0}


def test_a_correction_is_a_new_version(store: DocumentStore, folder: Path, postgres_dsn: str) -> None:
    store.ingest([folder])
    old = store.search("parking")[0]
    new = store.correct(old["id"], "Parking costs 17,000 won a night.", author="kim", reason="new price")
    assert store.search("parking")[0]["text"] == "Parking costs 17,000 won a night."
    assert store.fetch([old["id"]])[0]["text"] == old["text"]
    assert (new["start"], new["end"], new["sentences"]) == (old["start"], old["end"], [[0, 33]])
    assert rows(postgres_dsn)["passages"] == 5
    with pytest.raises(Conflict, match="corrected meanwhile, by kim, as p"):
        store.correct(old["id"], "Parking is free.", author="lee", reason="")
    with pytest.raises(UserError, match="text and an author"):
        store.correct(new["id"], "  ", author="lee", reason="")
    store.delete("house.md")
    assert rows(postgres_dsn)["passages"] == 2


def test_another_model_is_refused_until_reembedded(
    store: DocumentStore, folder: Path, postgres_dsn: str, embedder: HashEmbedder
) -> None:
    store.ingest([folder])
    other = HashEmbedder("other-words", dimension=32)
    with pytest.raises(UserError, match=r"embedded by hash-words \(64 wide, revision 1\).*dojang documents reembed"):
        DocumentStore(postgres_dsn, other)
    assert reembed(postgres_dsn, other) == 2
    with DocumentStore(postgres_dsn, other) as again:
        assert again.search("How much does parking cost?")[0]["scores"]["vector"] > 0.1
    with pytest.raises(UserError, match="embedded by other-words"):
        DocumentStore(postgres_dsn, embedder)


def test_without_an_embedder_words_alone_are_searched(postgres_dsn: str, folder: Path) -> None:
    with DocumentStore(postgres_dsn, None) as store:
        store.ingest([folder])
        found = store.search("parking")[0]
        assert (found["title"], set(found["scores"])) == ("House › Parking", {"fused", "lexical"})


def test_migrations_at_once_and_again(postgres_dsn: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        for store in pool.map(lambda _: DocumentStore(postgres_dsn, HashEmbedder()), range(4)):
            store.close()
    with psycopg.connect(postgres_dsn) as connection:
        row = connection.execute("SELECT array_agg(n ORDER BY n) FROM store_migrations").fetchone()
        assert row == (list(range(1, len(schema.MIGRATIONS) + 1)),)
        connection.execute("INSERT INTO store_migrations (n) VALUES (999)")
    with pytest.raises(UserError, match="schema 999"):
        DocumentStore(postgres_dsn, None)


def test_the_hybrid_is_one_statement(store: DocumentStore, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store.ingest([folder])
    sent: list[str] = []
    real: Callable[..., object] = psycopg.Connection.execute

    def spy(self: psycopg.Connection[object], query: object, *rest: object, **more: object) -> object:
        sent.append(str(query))
        return real(self, query, *rest, **more)

    monkeypatch.setattr(psycopg.Connection, "execute", spy)
    store.search("parking")
    assert len([query for query in sent if "postings" in query]) == 1
    assert len([query for query in sent if "<=>" in query]) == 1


def test_many_threads_search_at_once(store: DocumentStore, folder: Path) -> None:
    store.ingest([folder])
    with ThreadPoolExecutor(12) as pool:
        titles = {found[0]["title"] for found in pool.map(lambda _: store.search("parking"), range(60))}
    assert titles == {"House › Parking"}


def test_a_broken_connection_is_replaced(store: DocumentStore, folder: Path, postgres_dsn: str) -> None:
    store.ingest([folder])
    store.search("parking")
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    assert store.search("parking")[0]["title"] == "House › Parking"


def test_a_dead_server_is_a_passing_fault() -> None:
    with pytest.raises(PassingFault, match="does not answer") as fault:
        DocumentStore("postgresql://kim:hush@127.0.0.1:9/x", None)
    assert "hush" not in str(fault.value)


def test_k_is_checked(store: DocumentStore) -> None:
    with pytest.raises(UserError, match="k is 0"):
        store.search("parking", k=0)
