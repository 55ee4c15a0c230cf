"""Qdrant by URL: a key, indexes of payload, errors. The engine behind the test server is local (see qdrant_server)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from state import PassingFault, UserError
from store.qdrant.store import INDEXED, QdrantStore, reembed
from tests.store.conftest import HashEmbedder
from tests.store.qdrant_server import FakeServer, serving

TEXT = b"# House\n\n## Parking\n\nParking costs 15,000 won a night.\n\n## Pool\n\nThe pool opens at 7 a.m.\n"


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with serving() as fake:
        yield fake


def test_the_whole_way_over_http(server: FakeServer) -> None:
    with QdrantStore(server.url, HashEmbedder(), key="hush") as store:
        assert store.ingest_bytes("house.md", TEXT, metadata={"hotel": "남산"}).passages == 2
        found = store.search("How much does parking cost?", filters={"hotel": "남산"})
        assert found[0]["text"] == "Parking costs 15,000 won a night."
        assert set(found[0]["scores"]) == {"fused", "lexical", "vector"}
        assert store.correct(found[0]["id"], "Parking is free.", author="kim", reason="")["text"] == "Parking is free."
        assert [row["name"] for row in store.documents()] == ["house.md"]
        assert "pool opens" in store.document_text("house.md")
        store.ingest_bytes("other.md", TEXT)
        store.delete("house.md")
        assert {p["document"] for p in store.search("parking", k=9)} == {"other.md"}
    assert server.keys == {"hush"}
    assert set(INDEXED) <= set(server.indexed)


def test_embedded_anew_over_http(server: FakeServer) -> None:
    with QdrantStore(server.url, HashEmbedder()) as store:
        store.ingest_bytes("house.md", TEXT)
    assert reembed(server.url, HashEmbedder("other", 32)) == 2
    with QdrantStore(server.url, HashEmbedder("other", 32)) as store:
        assert store.search("parking")[0]["scores"]["vector"] > 0.1


@pytest.mark.parametrize(("status", "kind", "says"), [(401, UserError, "check its key"), (500, PassingFault, "failed")])
def test_what_goes_wrong_is_said(server: FakeServer, status: int, kind: type[Exception], says: str) -> None:
    server.fail = status
    with pytest.raises(kind, match=says) as fault:
        QdrantStore(server.url, None, key="hush")
    assert "hush" not in str(fault.value)


def test_nobody_answers() -> None:
    with pytest.raises(PassingFault, match="does not answer"):
        QdrantStore("http://127.0.0.1:9", None)
