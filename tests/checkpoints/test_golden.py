"""Folders written once that must load for ever: ``v1``, and ``v1-packed``, the same thread after packing.

``python -m tests.checkpoints.test_golden NAME`` writes a new one; do that when what is written changes, beside the old.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.types import Interrupt, Send

from checkpoints import DecisionLog, EffectLedger, FileSaver, verify
from checkpoints.log import moving, packing
from checkpoints.values import weave
from state import Action, Outcome
from tests.checkpoints.cases import config, decision, dump, metadata

GOLDEN = Path(__file__).parent / "golden"
THREAD = "손님/2026 🏯"
ACTION = Action(tool="book_room", schema_version="1", args={"방": 2}, effect_class="write", reversible=True)


def write(root: Path) -> None:
    """A thread with most of what a file can hold: differences, lists that grew, shared bodies, all record kinds."""
    saver = FileSaver(root)
    messages: list[Any] = []
    for i in range(80):
        call = {"name": "book_room", "args": {"방": i}, "id": f"c{i}", "type": "tool_call"}
        messages = [*messages, HumanMessage(f"{i}번 방을 예약해 주세요. " * 3, id=f"h{i}")]
        if i % 9 == 0:
            messages = [*messages, AIMessage("", id=f"a{i}", tool_calls=[call])]
            messages = [*messages, ToolMessage("예약됨", id=f"t{i}", tool_call_id=f"c{i}", artifact=(i, {b"x"}))]
        if i == 70:
            messages = messages[40:]
        values = {
            "messages": messages,
            "draft": {"text": "초안 " * 30, "n": i // 20},
            "tasks": [Send("node", {"i": i})],
        }
        versions = {"messages": i + 1, "draft": i // 20 + 1, "tasks": i + 1, "empty": i + 1}
        parent = f"{i - 1:03}" if i else None
        made: Any = {
            "v": 4, "id": f"{i:03}", "ts": f"2026-11-22T00:00:{i % 60:02}+00:00", "channel_values": values,
            "channel_versions": versions, "versions_seen": {"node": {"messages": i}},
            "updated_channels": ["messages", "tasks"],
        }  # fmt: skip
        new: dict[str, Any] = {"messages": i + 1, "tasks": i + 1, "empty": i + 1}
        if i % 20 == 0:
            new["draft"] = i // 20 + 1
        saver.put(config(THREAD, parent), made, metadata(i, run_id=f"run{i // 10}"), new)
        writes = [("messages", [messages[-1]]), ("__interrupt__", (Interrupt({"q": i}, id="q"),))]
        saver.put_writes(config(THREAD, f"{i:03}"), writes, f"task{i}", "path")
    log, ledger = DecisionLog(root), EffectLedger(root)
    log.record(THREAD, decision("r1", at="2026-11-22T00:00:00+00:00"))
    ledger.begin(THREAD, "k", ACTION, "idempotent")
    ledger.finish(
        THREAD, "k", Outcome(key="k", tool="book_room", status="done", result={"번호": 7}, error="", at="2026")
    )


def facts(root: Path) -> dict[str, Any]:
    """What the folder says, as text."""
    found = dump(FileSaver(root), THREAD)
    outcome = EffectLedger(root).begin(THREAD, "k", ACTION, "idempotent")
    return {
        "checkpoints": len(found),
        "some": [repr(found[i]) for i in (0, 9, 10, 40, 79)],
        "decisions": DecisionLog(root).of(THREAD),
        "outcome": outcome,
    }


@pytest.mark.parametrize("version", ["v1", "v1-packed"])
def test_old_folders_load(version: str, tmp_path: Path) -> None:
    root = tmp_path / "threads"
    shutil.copytree(GOLDEN / version, root, ignore=shutil.ignore_patterns("expected.json"))
    assert facts(root) == json.loads((GOLDEN / version / "expected.json").read_text("utf-8"))
    assert verify(root)["damaged"] == []
    saver = FileSaver(root)
    newest = saver.get_tuple(config(THREAD))
    assert newest is not None
    saver.put_writes(newest.config, [("draft", "더")], "later")
    assert verify(root)["damaged"] == []


def test_today_writes_what_the_golden_folder_says(tmp_path: Path) -> None:
    write(tmp_path)
    assert facts(tmp_path) == json.loads((GOLDEN / "v1" / "expected.json").read_text("utf-8"))


if __name__ == "__main__":
    target = GOLDEN / sys.argv[1]
    assert not target.exists(), f"{target} is there for ever"
    weave.CHAIN_MIN = 8  # so that packed lists occur in a small folder
    write(target)
    moving.PACK_BYTES = 8000
    if "packed" in target.name:
        assert packing.pack_log(FileSaver(target).sessions.of(THREAD).log, 0)
    text = json.dumps(facts(target), ensure_ascii=False, indent=1)
    (target / "expected.json").write_text(text + "\n", "utf-8")
    for lock in target.rglob("*.lock"):
        lock.unlink()
