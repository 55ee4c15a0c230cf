"""The statement's shortcuts change what a search costs, not what it finds."""

from __future__ import annotations

import math
from collections import Counter

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store.schema import term_counts
from store.searching.search import Ranking
from store.store import DocumentStore
from store.text.language import terms
from tests.store.conftest import HashEmbedder

WORDS = "parking pool sauna garden breakfast towel lobby bicycle minibar shuttle".split()


@pytest.fixture
def hotel(store: DocumentStore) -> DocumentStore:
    """Forty documents: "hotel" in all of them, "even" in half, one word of its own in each."""
    for n in range(40):
        even = "even " if n % 2 == 0 else ""
        text = f"The hotel {even}has {WORDS[n % 10]} and {WORDS[n % 7]} and unique{n}."
        store.ingest_bytes(f"{n:02d}.txt", text.encode(), metadata={"half": str(n % 2)})
    return store


def counted(dsn: str) -> dict[str, int]:
    """The kept document frequencies, after a comparison with the postings."""
    with psycopg.connect(dsn) as connection:
        kept: dict[str, int] = dict(connection.execute("SELECT term, df FROM term_counts").fetchall())
        real: dict[str, int] = dict(connection.execute("SELECT term, count(*) FROM postings GROUP BY term").fetchall())
        assert kept == real
        connection.execute(term_counts.RECOUNT)
        assert dict(connection.execute("SELECT term, df FROM term_counts").fetchall()) == real
    return kept


def test_document_frequencies_follow_everything(hotel: DocumentStore, postgres_dsn: str) -> None:
    assert counted(postgres_dsn)["hotel"] == 40
    hotel.delete("07.txt")
    assert counted(postgres_dsn)["hotel"] == 39
    assert "unique7" not in counted(postgres_dsn)
    hotel.ingest_bytes("08.txt", b"The hotel burned down.")
    passage = hotel.search("unique9")[0]
    hotel.correct(passage["id"], "The inn has nothing.", author="kim", reason="")
    after = counted(postgres_dsn)
    assert (after["hotel"], after["inn"], "unique8" in after) == (38, 1, False)


def test_scores_are_bm25(hotel: DocumentStore) -> None:
    """By the formula, in Python, over the texts (Robertson and Zaragoza, 2009, section 3.4, with Lucene's idf)."""
    k1, b = Ranking().k1, Ranking().b
    every = hotel.search("even hotel pool zebra", k=40)
    texts = {passage["document"]: f"{passage['title']}\n{passage['text']}" for passage in every}
    counts = {name: Counter(terms(text)) for name, text in texts.items()}
    average = sum(map(Counter.total, counts.values())) / len(counts)
    asked = terms("even hotel pool zebra")

    def idf(term: str) -> float:
        df = sum(term in one for one in counts.values())
        return math.log(1 + (len(counts) - df + 0.5) / (df + 0.5))

    def score(one: Counter[str]) -> float:
        room = k1 * (1 - b + b * one.total() / average)
        return sum(idf(t) * one[t] * (k1 + 1) / (one[t] + room) for t in asked) / (sum(map(idf, asked)) * (k1 + 1))

    assert len(every) == 40
    for passage in every:
        assert passage["scores"]["lexical"] == pytest.approx(score(counts[passage["document"]]), abs=2e-6)


@pytest.mark.parametrize("budget", [0, 1, 5, 25])
def test_a_small_budget_counts_frequent_words_too(hotel: DocumentStore, budget: int) -> None:
    question = "unique4 even hotel pool"
    hotel.ranking = Ranking(lexical_weight=1.0)
    exact = {p["id"]: p["scores"] for p in hotel.search(question, k=40)}
    hotel.ranking = Ranking(lexical_weight=1.0, budget=budget)
    found = hotel.search(question, k=5)
    assert found[0]["document"] == "04.txt"
    assert [p["scores"] for p in found] == [exact[p["id"]] for p in found]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=st.lists(st.sampled_from([*WORDS, "hotel", "even", "unique3"]), min_size=1, max_size=5))
def test_what_has_a_rare_word_is_never_lost(hotel: DocumentStore, words: list[str]) -> None:
    question = f"unique11 {' '.join(words)}"
    hotel.ranking = Ranking(lexical_weight=1.0)
    right = {p["document"]: p["scores"] for p in hotel.search(question, k=40)}
    hotel.ranking = Ranking(lexical_weight=1.0, budget=0)
    assert {p["document"]: p["scores"] for p in hotel.search(question, k=40)} == {"11.txt": right["11.txt"]}


def test_many_matches_of_a_filter_go_another_way_to_the_same_place(
    hotel: DocumentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions = ["even pool", "hotel", "unique4 sauna", "zebra"]
    for wanted in ({"half": "0"}, {"half": "1", "language": "en"}, {"document": "11.txt"}, {"half": "none"}):
        few = [hotel.search(question, k=4, filters=wanted) for question in questions]
        monkeypatch.setattr("store.searching.search.EXACT_BELOW", 0)
        many = [hotel.search(question, k=4, filters=wanted) for question in questions]
        monkeypatch.undo()
        assert many == few
        assert all(int(p["document"][:2]) % 2 == int(wanted.get("half", "1")) for found in few for p in found)


def test_each_half_alone(hotel: DocumentStore, embedder: HashEmbedder) -> None:
    embedder.seen.clear()
    hotel.ranking = Ranking(lexical_weight=1.0)
    assert set(hotel.search("pool")[0]["scores"]) == {"fused", "lexical"}
    assert embedder.seen == [], "words alone need no vector"
    hotel.ranking = Ranking(lexical_weight=0.0)
    alone = hotel.search("pool")[0]["scores"]
    assert alone["fused"] == alone["vector"] > 0


def test_more_asked_for_than_there_is(hotel: DocumentStore) -> None:
    assert len(hotel.search("hotel", k=500)) == 40
    assert len({p["id"] for p in hotel.search("hotel", k=500)}) == 40
