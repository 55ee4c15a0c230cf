"""Items of a store, by the SDK: kept over restarts, each person's own, with times and limits."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from checkpoints import KeyRing
from dojang.beside import Beside
from dojang.server import items as kept
from dojang.server.items import BadItem, Items, TooManyItems
from tests.databases import fresh_database
from tests.sessions_in_postgres import database_at


@pytest.fixture
def clock() -> list[float]:
    return [1_800_000_000.0]


@pytest.fixture(scope="module")
def beside(postgres_server: str) -> Iterator[Beside]:
    with fresh_database(postgres_server) as dsn:
        database, pool = database_at(dsn)
        yield Beside(database)
        pool.close()


@pytest.fixture(params=["sqlite", "postgres"])
def items(request: pytest.FixtureRequest, tmp_path: Path, clock: list[float]) -> Iterator[Items]:
    if request.param == "sqlite":
        place: Path | Beside = tmp_path / "items.sqlite"
    else:
        shared: Beside = request.getfixturevalue("beside")
        with shared.writing() as db:
            db.execute("DELETE FROM items")
        place = shared
    opened = Items(place, now=lambda: clock[0])
    yield opened
    opened.close()


def test_what_is_no_item_is_refused(url: str) -> None:
    for body in ({"namespace": [], "key": "k", "value": {}}, {"namespace": ["a.b"], "key": "k", "value": {}}):
        assert httpx.put(f"{url}store/items", json=body).status_code == 400
    assert httpx.put(f"{url}store/items", json={"namespace": ["a"], "key": "k", "value": 1}).status_code == 422


def test_everybody_has_their_own(items: Items) -> None:
    items.put("kim", ["a"], "k", {"v": 1})
    items.put("lee", ["a"], "k", {"v": 2})
    assert items.get("kim", ["a"], "k").value == {"v": 1}  # type: ignore[union-attr]
    assert [item.value for item in items.search("lee", [])] == [{"v": 2}]
    items.delete("lee", ["a"], "k")
    assert items.namespaces("lee") == []
    assert items.namespaces("kim") == [("a",)]


def test_a_namespace_is_no_prefix_of_a_longer_label(items: Items) -> None:
    for namespace in (["ab"], ["ab", "c"], ["abc"], ["a", "b"], ["ab", "가"], ["ab", '"']):
        items.put("kim", namespace, "k", {})
    assert {item.namespace for item in items.search("kim", ["ab"])} == {("ab",), ("ab", "c"), ("ab", "가"), ("ab", '"')}


def test_an_item_goes_when_its_time_is_over(items: Items, clock: list[float]) -> None:
    items.put("kim", ["a"], "k", {}, ttl_min=1)
    clock[0] += 50
    assert items.get("kim", ["a"], "k", refresh=False) is not None
    assert items.search("kim", ["a"]) != []  # whose look begins its time anew
    clock[0] += 50
    assert items.get("kim", ["a"], "k", refresh=False) is not None
    clock[0] += 10
    assert items.get("kim", ["a"], "k") is None
    assert (items.search("kim", []), items.namespaces("kim")) == ([], [])


def test_a_search_opens_no_more_than_it_needs(
    items: Items, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "CHUNK", 3)
    for n in range(20):
        clock[0] += (n + 1) % 2  # every second one at the same moment as the one before
        items.put("kim", ["a", str(n % 3)], f"k{n:02}", {"n": n})
    opened: list[str] = []
    opens = items._opened

    def noted(text: str) -> Any:
        opened.append(text)
        return opens(text)

    monkeypatch.setattr(items, "_opened", noted)
    assert [item.value["n"] for item in items.search("kim", ["a"], limit=2)] == [19, 18]
    assert len(opened) == 3
    whole = [item.value["n"] for item in items.search("kim", ["a"], limit=20)]
    assert sorted(whole) == list(range(20))
    assert [n // 2 for n in whole] == sorted((n // 2 for n in whole), reverse=True)
    pages = [items.search("kim", [], limit=7, offset=offset) for offset in (0, 7, 14)]
    assert [item.value["n"] for page in pages for item in page] == whole
    some = items.search("kim", ["a", "1"], wanted={"n": {"$lt": 10}}, limit=2)
    assert [item.value["n"] for item in some] == [7, 4]


def test_what_is_over_is_found_by_an_index_and_an_older_file_gets_it(tmp_path: Path) -> None:
    path = tmp_path / "items.sqlite"
    with closing(sqlite3.connect(path)) as db:
        db.execute(kept.MIGRATIONS[0])
        db.execute("PRAGMA user_version=1")
    with closing(Items(path)) as items:
        items.put("kim", ["a"], "k", {"n": 1})
        plan = "EXPLAIN QUERY PLAN DELETE FROM items WHERE expires IS NOT NULL AND expires <= 1"
        assert "INDEX expiring" in str(items._place._db.execute(plan).fetchall())
    with closing(Items(path)) as items:
        assert [item.value for item in items.search("kim", [])] == [{"n": 1}]


def test_limits(items: Items, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "MOST_ITEMS", 1)
    with pytest.raises(BadItem, match="bytes"):
        items.put("kim", ["a"], "k", {"v": "x" * kept.MOST_BYTES})
    for namespace, key in ((["a"], ""), (["a"], "k" * 201), ([""], "k"), (["a"] * 21, "k"), (["langgraph"], "k")):
        with pytest.raises(BadItem):
            items.put("kim", namespace, key, {})
    items.put("kim", ["a"], "k", {})
    with pytest.raises(TooManyItems):
        items.put("kim", ["a"], "another", {})
    items.put("lee", ["a"], "k", {})
    with pytest.raises(BadItem, match=r"\$near"):
        items.search("kim", ["a"], wanted={"v": {"$near": 1}})


def test_kept_over_a_restart_and_sealed_where_sessions_are(tmp_path: Path) -> None:
    path = tmp_path / "items.sqlite"
    keys = KeyRing.create(tmp_path / "keys.json")
    first = Items(path, keys=keys)
    first.put("kim", ["a"], "k", {"secret": "room 1204"})
    first.close()
    second = Items(path, keys=keys)
    assert second.get("kim", ["a"], "k").value == {"secret": "room 1204"}  # type: ignore[union-attr]
    second.close()
    assert b"room 1204" not in b"".join(file.read_bytes() for file in tmp_path.glob("items.sqlite*"))
