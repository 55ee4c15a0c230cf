"""Sealed sessions: nothing can be read without the key, changed, moved, swapped or passed off as plain."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from checkpoints import (
    BadKeyFile,
    DamagedLog,
    DecisionLog,
    EffectLedger,
    FileSaver,
    KeyRing,
    PlaintextRefused,
    ThreadIndex,
    WrongKey,
    repair,
    verify,
)
from checkpoints.files.crypto import Forged, Place
from checkpoints.files.folders import folder_name
from checkpoints.upkeep.rotation import encrypt, reseal
from state import Action
from tests.checkpoints.cases import chat_graph, checkpoint, config, decision, dump, metadata
from tests.checkpoints.rotation_child import rotate_until_killed
from tests.processes import FORKS

ACTION = Action(tool="book_room", schema_version="1", args={"손님": "김하나"}, effect_class="write", reversible=True)
SECRET = ("김하나", "손님의 비밀", "비밀 이유")


def ring(n: int = 1) -> KeyRing:
    return KeyRing.of(*[bytes([i]) * 32 for i in range(1, n + 1)])


def fill(root: Path, keys: KeyRing | None, thread: str = "t", steps: int = 3) -> FileSaver:
    saver = FileSaver(root, keys=keys)
    texts: list[Any] = []
    for i in range(1, steps + 1):
        texts = [*texts, f"손님의 비밀 {i} " * 10]
        made = checkpoint({"items": texts}, {"items": i}, f"{i:03}")
        saver.put(config(thread, f"{i - 1:03}" if i > 1 else None), made, metadata(i), {"items": i})
        saver.put_writes(config(thread, f"{i:03}"), [("items", i)], "task")
    DecisionLog(root, keys=keys).record(thread, decision("r1", reason="비밀 이유"))
    EffectLedger(root, keys=keys).begin(thread, "k", ACTION, "idempotent")
    return saver


def log_of(root: Path, thread: str = "t", name: str = "checkpoints.jsonl") -> Path:
    return root / folder_name(thread) / name


def everything(root: Path, keys: KeyRing | None, thread: str = "t") -> Any:
    return (
        [repr(found) for found in dump(FileSaver(root, keys=keys), thread)],
        DecisionLog(root, keys=keys).of(thread),
        EffectLedger(root, keys=keys).entries(thread),
    )


def relined(path: Path, change: Callable[[list[dict[str, Any]]], Any]) -> None:
    """Change the lines as somebody would who can make checksums, and has no key."""
    lines = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    lines = change(lines) or lines
    out, prev = b"", "00000000"
    for line in lines:
        body = (
            b'"prev":"'
            + prev.encode()
            + b'",'
            + orjson.dumps({k: v for k, v in line.items() if k not in ("crc", "prev")})[1:]
        )
        prev = f"{zlib.crc32(body):08x}"
        out += b'{"crc":"' + prev.encode() + b'",' + body + b"\n"
    path.write_bytes(out)


def test_no_content_is_in_any_file(tmp_path: Path) -> None:
    fill(tmp_path / "sealed", ring())
    fill(tmp_path / "plain", None)
    for name, expected in (("sealed", False), ("plain", True)):
        data = b"".join(path.read_bytes() for path in (tmp_path / name).rglob("*") if path.is_file())
        assert [word.encode() in data for word in SECRET] == [expected] * 3


def test_the_same_as_plain_in_and_out(tmp_path: Path) -> None:
    """The whole path of a graph, deep enough for marks, with a second process's view and prune."""
    found = []
    for keys in (None, ring()):
        root = tmp_path / ("plain" if keys is None else "sealed")
        graph = chat_graph(FileSaver(root, keys=keys, durability="os"), ask=True)
        for i in range(60):
            graph.invoke({"messages": [("human", f"{i} " + "나" * 300)]}, config("손님"))
        saver = FileSaver(root, keys=keys)
        saver.copy_thread("손님", "다른 손님")
        saver.prune(["손님"])
        for thread in ("손님", "다른 손님"):
            state = chat_graph(FileSaver(root, keys=keys), ask=True).get_state(config(thread))
            found.append([(m.type, m.text) for m in state.values["messages"]] + [state.next])
        assert verify(root, keys=keys)["damaged"] == []
    assert found[0] == found[1] == found[2] == found[3]
    assert b'"k":"mark"' in log_of(tmp_path / "sealed", "다른 손님").read_bytes()


def test_every_flipped_bit_is_noticed(tmp_path: Path) -> None:
    fill(tmp_path, ring(), steps=2)
    good = everything(tmp_path, ring())
    rng = random.Random(3)
    for name in ("checkpoints.jsonl", "decisions.jsonl", "ledger.jsonl"):
        path = log_of(tmp_path, name=name)
        data = path.read_bytes()
        for _ in range(60):
            at = rng.randrange(len(data))
            path.write_bytes(data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :])
            with pytest.raises((DamagedLog, PlaintextRefused, WrongKey)):
                everything(tmp_path, ring())
        path.write_bytes(data)
    assert everything(tmp_path, ring()) == good


def test_changed_boxes_with_right_checksums_do_not_open(tmp_path: Path) -> None:
    fill(tmp_path, ring(), steps=2)
    data = log_of(tmp_path).read_bytes()
    length = len(orjson.loads(data.splitlines()[1])["box"])
    for at in range(0, length, 7):

        def flip(lines: list[dict[str, Any]], at: int = at) -> None:
            box = lines[1]["box"]
            lines[1]["box"] = box[:at] + ("A" if box[at] != "A" else "B") + box[at + 1 :]

        relined(log_of(tmp_path), flip)
        with pytest.raises(DamagedLog, match="does not open"):
            dump(FileSaver(tmp_path, keys=ring()))
        log_of(tmp_path).write_bytes(data)


def _swap(lines: list[dict[str, Any]]) -> None:
    lines[1], lines[2] = lines[2], lines[1]


def _drop(lines: list[dict[str, Any]]) -> None:
    del lines[1]


def _double(lines: list[dict[str, Any]]) -> None:
    lines.insert(2, lines[1])


def _rename(lines: list[dict[str, Any]]) -> None:
    lines[1]["k"] = "w"


@pytest.mark.parametrize("change", [_swap, _drop, _double, _rename])
def test_records_stay_where_they_are(change: Callable[[list[dict[str, Any]]], None], tmp_path: Path) -> None:
    fill(tmp_path, ring())
    relined(log_of(tmp_path), change)
    with pytest.raises(DamagedLog, match="does not open"):
        dump(FileSaver(tmp_path, keys=ring()))
    assert verify(tmp_path, keys=ring())["damaged"]


@pytest.mark.parametrize("name", ["checkpoints.jsonl", "decisions.jsonl", "ledger.jsonl"])
def test_files_cannot_be_swapped_between_threads(name: str, tmp_path: Path) -> None:
    for thread in ("a", "b"):
        fill(tmp_path, ring(), thread)
    a, b = log_of(tmp_path, "a", name), log_of(tmp_path, "b", name)
    one, two = a.read_bytes(), b.read_bytes()
    a.write_bytes(two)
    b.write_bytes(one)
    for thread in ("a", "b"):
        with pytest.raises(DamagedLog, match="belongs elsewhere"):
            everything(tmp_path, ring(), thread)


def test_one_record_swapped_between_two_threads(tmp_path: Path) -> None:
    """Same kind, same place, same length, right checksums, the gen copied too."""
    for thread in ("a", "b"):
        DecisionLog(tmp_path, keys=ring()).record(thread, decision("r1", by="kim"))
    other = [orjson.loads(line) for line in log_of(tmp_path, "b", "decisions.jsonl").read_bytes().splitlines()]
    relined(log_of(tmp_path, "a", "decisions.jsonl"), lambda lines: other)
    with pytest.raises(DamagedLog, match="belongs elsewhere"):
        DecisionLog(tmp_path, keys=ring()).of("a")


def test_a_record_of_the_file_as_it_was_before_a_rewrite(tmp_path: Path) -> None:
    saver = fill(tmp_path, ring())
    before = log_of(tmp_path).read_bytes().splitlines()
    saver.prune(["t"])
    relined(log_of(tmp_path), lambda lines: [lines[0], *map(orjson.loads, before[1:])])
    with pytest.raises(DamagedLog, match="does not open"):
        dump(FileSaver(tmp_path, keys=ring()))


def test_wrong_missing_and_old_keys(tmp_path: Path) -> None:
    fill(tmp_path, ring())
    wanted = everything(tmp_path, ring())
    for keys in (None, KeyRing.of(b"x" * 32)):
        for read in (lambda k: dump(FileSaver(tmp_path, keys=k)), lambda k: DecisionLog(tmp_path, keys=k).of("t")):
            with pytest.raises(WrongKey) as caught:
                read(keys)
            if keys is not None:
                assert ring().active in str(caught.value)
        with pytest.raises(WrongKey):
            DecisionLog(tmp_path, keys=keys).record("t", decision("r2"))
        with pytest.raises(WrongKey):
            fill(tmp_path, keys)
    both = KeyRing.of(b"x" * 32, b"\x01" * 32)
    assert everything(tmp_path, both) == wanted
    DecisionLog(tmp_path, keys=both).record("t", decision("r2"))
    last = orjson.loads(log_of(tmp_path, name="decisions.jsonl").read_bytes().splitlines()[-1])
    assert last["key"] == both.active != ring().active


def test_plain_records_are_refused_when_a_key_is_set(tmp_path: Path) -> None:
    fill(tmp_path, ring())
    fill(tmp_path / "other", None)
    for name in ("checkpoints.jsonl", "decisions.jsonl", "ledger.jsonl"):
        path, forged = log_of(tmp_path, name=name), log_of(tmp_path / "other", name=name).read_bytes()
        data = path.read_bytes()
        plain = [orjson.loads(line) for line in forged.splitlines()]
        path.write_bytes(forged)  # a whole file
        with pytest.raises(PlaintextRefused, match="checkpoints encrypt"):
            everything(tmp_path, ring())
        path.write_bytes(data)
        relined(path, lambda lines, plain=plain: [*lines, plain[1]])  # type: ignore[misc]  # one record at the end
        with pytest.raises(PlaintextRefused):
            everything(tmp_path, ring())
        path.write_bytes(data)
        relined(path, lambda lines, plain=plain: [lines[0], *plain[1:]])  # type: ignore[misc]  # under our header
        with pytest.raises(PlaintextRefused):
            everything(tmp_path, ring())
        path.write_bytes(data)


def test_plain_sessions_are_sealed_by_an_explicit_step(tmp_path: Path) -> None:
    fill(tmp_path, None)
    plain = everything(tmp_path, None)
    with pytest.raises(PlaintextRefused):
        everything(tmp_path, ring())
    assert encrypt(tmp_path, ring(), "t") == 3
    assert everything(tmp_path, ring()) == plain
    assert encrypt(tmp_path, ring(), "t") == 0
    assert all(word.encode() not in log_of(tmp_path).read_bytes() for word in SECRET)


def test_torn_tails_and_damage_are_found_without_the_key(tmp_path: Path) -> None:
    fill(tmp_path, ring())
    path = log_of(tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[:-9])
    assert verify(tmp_path)["damaged"] == []
    assert [t[1]["id"] for t in dump(FileSaver(tmp_path, keys=ring()))] == ["003", "002", "001"]
    path.write_bytes(data.replace(b'"box":"', b'"bux":"', 1))
    assert "checksum" in verify(tmp_path)["damaged"][0]["problems"][0]
    with pytest.raises(WrongKey):
        repair(tmp_path, "t", keys=KeyRing.of(b"x" * 32))
    path.write_bytes(data[:-20] + b"x" * 19 + b"\n")
    with pytest.raises(WrongKey):
        repair(tmp_path, "t")
    assert repair(tmp_path, "t", keys=ring())["problems"] == []
    assert [t[1]["id"] for t in dump(FileSaver(tmp_path, keys=ring()))] == ["003", "002", "001"]


def test_key_files(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "session.json"
    made = KeyRing.create(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert KeyRing.load(path).active == made.active
    with pytest.raises(BadKeyFile, match="exists already"):
        KeyRing.create(path)
    old = made.active
    other_process = KeyRing.load(path)
    new = made.rotate()
    assert made.active == other_process.active == new != old
    assert KeyRing.load(path).ids == [old, new]
    assert "key" not in repr(made).lower().replace("keyring", "").replace("keys", "")
    path.chmod(0o644)
    with pytest.raises(BadKeyFile, match="chmod 600"):
        KeyRing.load(path)
    path.chmod(0o600)
    path.write_bytes(path.read_bytes().replace(new.encode(), b"0" * 16))
    with pytest.raises(BadKeyFile, match="is not the key"):
        KeyRing.load(path)
    with pytest.raises(BadKeyFile, match="no key file"):
        KeyRing.load(tmp_path / "none")


def test_a_passphrase(tmp_path: Path) -> None:
    path = tmp_path / "session.json"
    made = KeyRing.create(path, passphrase="도장 🏯", n=2**10)
    made.rotate()
    assert KeyRing.load(path, passphrase="도장 🏯").ids == made.ids
    for wrong, said in (("도장", "does not open"), (None, "DOJANG_SESSION_PASSPHRASE")):
        with pytest.raises(BadKeyFile, match=said):
            KeyRing.load(path, passphrase=wrong)


def test_nonces_are_counted_and_a_fork_draws_a_new_salt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Within a salt four bytes count up to the limit; a new process, a new ring and a full count draw a new salt."""
    keys = ring()
    drawn = [keys._nonce() for _ in range(300)]
    assert len({salt for _, salt, _ in drawn}) == 1
    assert [int.from_bytes(nonce[:4], "big") for _, _, nonce in drawn] == list(range(300))
    assert ring()._nonce()[1] != drawn[0][1]
    monkeypatch.setattr("checkpoints.files.crypto.SEALS_MAX", 300)
    assert keys._nonce()[1] != drawn[0][1]
    salt = keys._nonce()[1]
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert keys._nonce()[1] != salt


def test_an_index_repeats_no_content(tmp_path: Path) -> None:
    fill(tmp_path / "threads", ring())

    def summarise(found: Any, decisions: Any) -> Any:
        return {
            "title": found.checkpoint["channel_values"]["items"][0],
            "status": "idle",
            "updated_at": "",
            "reviews": [],
        }

    index = ThreadIndex(tmp_path / "index.sqlite", tmp_path / "threads", summarise, keys=ring())
    assert "손님의 비밀" in index.threads()[0]["title"]
    data = b"".join(p.read_bytes() for p in tmp_path.glob("index.sqlite*"))
    assert "비밀".encode() not in data
    assert index.threads()[0]["title"].encode() not in data


@pytest.mark.parametrize(
    "other",
    [{"thread": "u"}, {"kind": "decisions"}, {"gen": "h"}, {"offset": 11}, {"prev": "00000001"}],
    ids=lambda other: next(iter(other)),
)
def test_a_place_is_part_of_the_seal(other: dict[str, Any]) -> None:
    keys = ring()
    place = Place("t", "ledger", "g", 10, "00000000")
    sealed = keys.seal({"k": "x", "v": 1}, place)
    assert keys.open(sealed, place) == {"k": "x", "v": 1}
    with pytest.raises(Forged):
        keys.open(sealed, replace(place, **other))


def test_a_sealed_record_keeps_its_kind_its_key_and_its_spelling() -> None:
    keys = ring(2)
    place = Place("t", "ledger", "g", 10, "00000000")
    sealed = keys.seal({"k": "intent"}, place)
    spelt = sealed["box"].rstrip("=")
    assert spelt != sealed["box"]  # so the last character has bits to spare
    changes = [{"k": "outcome"}, {"key": keys.ids[1]}, {"box": spelt}, {"box": ""}, {"box": None}]
    changes += [{"box": spelt[:-1] + chr(ord(spelt[-1]) + 1) + "=" * (len(sealed["box"]) - len(spelt))}]
    for change in changes:
        with pytest.raises(Forged):
            keys.open({**sealed, **change}, place)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
def test_rotation_killed_at_any_instant(tmp_path: Path) -> None:
    """Keys are rotated and files sealed anew by a child that is killed: every thread opens, before and after."""
    root, path = tmp_path / "threads", tmp_path / "keys.json"
    keys = KeyRing.create(path)
    for thread in ("a", "b"):
        fill(root, keys, thread)
    wanted = [everything(root, keys, thread) for thread in ("a", "b")]
    rng = random.Random(5)
    for _ in range(12):
        ours, theirs = multiprocessing.Pipe(duplex=False)
        child = FORKS.Process(target=rotate_until_killed, args=(str(root), str(path), theirs))
        child.start()
        theirs.close()
        assert ours.poll(60)
        child.join(rng.random() * 0.02)
        child.kill()
        child.join()
        assert [everything(root, KeyRing.load(path), thread) for thread in ("a", "b")] == wanted
    keys = KeyRing.load(path)
    for thread in ("a", "b"):
        reseal(root, keys, thread)
        for name in ("checkpoints.jsonl", "decisions.jsonl", "ledger.jsonl"):
            lines = [orjson.loads(line) for line in log_of(root, thread, name).read_bytes().splitlines()]
            assert {line["key"] for line in lines[1:]} == {keys.active}
    assert [everything(root, keys, thread) for thread in ("a", "b")] == wanted
    assert len(keys.ids) > 2


def test_an_open_saver_goes_on_after_a_rotation(tmp_path: Path) -> None:
    root = tmp_path / "threads"
    keys = KeyRing.create(tmp_path / "keys.json")
    mine = KeyRing.load(tmp_path / "keys.json")
    saver = fill(root, mine)
    new = keys.rotate()
    assert reseal(root, keys, "t") == 3
    made = checkpoint({"items": ["끝"]}, {"items": 9}, "009")
    saver.put(config("t", "003"), made, metadata(9), {"items": 9})
    assert [t[1]["id"] for t in dump(FileSaver(root, keys=keys))] == ["009", "003", "002", "001"]
    last = orjson.loads(log_of(root).read_bytes().splitlines()[-1])
    assert last["key"] == new
