"""Every byte of every file cut or changed: the last durable state or a clear error, never a wrong value."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from checkpoints import DamagedLog, DecisionLog, EffectLedger, FileSaver, KeyRing, NewerFormat, repair, verify
from checkpoints.files.stamps import pressed
from checkpoints.log.packing import pack_log
from state import Action, Outcome
from tests.checkpoints.cases import DAMAGED_COMMAND, checkpoint, config, decision, dump, metadata

ACTION = Action(tool="book", schema_version="1", args={"방": 2}, effect_class="write", reversible=True)


def outcome(status: Any = "done", result: Any = "예약") -> Outcome:
    return Outcome(key="k", tool="book", status=status, result=result, error="", at="2026-01-01")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Any], Path]:
    """A thread with a history: its directory, everything that was true of it in turn, its folder."""
    root = tmp_path_factory.mktemp("threads")
    saver, decisions, ledger = FileSaver(root), DecisionLog(root), EffectLedger(root)
    states: list[Any] = [[]]
    messages: list[Any] = []
    for i in range(3):
        messages = [*messages, HumanMessage("질문 " * 20, id=str(i))]
        made = checkpoint({"messages": messages, "n": i}, {"messages": i + 1, "n": i + 1}, f"{i:03}")
        parent = f"{i - 1:03}" if i else None
        saver.put(config(cp=parent), made, metadata(i), {"messages": i + 1, "n": i + 1})
        states.append(dump(saver))
        saver.put_writes(config(cp=f"{i:03}"), [("n", [i, "답 " * 30])], "task", "path")
        states.append(dump(saver))
    for i in range(3):
        decisions.record("t", decision(f"r{i}"))
    ledger.begin("t", "k", ACTION, "at_most_once")
    ledger.finish("t", "k", outcome())
    return root, states, saver.sessions.folders.path("t")


def _read_checkpoints(root: Path) -> Any:
    newest = FileSaver(root).get_tuple(config())
    found = dump(FileSaver(root))
    assert (newest.checkpoint if newest else None) == (found[0][1] if found else None)
    return found


def _read_decisions(root: Path) -> Any:
    return list(DecisionLog(root).of("t"))


def _read_ledger(root: Path) -> Any:
    return [e["k"] for e in EffectLedger(root).entries("t")]


CASES: list[tuple[str, Callable[[Path], Any], list[Any]]] = [
    ("decisions.jsonl", _read_decisions, [[f"r{i}" for i in range(n)] for n in range(4)]),
    ("ledger.jsonl", _read_ledger, [[], ["intent"], ["intent", "outcome"]]),
    ("checkpoints.jsonl", _read_checkpoints, []),
]


@pytest.mark.parametrize(("name", "read", "states"), CASES, ids=[c[0] for c in CASES])
def test_cut_at_every_byte(
    name: str, read: Callable[[Path], Any], states: list[Any], made: tuple[Path, list[Any], Path], tmp_path: Path
) -> None:
    root, history, folder = made
    data = (folder / name).read_bytes()
    path = _copy(folder, tmp_path) / name
    reached = -1
    for size in range(len(data) + 1):
        path.write_bytes(data[:size])
        now = (states or history).index(read(tmp_path))
        assert now >= reached, f"cut at {size}: an older state than with fewer bytes"
        reached = now
    assert reached == len(states or history) - 1
    assert read(root) == (states or history)[-1]


@pytest.mark.parametrize(("name", "read", "states"), CASES, ids=[c[0] for c in CASES])
def test_flip_in_every_byte(
    name: str, read: Callable[[Path], Any], states: list[Any], made: tuple[Path, list[Any], Path], tmp_path: Path
) -> None:
    _, history, folder = made
    data = bytearray((folder / name).read_bytes())
    path = _copy(folder, tmp_path) / name
    whole = (states or history)[-1]
    for at in range(len(data)):
        bit = 1 << (at % 8)
        data[at] ^= bit
        path.write_bytes(data)
        data[at] ^= bit
        with pytest.raises(DamagedLog) as caught:
            raise AssertionError(f"byte {at} changed unnoticed: {read(tmp_path) == whole}")
        assert caught.value.path == path
        assert 0 <= caught.value.offset <= at
        assert DAMAGED_COMMAND in str(caught.value)


@pytest.mark.parametrize("name", ["checkpoints.jsonl", "decisions.jsonl"])
@pytest.mark.parametrize("change", ["removed", "doubled", "swapped"])
def test_whole_lines_out_of_place(name: str, change: str, made: tuple[Path, list[Any], Path], tmp_path: Path) -> None:
    _, _, folder = made
    path = _copy(folder, tmp_path) / name
    lines = path.read_bytes().splitlines(keepends=True)
    two = {"removed": [], "doubled": [lines[1], lines[1]], "swapped": [lines[2], lines[1]]}[change]
    path.write_bytes(b"".join([lines[0], *two, *lines[2 + (change == "swapped") :]]))
    with pytest.raises(DamagedLog, match="follow"):
        _read_checkpoints(tmp_path) if name[0] == "c" else _read_decisions(tmp_path)


def test_thread_json_flipped_at_every_byte(made: tuple[Path, list[Any], Path], tmp_path: Path) -> None:
    _, _, folder = made
    path = _copy(folder, tmp_path) / "thread.json"
    data = bytearray(path.read_bytes())
    saver = FileSaver(tmp_path)
    for at in range(len(data)):
        data[at] ^= 1
        path.write_bytes(data)
        data[at] ^= 1
        found: list[str] = []
        with contextlib.suppress(DamagedLog, NewerFormat):
            found = [t for t, _ in saver.sessions.folders.threads()]
        assert found in ([], ["t"])  # ["t"]: a byte of created_at


def test_repair_keeps_what_is_whole(made: tuple[Path, list[Any], Path], tmp_path: Path) -> None:
    _, history, folder = made
    path = _copy(folder, tmp_path) / "checkpoints.jsonl"
    lines = path.read_bytes().split(b"\n")
    lines[-2] = lines[-2].replace(b'"task"', b'"tusk"')  # the last write of all
    path.write_bytes(b"\n".join(lines))
    assert "tusk" not in str(verify(tmp_path)["damaged"])
    assert len(verify(tmp_path)["damaged"]) == 1
    seen = pressed(tmp_path)
    report = repair(tmp_path, "t")
    assert report["problems"] == []
    assert pressed(tmp_path) != seen  # whoever made a list before looks again
    assert _read_checkpoints(tmp_path) == history[-2]
    assert verify(tmp_path)["damaged"] == []
    kept = [f["kept"] for f in report["files"] if f["kept"]]
    assert len(kept) == 1
    assert b"tusk" in Path(kept[0]).read_bytes()
    saver = FileSaver(tmp_path)
    saver.put_writes(config(cp="002"), [("n", [2, "답 " * 30])], "task", "path")
    assert dump(saver) == history[-1]


@pytest.mark.parametrize("name", ["decisions.jsonl", "ledger.jsonl"])
def test_repair_keeps_what_comes_after_the_damage(
    name: str, made: tuple[Path, list[Any], Path], tmp_path: Path
) -> None:
    """Any one line, or the newline between two: all others are there afterwards, and the loss is told."""
    _, _, folder = made
    path = _copy(folder, tmp_path) / name
    data = path.read_bytes()
    lines = data.splitlines(keepends=True)
    read: Any = _read_decisions if name[0] == "d" else _read_ledger
    whole = read(tmp_path)
    for n in range(len(lines)):
        begin = sum(map(len, lines[:n]))
        for at, still in ((begin + 60, n), (begin + len(lines[n]) - 1, None)):
            path.write_bytes(data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :])
            assert len(verify(tmp_path)["damaged"]) == 1
            report = repair(tmp_path, "t")
            lost = [what for file in report["files"] for what in file["lost"]]
            if still is None:
                assert (read(tmp_path), lost) == (whole, [])
            else:
                assert read(tmp_path) == [x for i, x in enumerate(whole, 1) if i != n]
                assert lost == [f"bytes {begin} to {begin + len(lines[n])}"]
            assert report["problems"] == []


@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.parametrize("packed", [False, True])
def test_repair_keeps_every_checkpoint_that_is_whole(sealed: bool, packed: bool, tmp_path: Path) -> None:
    """Any one line is damaged: what remains is as it was, and nothing is gone that did not rest on it."""
    keys = KeyRing.of(bytes(32)) if sealed else None
    root = tmp_path / "whole"
    saver = FileSaver(root, durability="os", keys=keys)
    for ns in ("", "sub"):
        for i in range(3):
            values = {"n": i, "글": f"{ns}{i} " * 40}
            made = checkpoint(values, {"n": i + 1, "글": i + 1}, f"{i:03}")
            saver.put(config(cp=f"{i - 1:03}" if i else None, ns=ns), made, metadata(i), {"n": i + 1, "글": i + 1})
            saver.put_writes(config(cp=f"{i:03}", ns=ns), [("n", [ns, i, "답 " * 30])], "task", "path")
    if packed:
        assert pack_log(saver.sessions.of("t").log, 0)
    before = {(t[0]["checkpoint_ns"], t[0]["checkpoint_id"]): t for t in dump(saver)}
    lines = (saver.sessions.of("t").log.path).read_bytes().splitlines(keepends=True)
    fewest = len(before)
    for n in range(1, len(lines)):
        copy = tmp_path / str(n)
        shutil.copytree(root, copy)
        path = next(copy.glob("*/checkpoints.jsonl"))
        line = lines[n]
        path.write_bytes(b"".join([*lines[:n], line[:50] + bytes([line[50] ^ 1]) + line[51:], *lines[n + 1 :]]))
        report = repair(copy, "t", keys=keys)
        assert report["problems"] == []
        [lost] = [file["lost"] for file in report["files"]]
        assert lost[0].startswith("bytes ")
        after = {(t[0]["checkpoint_ns"], t[0]["checkpoint_id"]): t for t in dump(FileSaver(copy, keys=keys))}
        fewest = min(fewest, len(after))
        for key, found in after.items():
            assert found[:4] == before[key][:4]
            assert found[4] in (before[key][4], [])
        if b'"k":"w"' in line or b'"k":"mark"' in line:
            assert after.keys() == before.keys()
        elif b'"k":"cp"' in line:
            assert len(after) >= 3  # the other namespace
        told = lost[1:] + ([repr(line)] if b'"k":"cp"' in line else [])
        for _, cp in before.keys() - after.keys():
            assert any(cp in what for what in told) or sealed
        assert verify(copy, keys=keys)["damaged"] == []
        saver_again = FileSaver(copy, keys=keys)
        saver_again.put(config(), checkpoint({"n": 9}, {"n": 9}, "900"), metadata(9), {"n": 9})
        assert verify(copy, keys=keys)["damaged"] == []
    assert fewest < len(before)


def test_thread_json_cut_at_every_byte(made: tuple[Path, list[Any], Path], tmp_path: Path) -> None:
    _, _, folder = made
    path = _copy(folder, tmp_path) / "thread.json"
    data = path.read_bytes()
    saver = FileSaver(tmp_path)
    for size in range(len(data) - 1):  # the last byte is a newline
        path.write_bytes(data[:size])
        with pytest.raises(DamagedLog):
            list(saver.sessions.folders.threads())


def test_repair_without_thread_json(made: tuple[Path, list[Any], Path], tmp_path: Path) -> None:
    _, history, folder = made
    (_copy(folder, tmp_path) / "thread.json").write_bytes(b"{}")
    assert len(verify(tmp_path)["damaged"]) == 1
    assert repair(tmp_path, "t")["problems"] == []
    assert dump(FileSaver(tmp_path)) == history[-1]


def test_a_writer_cuts_a_torn_tail_off(made: tuple[Path, list[Any], Path], tmp_path: Path) -> None:
    _, history, folder = made
    path = _copy(folder, tmp_path) / "checkpoints.jsonl"
    for tail in (b'{"crc":"1234', bytes(4096), b'{"crc":"00000000","prev":"' + bytes(100) + b"\n"):
        whole = path.read_bytes()
        path.write_bytes(whole + tail)
        assert _read_checkpoints(tmp_path) == history[-1]
        FileSaver(tmp_path).put_writes(config(cp="002"), [("n", 1)], "task")
        assert path.read_bytes().startswith(whole + b"{")
        assert verify(tmp_path)["damaged"] == []


def test_a_later_format_is_refused(made: tuple[Path, list[Any], Path], tmp_path: Path) -> None:
    _, _, folder = made
    path = _copy(folder, tmp_path) / "thread.json"
    path.write_text(path.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(Exception, match="format 2"):
        list(FileSaver(tmp_path).sessions.folders.threads())


def test_a_packed_file_cut_and_flipped_at_every_byte(made: tuple[Path, list[Any], Path], tmp_path: Path) -> None:
    _, history, folder = made
    path = _copy(folder, tmp_path) / "checkpoints.jsonl"
    assert pack_log(FileSaver(tmp_path).sessions.of("t").log, 0)
    data = path.read_bytes()
    assert b'"k":"pack"' in data
    reached = -1
    for size in range(len(data) + 1):
        path.write_bytes(data[:size])
        now = history.index(_read_checkpoints(tmp_path))
        assert now >= reached
        reached = now
    assert reached == len(history) - 1
    for at in range(len(data)):
        path.write_bytes(data[:at] + bytes([data[at] ^ (1 << at % 8)]) + data[at + 1 :])
        with pytest.raises(DamagedLog):
            raise AssertionError(f"byte {at} changed unnoticed: {_read_checkpoints(tmp_path)}")


def _copy(folder: Path, root: Path) -> Path:
    target = root / folder.name
    shutil.copytree(folder, target)
    return target
