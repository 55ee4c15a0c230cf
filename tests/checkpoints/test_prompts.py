"""What is kept of the model's turns: whole, once each, sealed like the rest, erased with the rest, never in the way."""

from __future__ import annotations

import logging
import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkpoints import FileSaver, KeyRing, PlaintextRefused, PromptLog, WrongKey, repair, verify
from checkpoints.audit.trail import AuditLog
from checkpoints.backend import Backend
from checkpoints.files.folders import ThreadFolders
from checkpoints.records.about import AboutThreads
from checkpoints.records.prompts import hash_of, key_of
from checkpoints.upkeep.erasing import erase_person, erase_thread
from checkpoints.upkeep.exporting import export
from checkpoints.upkeep.rotation import encrypt, reseal
from state import Aside, Prompt, Rendered, Said, ToolSpec
from tests.flywheel.desk import Desk
from tests.graph.parts import asks, calls, passage, says, spec

NOW = datetime(2026, 11, 22, tzinfo=UTC)
KEYS = KeyRing.of(b"k" * 32)


def turn(n: int, ids: list[str], tools: list[ToolSpec] | None = None, said: str = "yes") -> Prompt:
    return Prompt(
        turn=f"human-{n}",
        round=1,
        at=NOW.isoformat(),
        language="ko",
        messages=ids,
        tools=[spec("look", "read")] if tools is None else tools,
        passages=[{**passage(f"근거 {n % 3}"), "scores": {}}],
        rendered=Rendered(form="reading/1", today="", sha256="0" * 64),
        speaker="base@adapter",
        said=Said(calls=[], text=said, citations=[], clarification="", about="", abstained=False),
    )


def path_of(root: Path, thread: str = "t") -> Path:
    return ThreadFolders(root).path(thread) / "prompts.jsonl"


def log(root: Path | Backend, keys: KeyRing | None = None) -> PromptLog:
    made = PromptLog(root, keys=keys)
    made.backend.ensure("t")
    return made


@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 4), st.booleans()), max_size=12),
    st.integers(0, 2**32),
)
def test_whatever_is_noted_by_whichever_process_comes_back_whole(steps: list[Any], seed: int) -> None:
    import tempfile

    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        root, ids, wanted = Path(folder), list[str](), list[Prompt]()
        writers = [log(root), log(root)]
        for n, (cut, grown, other) in enumerate(steps):
            ids = ids[: len(ids) - cut] + [f"m{rng.random()}" for _ in range(grown)]
            tools = [spec(name, "read") for name in rng.sample(["look", "book", "pay"], rng.randrange(4))]
            wanted.append(turn(n, list(ids), tools))
            writers[other].note("t", wanted[-1])
            if rng.random() < 0.2:
                writers[other] = log(root)
        assert log(root).read("t").prompts == wanted


def test_each_content_is_written_once_and_ids_once(tmp_path: Path) -> None:
    ids = [f"message-{n}" for n in range(400)]
    kept = log(tmp_path)
    for n in range(200):
        kept.note("t", turn(n, ids[: 2 * n + 1]))
    bodies = [r for r in kept.entries("t") if r["k"] == "body"]
    assert len(bodies) == 4  # one tool, three passages
    text = path_of(tmp_path).read_text(encoding="utf-8")
    assert [text.count(f'"{i}"') for i in ids[:399]] == [1] * 399
    assert len(text) < 200 * 800


def test_a_conversation_that_is_kept_out_keeps_nothing_and_says_so(where: Backend) -> None:
    kept = log(where)
    kept.note("t", turn(1, ["a"]))
    assert kept.keep_out("t", True, "kim", NOW)
    assert not kept.keep_out("t", True, "kim", NOW)
    kept.note("t", turn(2, ["a", "b"]))
    log(where).note("t", turn(3, ["a", "b"]))
    assert [p["turn"] for p in kept.read("t").prompts] == ["human-1"]
    assert kept.read("t").out
    assert kept.keep_out("t", False, "kim", NOW)
    kept.note("t", turn(4, ["a", "b", "c"]))
    found = log(where).read("t")
    assert ([p["turn"] for p in found.prompts], found.out) == (["human-1", "human-4"], False)
    assert found.prompts[1]["messages"] == ["a", "b", "c"]


def test_threads_of_one_process_note_side_by_side(where: Backend) -> None:
    from concurrent.futures import ThreadPoolExecutor

    kept = log(where)
    for name in ("a", "b"):
        where.ensure(name)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: kept.note("ab"[n % 2], turn(n, [f"m{n}", "x"])), range(40)))
    for at, name in enumerate("ab"):
        found = log(where).read(name)
        assert sorted(p["turn"] for p in found.prompts) == sorted(f"human-{n}" for n in range(at, 40, 2))
        assert all(p["messages"] == [f"m{p['turn'][6:]}", "x"] for p in found.prompts)


def test_what_clients_note_is_merged(where: Backend) -> None:
    noted = AboutThreads(where)
    assert (noted.merge("t", {}), noted.of("t"), where.exists("t")) == ({}, {}, True)
    assert noted.merge("t", {"customer": "c-17", "n": 1}) == {"customer": "c-17", "n": 1}
    assert AboutThreads(where).merge("t", {"n": 2}) == noted.of("t") == {"customer": "c-17", "n": 2}
    assert noted.merge("t", {"n": 2}) == noted.of("t")
    assert len(where.log("t", "about").records()) == 2


def test_old_sessions_have_none_and_foreign_threads_get_no_folder(tmp_path: Path) -> None:
    kept = log(tmp_path)
    assert (kept.read("t").prompts, kept.read("nobody").prompts) == ([], [])
    kept.note("nobody", turn(1, []))
    assert not ThreadFolders(tmp_path).path("nobody").exists()
    assert verify(tmp_path)["damaged"] == []


def test_what_cannot_be_kept_stops_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    kept = log(tmp_path)
    kept.note("t", turn(1, ["a"]))
    data = path_of(tmp_path).read_bytes()
    path_of(tmp_path).write_bytes(data.replace(b"human-1", b"human-7"))
    with caplog.at_level(logging.WARNING):
        log(tmp_path).note("t", turn(2, ["a"]))
    assert "thread t: a turn is not kept for training" in caplog.text
    assert verify(tmp_path)["damaged"][0]["problems"]


@pytest.mark.parametrize("which", ["body", "prompt"])
def test_after_a_repair_what_rests_on_the_lost_line_is_counted_and_left_out(which: str, tmp_path: Path) -> None:
    kept = log(tmp_path)
    for n in range(4):
        kept.note("t", turn(n, [f"m{i}" for i in range(n + 1)]))
    lines = path_of(tmp_path).read_bytes().split(b"\n")
    hit = next(n for n, line in enumerate(lines) if f'"k":"{which}"'.encode() in line and n > 1)
    lines[hit] = lines[hit][:-20] + b"?" + lines[hit][-19:]
    path_of(tmp_path).write_bytes(b"\n".join(lines))
    assert repair(tmp_path, "t")["problems"] == []
    found = log(tmp_path).read("t")
    assert found.lost >= 1
    assert all(p["messages"] == [f"m{i}" for i in range(len(p["messages"]))] for p in found.prompts)
    later = log(tmp_path)
    later.note("t", turn(9, ["m0", "m1", "x"]))
    assert later.read("t").prompts[-1] == turn(9, ["m0", "m1", "x"])


def test_sealed_prompts_open_with_their_key_only(tmp_path: Path) -> None:
    kept = log(tmp_path, KEYS)
    kept.note("t", turn(1, ["a"], said="김하나"))
    kept.keep_out("t", True, "kim", NOW)
    assert "김하나" not in path_of(tmp_path).read_text(encoding="utf-8")
    assert kept.read("t").prompts == [turn(1, ["a"], said="김하나")]
    with pytest.raises(WrongKey):
        log(tmp_path).read("t")
    both = KeyRing.of(b"n" * 32, b"k" * 32)
    assert both.active != KEYS.active
    assert reseal(tmp_path, both, "t") == 1
    assert log(tmp_path, KeyRing.of(b"n" * 32)).read("t").prompts == [turn(1, ["a"], said="김하나")]


def test_plain_prompts_are_sealed_by_the_explicit_step(tmp_path: Path) -> None:
    log(tmp_path).note("t", turn(1, ["a"]))
    with pytest.raises(PlaintextRefused):
        log(tmp_path, KEYS).read("t")
    assert encrypt(tmp_path, KEYS, "t") == 1
    assert log(tmp_path, KEYS).read("t").prompts == [turn(1, ["a"])]


# ------------------------------------------------------------------------------------------- in whole conversations


def lived(home: Path) -> Desk:
    desk = Desk(home)
    desk.say("t", "a room for Hong", asks("Which day?"), calls(("book", {"room": "for Hong"})), says("Booked."))
    desk.decide("t", "answer", message="born on 3 May")
    desk.decide("t", "edit", edited_args={"room": "Suite Baekdu"})
    return desk


def test_the_graph_notes_each_turn_with_what_it_read(tmp_path: Path) -> None:
    desk = lived(tmp_path)
    found = desk.prompts.read("t").prompts
    assert [p["round"] for p in found] == [1, 2, 3]
    assert [len(p["messages"]) for p in found] == [1, 3, 5]
    assert [p["said"]["clarification"] for p in found] == ["Which day?", "", ""]
    assert found[1]["said"]["calls"][0]["args"] == {"room": "for Hong"}
    assert found[2]["said"]["text"] == "Booked."
    assert len({key_of(p) for p in found}) == 3
    state = FileSaver(desk.threads).get_tuple(desk.config("t"))
    assert state is not None
    ids = [m.id for m in state.checkpoint["channel_values"]["messages"]]
    assert ids[:5] == found[2]["messages"]
    assert [r["k"] for r in export(desk.threads, "t")][-3:] == ["prompt"] * 3


def test_a_persons_words_leave_the_kept_turns_too(tmp_path: Path) -> None:
    desk = lived(tmp_path)
    audit = AuditLog(desk.threads, tmp_path / "keys")
    assert "a room for Hong" not in path_of(desk.threads).read_text(encoding="utf-8")  # messages are kept by id alone
    desk.say("t", "echo", says("you said born on 3 May"))
    noted = AboutThreads(ThreadFolders(desk.threads))
    noted.merge("t", {"why": "born on 3 May", "customer": "c-17"})
    [done] = erase_person(audit, "lee", "admin", "asked for it")
    assert (done["prompts"], done["notes"]) == (1, 1)
    assert noted.of("t") == {"why": "[erased]", "customer": "c-17"}
    assert "born on 3 May" not in path_of(desk.threads).read_text(encoding="utf-8")
    kept = desk.prompts.read("t")
    assert (len(kept.prompts), len(kept.erased)) == (3, 1)
    assert verify(desk.threads)["damaged"] == []


def test_an_erased_conversation_keeps_neither_turns_nor_passages(tmp_path: Path) -> None:
    desk = lived(tmp_path)
    audit = AuditLog(desk.threads, tmp_path / "keys")
    noted = AboutThreads(ThreadFolders(desk.threads))
    for customer in ("c-17", "c-18"):
        noted.merge("t", {"customer": customer})
    done = erase_thread(audit, "t", "admin", "law")
    assert (done["prompts"], done["notes"]) == (3, 2)
    assert noted.of("t") == {}
    assert "c-17" not in (path_of(desk.threads).parent / "about.jsonl").read_text(encoding="utf-8")
    text = path_of(desk.threads).read_text(encoding="utf-8")
    assert ("for Hong" in text, "Breakfast" in text, "Which day?" in text) == (False, False, False)
    assert desk.prompts.read("t").prompts == []
    desk.say("t", "again", says("Yes."))
    assert [p["said"]["text"] for p in desk.prompts.read("t").prompts] == ["Yes."]


def test_hashes_of_contents_do_not_depend_on_the_order_of_keys() -> None:
    assert hash_of({"a": 1, "b": [{"c": "가"}]}) == hash_of({"b": [{"c": "가"}], "a": 1})


def test_what_a_candidate_said_is_sealed_exported_erased_and_unknown_to_older_readers(tmp_path: Path) -> None:
    said: Any = {"calls": [], "text": "secret", "citations": [], "clarification": "", "about": "", "abstained": False}
    aside = Aside(turn="human-1", round=1, at=NOW.isoformat(), adapter="c" * 16, speaker="base@c", said=said)
    sealed = log(tmp_path / "sealed", KEYS)
    assert sealed.note_aside("t", aside)
    assert b"secret" not in path_of(tmp_path / "sealed").read_bytes()
    assert PromptLog(tmp_path / "sealed", keys=KEYS).read("t").asides == [aside]
    plain = log(tmp_path / "plain")
    plain.note("t", turn(1, ["m1"]))
    assert plain.note_aside("t", aside)
    plain.note("t", turn(2, ["m1", "m2"]))
    kept = plain.read("t")
    assert ([p["messages"] for p in kept.prompts], kept.asides, kept.lost) == ([["m1"], ["m1", "m2"]], [aside], 0)
    assert {"k": "aside", "aside": dict(aside)} in list(export(tmp_path / "plain", "t"))
    audit = AuditLog(tmp_path / "plain", tmp_path / "keys")
    assert erase_thread(audit, "t", "kim", "asked")["prompts"] == 3
    assert plain.read("t").asides == []
    assert b"secret" not in path_of(tmp_path / "plain").read_bytes()
