"""Exports say all of a thread; pruning leaves alone what somebody may still need."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from checkpoints import DecisionLog, EffectLedger, FileSaver, KeyRing, WrongKey, run_lock
from checkpoints.upkeep.exporting import as_json, as_jsonl, export
from checkpoints.upkeep.pruning import prune
from checkpoints.values.codec import Decoder
from state import Action, Outcome, UserError
from tests.checkpoints.cases import chat_graph, config, decision, dump

ACTION = Action(tool="book_room", schema_version="1", args={"방": 2}, effect_class="write", reversible=True)
KEYS = KeyRing.of(b"k" * 32)
LATER = datetime.now(UTC) + timedelta(days=31)


def talk(root: Path, thread: str, *, ask: bool = False, keys: KeyRing | None = None) -> None:
    graph = chat_graph(FileSaver(root, keys=keys), ask=ask)
    graph.invoke({"messages": [("human", "안녕하세요 " * 20)]}, config(thread))


def fates(root: Path, **how: Any) -> dict[str, str]:
    return {one["thread_id"]: one["fate"] for one in prune(root, timedelta(days=30), **how)}


@pytest.mark.parametrize("keys", [None, KEYS])
def test_an_export_has_every_value(keys: KeyRing | None, tmp_path: Path) -> None:
    talk(tmp_path, "손님", ask=True, keys=keys)
    DecisionLog(tmp_path, keys=keys).record("손님", decision("r1"))
    EffectLedger(tmp_path, keys=keys).begin("손님", "k", ACTION, "idempotent")
    lines = b"".join(as_jsonl(export(tmp_path, "손님", keys=keys))).splitlines()
    records = [orjson.loads(line) for line in lines]
    assert orjson.loads(b"".join(as_json(export(tmp_path, "손님", keys=keys)))) == records
    kinds = [record["k"] for record in records]
    wanted = dump(FileSaver(tmp_path, keys=keys), "손님")[::-1]
    assert kinds == ["thread", *["checkpoint"] * len(wanted), "decision", "intent"]
    decode = Decoder().decode
    for record, (place, made, _metadata, parent, writes) in zip(records[1:], wanted, strict=False):
        assert record["id"] == place["checkpoint_id"]
        assert record["parent"] == (parent and parent["configurable"]["checkpoint_id"])
        assert decode(record["checkpoint"]) == made
        assert [(task, channel, decode(value)) for task, channel, value in record["writes"]] == writes
    with pytest.raises(UserError, match="no thread"):
        list(export(tmp_path, "x", keys=keys))


def test_an_export_needs_the_key(tmp_path: Path) -> None:
    talk(tmp_path, "t", keys=KEYS)
    with pytest.raises(WrongKey):
        list(export(tmp_path, "t"))


def test_pruning_spares_all_that_may_go_on(tmp_path: Path) -> None:
    for thread in ("over", "effect", "busy", "settled"):
        talk(tmp_path, thread)
    talk(tmp_path, "waits", ask=True)
    ledger = EffectLedger(tmp_path)
    for thread in ("effect", "settled"):
        ledger.begin(thread, "k", ACTION, "at_most_once")
    done = Outcome(key="k", tool="book_room", status="done", result=None, error="", at="2026")
    ledger.finish("settled", "k", done)
    talk(tmp_path, "damaged")
    path = FileSaver(tmp_path).sessions.folders.path("damaged") / "checkpoints.jsonl"
    path.write_bytes(path.read_bytes().replace(b"human", b"humam", 1))
    assert set(fates(tmp_path).values()) == {"recent", "unreadable"}
    wanted = {"over": "pruned", "effect": "unfinished", "waits": "waits", "settled": "pruned", "damaged": "unreadable"}
    before: list[str] = []
    with run_lock(tmp_path, "busy", owner="test"):
        assert fates(tmp_path, now=LATER, dry_run=True) == {**wanted, "busy": "pruned"}
        assert fates(tmp_path, now=LATER, before=before.append) == {**wanted, "busy": "busy"}
    assert sorted(before) == ["over", "settled"]
    left = {thread for thread, _folder in FileSaver(tmp_path).sessions.folders.threads()}
    assert left == {"effect", "busy", "waits", "damaged"}


def test_pruning_may_keep_the_newest(tmp_path: Path) -> None:
    talk(tmp_path, "t", keys=KEYS)
    newest = dump(FileSaver(tmp_path, keys=KEYS))[0]
    assert fates(tmp_path, now=LATER) == {"t": "unreadable"}  # without the key nothing is deleted
    assert fates(tmp_path, now=LATER, keys=KEYS, keep_latest=True) == {"t": "pruned"}
    assert dump(FileSaver(tmp_path, keys=KEYS)) == [newest]
