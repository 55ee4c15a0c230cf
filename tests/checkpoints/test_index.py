"""The derived index: correct after any change, and the same again after it was deleted or spoilt."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.base import CheckpointTuple

import checkpoints.index as index_module
from checkpoints import DecisionLog, FileSaver, Summary, ThreadIndex, Wanted
from checkpoints.files.crypto import KeyRing
from checkpoints.looking import signature
from state import Decision
from tests.checkpoints.cases import checkpoint, config, decision, metadata, review


def summarise(latest: CheckpointTuple, decisions: dict[str, Decision]) -> Summary:
    values = latest.checkpoint["channel_values"]
    waiting = [r for r in values["reviews"] if r["id"] not in decisions]
    return Summary(
        title=values["title"],
        status="interrupted" if waiting else "idle",
        updated_at=latest.checkpoint["ts"],
        reviews=waiting,
    )


def write(saver: FileSaver, thread_id: str, step: int, *reviews: Any, title: str = "방 예약") -> None:
    values = {"title": title, "reviews": list(reviews)}
    made = checkpoint(values, {"title": step, "reviews": step}, f"{step:03}")
    saver.put(config(thread_id), made, metadata(step), {"title": step, "reviews": step})


@pytest.fixture
def index(tmp_path: Path) -> ThreadIndex:
    return ThreadIndex(tmp_path / "index.sqlite", tmp_path / "threads", summarise)


@pytest.fixture
def saver(tmp_path: Path) -> FileSaver:
    return FileSaver(tmp_path / "threads", durability="os")


def rows(path: Path) -> list[Any]:
    with sqlite3.connect(path) as db:
        found = [db.execute(f"SELECT * FROM {t} ORDER BY 1, 2").fetchall() for t in ("threads", "reviews")]
    db.close()
    return found


def test_inbox(index: ThreadIndex, saver: FileSaver, tmp_path: Path) -> None:
    write(
        saver,
        "t1",
        1,
        review("r1", "t1", due_at="2026-03-01"),
        review("r2", "t1", kind="approval", due_at="2026-01-01"),
    )
    write(saver, "대화/2", 1, review("r3", "대화/2", due_at="2026-02-01"))
    write(saver, "quiet", 1)
    index.refresh()
    assert [r["id"] for r in index.reviews()] == ["r2", "r3", "r1"]
    assert [r["id"] for r in index.reviews("tool")] == ["r3", "r1"]
    assert [r["id"] for r in index.reviews(limit=1, offset=1)] == ["r3"]
    assert index.reviews()[1]["summary"] == "방 예약"
    assert {t["thread_id"]: t["status"] for t in index.threads()} == {
        "t1": "interrupted", "대화/2": "interrupted", "quiet": "idle",
    }  # fmt: skip
    assert index.counts() == {"threads": 3, "open_reviews": 3}
    DecisionLog(saver.directory).record("대화/2", decision("r3"))
    index.refresh("대화/2")
    assert [r["id"] for r in index.reviews()] == ["r2", "r1"]
    assert [index.locate(r) for r in ("r1", "r3", "gone")] == ["t1", "대화/2", None]
    saver.delete_thread("t1")
    index.refresh()
    assert index.reviews() == []
    assert index.locate("r1") is None
    assert [t["thread_id"] for t in index.threads(limit=1)] == [index.threads()[0]["thread_id"]]


@pytest.mark.parametrize("spoil", ["delete", "garbage", "truncate", "other version"])
def test_made_again_when_lost_or_spoilt(spoil: str, index: ThreadIndex, saver: FileSaver) -> None:
    for i in range(5):
        write(saver, f"t{i}", 1, review(f"r{i}", f"t{i}", due_at=f"2026-01-0{i + 1}"))
    DecisionLog(saver.directory).record("t3", decision("r3"))
    index.refresh()
    before = rows(index.path)
    for suffix in ("-wal", "-shm"):
        index.path.with_name(index.path.name + suffix).unlink(missing_ok=True)
    if spoil == "delete":
        index.path.unlink()
    elif spoil == "garbage":
        index.path.write_bytes(b"\xff" * 20_000)
    elif spoil == "truncate":
        index.path.write_bytes(index.path.read_bytes()[:5000])
    else:
        with sqlite3.connect(index.path) as db:
            db.executescript("PRAGMA user_version = 99; DROP TABLE reviews; CREATE TABLE strange (x);")
        db.close()
    index.refresh()
    assert rows(index.path) == before
    assert [r["id"] for r in index.reviews()] == ["r0", "r1", "r2", "r4"]


def test_only_changed_threads_are_read(index: ThreadIndex, saver: FileSaver, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(4):
        write(saver, f"t{i}", 1)
    index.refresh()
    read: list[str] = []
    real = index.saver.get_tuple

    def spy(where: Any) -> Any:
        read.append(where["configurable"]["thread_id"])
        return real(where)

    monkeypatch.setattr(index.saver, "get_tuple", spy)
    index.refresh()
    assert read == []
    write(saver, "t2", 2, title="새 제목")
    index.refresh()
    assert read == ["t2"]
    assert {t["thread_id"]: t["title"] for t in index.threads()}["t2"] == "새 제목"


def test_a_damaged_thread_is_a_row_not_a_failure(index: ThreadIndex, saver: FileSaver) -> None:
    for name in ("good", "bad log", "bad id", "strange"):
        write(saver, name, 1, review(name, name))
    path = saver.sessions.folders.path("bad log") / "checkpoints.jsonl"
    path.write_bytes(path.read_bytes().replace("방 예약".encode(), "방 취소".encode()))
    (saver.sessions.folders.path("bad id") / "thread.json").write_text("{")
    saver.put(config("strange"), checkpoint({"title": 1}, {"title": 9}, "900"), metadata(), {"title": 9})
    index.refresh()
    found = {t["thread_id"]: t for t in index.threads()}
    assert sorted(t["status"] for t in found.values()) == ["error", "error", "error", "interrupted"]
    assert "dojang checkpoints repair" in found["bad log"]["error"]
    assert "cannot be summarised" in found["strange"]["error"]
    assert [r["id"] for r in index.reviews()] == ["good"]


def test_asked_before_any_refresh(index: ThreadIndex, saver: FileSaver) -> None:
    assert index.threads() == []
    index.path.unlink()
    write(saver, "t", 1, review("r", "t"))
    assert index.locate("r") == "t"


def test_many_refresh_at_once(saver: FileSaver, tmp_path: Path) -> None:
    for i in range(20):
        write(saver, f"t{i}", 1, review(f"r{i}", f"t{i}"))

    def refresh(_: int) -> int:
        mine = ThreadIndex(tmp_path / "index.sqlite", saver.directory, summarise)
        mine.refresh()
        return len(mine.reviews())

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(refresh, range(12))) == [20] * 12


def test_a_thread_that_comes_while_it_is_looked_for_stays(
    index: ThreadIndex, saver: FileSaver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One look finds nothing; before it writes that down, somebody writes the thread and lists it."""
    other = ThreadIndex(tmp_path / "index.sqlite", saver.directory, summarise)
    real, asked = index.look.signature, list[str]()

    def late(name: str) -> str:
        asked.append(name)
        if len(asked) > 1:
            return real(name)
        told = real(name)
        write(saver, "t", 1, review("r", "t"))
        other.refresh()
        return told

    monkeypatch.setattr(index.look, "signature", late)
    index.refresh("t")
    assert [row["thread_id"] for row in index.threads()] == ["t"]
    assert index.locate("r") == "t"


@pytest.mark.parametrize("sealed", [False, True])
def test_threads_of_one_person(tmp_path: Path, sealed: bool) -> None:
    keys = KeyRing.of(b"k" * 32) if sealed else None

    def owned(latest: CheckpointTuple, decisions: dict[str, Decision]) -> Summary:
        made = summarise(latest, decisions)
        return {**made, "owner": made["title"]}

    saver = FileSaver(tmp_path / "threads", durability="os", keys=keys)
    index = ThreadIndex(tmp_path / "index.sqlite", tmp_path / "threads", owned, keys=keys)
    for number, name in enumerate(("Hana", "lee", " HANA", "")):
        write(saver, f"t{number}", number, title=name)
    index.refresh()
    assert sorted(row["thread_id"] for row in index.threads(owner="hana")) == ["t0", "t2"]
    assert len(index.threads(owner="hana", limit=1, offset=1)) == 1
    assert (len(index.threads()), index.threads(owner="nobody")) == (4, [])
    assert [index.owner(f"t{number}") for number in range(5)] == ["Hana", "lee", " HANA", "", ""]
    assert (b"Hana" in (tmp_path / "index.sqlite").read_bytes()) is not sealed


def test_of_very_many_only_what_was_written_to_is_looked_at(
    index: ThreadIndex, saver: FileSaver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_module, "MANY", 0)
    for i in range(4):
        write(saver, f"t{i}", 1, review(f"r{i}", f"t{i}", due_at=f"2026-01-0{i + 1}"))
    index.refresh()
    looked: list[str] = []

    def looking(name: str) -> str:
        looked.append(name)
        return signature(index.look.root, name)  # type: ignore[attr-defined]

    monkeypatch.setattr(index.look, "signature", looking)
    monkeypatch.setattr(index, "_look_at_all", lambda: pytest.fail("all were looked at"))
    monkeypatch.setattr(index, "_look_behind", lambda: None)
    ids = [r["id"] for r in index.reviews()]
    assert ids == ["r0", "r1", "r2", "r3"]
    DecisionLog(saver.directory).record("t1", decision("r1"))  # as another process would
    index.refresh()
    assert [r["id"] for r in index.reviews()] == ["r0", "r2", "r3"]
    assert any(name.startswith("t1-") for name in looked)
    assert not any(name.startswith("t3-") for name in looked)
    write(saver, "t2", 2)
    write(saver, "new", 1, review("r9", "new", due_at="2026-01-09"))
    saver.delete_thread("t0")
    index.refresh()
    assert [r["id"] for r in index.reviews()] == ["r3", "r9"]
    looked.clear()
    index.refresh()
    assert [name for name in looked if name.startswith("t3-")] == []


@pytest.mark.parametrize("sealed", [False, True])
def test_decided_reviews_are_found_after_later_turns(tmp_path: Path, sealed: bool) -> None:
    keys = KeyRing.of(b"k" * 32) if sealed else None

    def knowing(latest: CheckpointTuple, decisions: dict[str, Decision]) -> Summary:
        known = latest.checkpoint["channel_values"]["reviews"]
        return {**summarise(latest, decisions), "decided": [r for r in known if r["id"] in decisions]}

    saver = FileSaver(tmp_path / "threads", durability="os", keys=keys)
    index = ThreadIndex(tmp_path / "index.sqlite", tmp_path / "threads", knowing, keys=keys)
    write(saver, "t", 1, {**review("r", "t"), "tier": 2, "action": {"tool": "book", "args": {"guest": "Émma Lee"}}})
    DecisionLog(saver.directory, keys=keys).record("t", decision("r"))
    write(saver, "t", 2)  # the newest checkpoint has forgotten it
    for fresh in (index, ThreadIndex(tmp_path / "again.sqlite", tmp_path / "threads", knowing, keys=keys)):
        fresh.refresh()
        asked = Wanted(status="decided", tool="book", tier=2, text="émma  LEE")
        [found] = fresh.find(asked, limit=5)
        assert (found["review"]["id"], found["progress"]["decision"]["type"]) == ("r", "approve")  # type: ignore[index]
        assert fresh.count(asked) == {"tool": 1}
        assert fresh.find(Wanted(text="émma"), limit=5) == []
        assert (b"book" in fresh.path.read_bytes()) is not sealed


COUNTED = {
    "mine": Wanted(assignee="kim", roles=("manager",), now="2026-01-01"),
    "unassigned": Wanted(unclaimed=True, now="2026-01-01"),
    "soon": Wanted(due_before="2026-01-01"),
    "high": Wanted(tier_from=2),
    "later": Wanted(only=("r1", "r2")),
    "all": Wanted(without=("r1",)),
}


@pytest.mark.parametrize("view", COUNTED)
def test_counting_reads_no_row(index: ThreadIndex, view: str) -> None:
    """A row has the whole review: with 100,000 of them, the counts of one page read half a gigabyte."""
    index.refresh()
    where, values = COUNTED[view].where(sealed=False)
    asked = f"EXPLAIN QUERY PLAN SELECT kind, COUNT(*) FROM reviews WHERE {where} GROUP BY kind"
    with sqlite3.connect(index.path) as db:
        plan = [str(row[3]) for row in db.execute(asked, tuple(values)) if "reviews" in str(row[3])]
    db.close()
    assert plan
    assert all("COVERING INDEX" in line for line in plan), plan
