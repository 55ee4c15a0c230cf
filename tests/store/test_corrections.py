"""Corrections: versions, undo, history, and what becomes of them when the file changes. In both languages."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from state import Conflict, UserError
from store.store import DocumentStore

HOUSE = "# House\n\n## Parking\n\nParking costs 15,000 won a night.\n\n## Pool\n\nThe pool opens at 7 a.m.\n"
KOREAN = "# 안내\n\n## 주차\n\n주차 요금은 1박에 15,000원입니다.\n\n## 수영장\n\n수영장은 오전 7시에 엽니다.\n"
CASES = [
    ("house.md", HOUSE, "parking", "Parking costs 17,000 won a night.", "Parking is free for members."),
    ("안내.md", KOREAN, "주차", "주차 요금은 1박에 17,000원입니다.", "주차는 회원에게 무료입니다."),
]


def corpus_is_right(dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        said = connection.execute("SELECT passages, terms FROM corpus").fetchone()
        real = connection.execute("SELECT count(*), coalesce(sum(length), 0) FROM passages WHERE current").fetchone()
    assert said == real


@pytest.mark.parametrize(("name", "text", "query", "second", "third"), CASES, ids=["en", "ko"])
def test_corrected_twice_and_undone_twice(
    store: DocumentStore, postgres_dsn: str, name: str, text: str, query: str, second: str, third: str
) -> None:
    store.ingest_bytes(name, text.encode())
    first = store.search(query)[0]
    new = store.correct(first["id"], second, author="kim", reason="price list of May")
    newer = store.correct(new["id"], third, author="lee", reason="회원 혜택")
    assert store.search(query)[0]["text"] == third
    back = store.undo_correction(newer["id"], author="park", reason="not yet")
    assert (back["text"], store.search(query)[0]["text"]) == (second, second)
    again = store.undo_correction(back["id"], author="park")
    assert store.search(query)[0]["text"] == first["text"] == again["text"]
    with pytest.raises(UserError, match="no correction to undo"):
        store.undo_correction(again["id"], author="park")
    chain = store.history(first["id"])
    assert [(one["kind"], one["author"], one["text"]) for one in chain] == [
        ("correct", "kim", second),
        ("correct", "lee", third),
        ("undo", "park", second),
        ("undo", "park", first["text"]),
    ]
    assert chain == store.history(newer["id"]) == store.history(again["id"])
    assert chain[1]["reason"] == "회원 혜택"
    assert chain[0]["at"].endswith("Z")
    ids = [first["id"], new["id"], newer["id"], back["id"], again["id"]]
    assert [p["text"] for p in store.fetch(ids)] == [first["text"], second, third, second, first["text"]]
    assert len(set(ids)) == 5
    corpus_is_right(postgres_dsn)
    assert store.history("p-unknown") == []


def test_who_corrects_an_old_version_learns_the_newer_one(store: DocumentStore) -> None:
    store.ingest_bytes("house.md", HOUSE.encode())
    first = store.search("parking")[0]
    new = store.correct(first["id"], "Parking is free.", author="kim", reason="")
    with pytest.raises(Conflict, match=new["id"]):
        store.correct(first["id"], "Parking is closed.", author="lee", reason="")
    with pytest.raises(Conflict, match=new["id"]):
        store.undo_correction(first["id"], author="lee")


@pytest.mark.parametrize(
    ("text", "author", "says"),
    [
        ("  ", "kim", "text and an author"),
        ("Free.", " ", "text and an author"),
        ("x" * 20_001, "kim", "shorten it"),
        ("Parking costs 15,000 won a night.", "kim", "nothing to correct"),
    ],
)
def test_what_is_no_correction(store: DocumentStore, text: str, author: str, says: str) -> None:
    store.ingest_bytes("house.md", HOUSE.encode())
    with pytest.raises(UserError, match=says):
        store.correct(store.search("parking")[0]["id"], text, author=author, reason="")
    with pytest.raises(UserError, match="is gone"):
        store.correct("p-unknown\x00", "Free.", author="kim", reason="")


def test_of_many_corrections_at_once_one_wins(store: DocumentStore, postgres_dsn: str) -> None:
    store.ingest_bytes("house.md", HOUSE.encode())
    passage = store.search("parking")[0]["id"]

    def attempt(n: int) -> bool:
        try:
            store.correct(passage, f"Parking costs {n} won.", author=f"user{n}", reason="")
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(8))) == 1
    assert len(store.history(passage)) == 1
    corpus_is_right(postgres_dsn)


@pytest.mark.parametrize(("name", "text", "query", "second", "third"), CASES, ids=["en", "ko"])
def test_a_correction_holds_where_the_changed_file_still_says_what_was_corrected(
    store: DocumentStore, postgres_dsn: str, name: str, text: str, query: str, second: str, third: str
) -> None:
    store.ingest_bytes(name, text.encode())
    first = store.search(query)[0]
    store.correct(first["id"], second, author="kim", reason="May")
    longer = text.replace("## ", "Something new stands here now.\n\n## ", 1)
    report = store.ingest_bytes(name, longer.encode())
    assert (report.replaced, report.carried, report.aside) == ([name], 1, [])
    found = store.search(query)[0]
    assert found["text"] == second
    assert longer[found["start"] : found["end"]] == first["text"]
    assert [one["kind"] for one in store.history(first["id"])] == ["correct", "carried"]
    assert [one["author"] for one in store.history(found["id"])] == ["kim", "kim"]
    restored = store.undo_correction(found["id"], author="lee")
    assert restored["text"] == first["text"]
    assert store.ingest_bytes(name, text.encode()).carried == 0  # it was undone: there is nothing to carry
    corpus_is_right(postgres_dsn)


def test_a_correction_is_set_aside_where_the_file_says_something_else(store: DocumentStore, postgres_dsn: str) -> None:
    store.ingest_bytes("house.md", HOUSE.encode())
    first = store.search("parking")[0]
    store.correct(first["id"], "Parking costs 17,000 won a night.", author="kim", reason="May")
    report = store.ingest_bytes("house.md", HOUSE.replace("15,000", "19,000").encode())
    assert report.aside == [("house.md", "Parking costs 17,000 won a night.")]
    assert store.search("parking")[0]["text"] == "Parking costs 19,000 won a night."
    (waiting,) = store.set_aside()
    assert (waiting["author"], waiting["old_text"]) == ("kim", first["text"])
    store.settle(waiting["n"], author="lee", reason="the file is right")
    assert store.set_aside() == []
    assert [one["kind"] for one in store.history(first["id"])] == ["correct", "aside", "settled"]
    with pytest.raises(UserError, match="set aside"):
        store.settle(waiting["n"], author="lee")
    corpus_is_right(postgres_dsn)


def test_a_correction_that_the_file_has_taken_over_is_settled(store: DocumentStore) -> None:
    store.ingest_bytes("house.md", HOUSE.encode())
    first = store.search("parking")[0]
    store.correct(first["id"], "Parking costs 17,000 won a night.", author="kim", reason="May")
    report = store.ingest_bytes("house.md", HOUSE.replace("15,000", "17,000").encode())
    assert (report.carried, report.aside, store.set_aside()) == (0, [], [])
    assert [one["kind"] for one in store.history(first["id"])] == ["correct", "settled"]


def test_a_reindex_keeps_corrections_and_a_deleted_document_its_history(
    store: DocumentStore, postgres_dsn: str
) -> None:
    store.ingest_bytes("house.md", HOUSE.encode())
    first = store.search("parking")[0]
    new = store.correct(first["id"], "Parking is free.", author="kim", reason="")
    assert store.reindex().carried == 1
    found = store.search("parking")[0]
    assert (found["id"], found["text"]) == (new["id"], "Parking is free.")
    corpus_is_right(postgres_dsn)
    store.delete("house.md")
    assert [one["kind"] for one in store.history(first["id"])] == ["correct", "carried"]
    corpus_is_right(postgres_dsn)


def test_a_correction_and_an_ingest_at_once_lose_nothing(store: DocumentStore, postgres_dsn: str) -> None:
    store.ingest_bytes("house.md", HOUSE.encode())
    for n in range(6):
        passage = store.search("parking")[0]
        texts = [f"{HOUSE}\n\nNote {n}.", f"Parking costs {n} won a night."]
        with ThreadPoolExecutor(2) as pool:
            ingesting = pool.submit(store.ingest_bytes, "house.md", texts[0].encode())
            correcting = pool.submit(store.correct, passage["id"], texts[1], author="kim", reason="")
            ingesting.result()
            refused = isinstance(correcting.exception(), UserError)
        said = store.search("parking")[0]["text"]
        assert (said == passage["text"]) if refused else (said == texts[1])
    corpus_is_right(postgres_dsn)
