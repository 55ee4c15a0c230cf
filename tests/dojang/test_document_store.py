"""The settings choose where documents lie and who embeds them; `documents reembed` on both stores."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from dojang.parts import Parts
from dojang.settings import BadSetting, load_settings
from store.qdrant.store import QdrantStore
from tests.dojang.conftest import Shell
from tests.store.endpoint import Endpoint, serving


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with serving() as made:
        yield made


@pytest.mark.parametrize("value", ["qdrant:", "mysql", "qdrant"])
def test_a_store_that_is_none_is_refused(value: str) -> None:
    with pytest.raises(BadSetting, match="DOJANG_STORE"):
        load_settings(store=value)


def test_qdrant_by_one_setting(tmp_path: Path) -> None:
    parts = Parts(load_settings(home=tmp_path, store=f"qdrant:{tmp_path / 'q'}", embedding="none"))
    assert isinstance(parts.store, QdrantStore)
    parts.store.ingest_bytes("note.txt", "조식은 무료입니다.".encode())
    assert parts.store.search("조식")[0]["document"] == "note.txt"
    parts.close()


@pytest.mark.parametrize("kind", ["postgres", "qdrant"])
def test_reembed_by_command(shell: Shell, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """The documents are read in with words alone, then embedded through an endpoint that the settings name."""
    place = shell.home.parent / "note.txt"
    place.write_text("Breakfast is served from 7 to 10.", encoding="utf-8")
    if kind == "qdrant":
        monkeypatch.setenv("DOJANG_STORE", f"qdrant:{shell.home.parent / 'q'}")
    assert shell("ingest", str(place)).code == 0
    endpoint.answer = lambda body: (
        200,
        {"data": [{"index": n, "embedding": [1.0, float(n), 0.5]} for n in range(len(body["input"]))]},
    )
    monkeypatch.setenv("DOJANG_EMBEDDING", "openai:small")
    monkeypatch.setenv("DOJANG_EMBEDDING_BASE_URL", endpoint.url)
    ran = shell("documents", "reembed", "--json")
    assert (ran.code, json.loads(ran.out)) == (0, {"passages": 1, "model": "small"})
    monkeypatch.setenv("DOJANG_EMBEDDING", "none")
    refused = shell("documents", "reembed")
    assert (refused.code, "no embedding model" in refused.err) == (2, True)
