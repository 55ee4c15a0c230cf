"""Every mistake: one clear line, the right exit code, and nothing changed."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dojang.settings import Settings
from dojang.workspace import Workspace
from tests.databases import SESSIONS
from tests.dojang.conftest import Ran, Shell
from tests.sessions_in_postgres import damaged_by_hand, rows_of

Rows = Callable[[], list[tuple[Any, ...]]]


def refused(result: Ran, code: int, *parts: str) -> None:
    """One line on stderr that says ``parts``, nothing on stdout."""
    assert result.code == code, result
    assert result.out == ""
    lines = [line for line in result.err.splitlines() if not line.startswith("…")]
    assert len(lines) == 1, result.err
    assert lines[0].startswith("error: ")
    for part in parts:
        assert part in lines[0]


def refused_in_korean(result: Ran, code: int) -> None:
    """The same line in Korean: no three English words in a row but in commands, paths and what was typed."""
    assert result.code == code, result
    line = [line for line in result.err.splitlines() if not line.startswith("…")][-1]
    assert line.startswith("오류: ")
    said = re.sub(r"`[^`]*`|'[^']*'|\"[^\"]*\"|\([^()]*--help\)", "", line.removeprefix("오류: "))
    assert re.search("[가-힣]", said), line
    assert not re.search(r"[A-Za-z]+ [a-z]+ [a-z]+", said), line


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("thread", "th_nope"), ("th_nope", "dojang threads")),
        (("history", "th_nope"), ("th_nope",)),
        (("resume", "th_nope"), ("th_nope",)),
        (("ask", "hello", "--thread", "th_nope"), ("th_nope",)),
        (("thread", "../../etc"), ("../../etc",)),
        (("show", "rv_nope"), ("rv_nope", "dojang inbox")),
        (("approve", "rv_nope"), ("rv_nope",)),
        (("reject", "rv_nope", "--reason", "no"), ("rv_nope",)),
        (("edit", "rv_nope", "--set", "guests=3"), ("rv_nope",)),
        (("answer", "rv_nope", "yes"), ("rv_nope",)),
        (("ask", ""), ("empty",)),
        (("ask", "  \n"), ("empty",)),
        (("ask", "bad \udcff"), ("UTF-8",)),
        (("ask",), ("Missing argument", "TEXT")),
        (("ask", "a", "b"), ("dojang ask --help",)),
        (("shwo",), ("shwo", "show")),
        (("inbox", "--lang", "fr"), ("--lang",)),
        (("inbox", "--kind", "nothing"), ("nothing", "compliance")),
        (("inbox", "--limit", "0"), ("limit",)),
        (("inbox", "--home"), ("--home",)),
        (("ingest",), ("--sample",)),
        (("search", " "), ("empty",)),
        (("search", "?!"), ("empty",)),
        (("serve", "--port", "70000"), ("port",)),
        (("demo", "--decide", "perhaps"), ("perhaps", "edit guests=3")),
        (("demo", "--decide", 'edit "guests=3'), ("edit name=value",)),
        pytest.param(
            ("checkpoints", "repair", "th_nope"), ("th_nope",), marks=pytest.mark.about_files("it repairs files")
        ),
    ],
)
def test_unknown_ids_and_wrong_usage(shell: Shell, words: tuple[str, ...], parts: tuple[str, ...]) -> None:
    refused(shell(*words), 2, *parts)
    if "--lang" not in words:
        refused_in_korean(shell("--lang", "ko", *words), 2)
    assert shell.kept() == {}


def test_no_words_at_all_show_the_help(shell: Shell) -> None:
    result = shell()
    assert (result.code, result.out) == (2, "")
    assert "Usage: dojang" in result.err


@pytest.mark.parametrize(
    ("words", "code", "parts"),
    [
        (("approve", "RV", "--digest", "sha256:0"), 4, ("has changed since you looked",)),
        (("edit", "RV", "--set", "guests=3", "--digest", "sha256:0"), 4, ("has changed since you looked",)),
        (("answer", "RV", "yes"), 2, ("cannot be decided with 'answer'", "approve, edit, reject")),
        (("reject", "RV"), 2, ("--reason",)),
        (("reject", "RV", "--reason", "x" * 20_001), 2, ("20,000",)),
        (("edit", "RV"), 2, ("--set",)),
        (("edit", "RV", "--set", "guests"), 2, ("name=value",)),
        (("edit", "RV", "--set", "=3"), 2, ("name=value",)),
        (("edit", "RV", "--set", "guests=many"), 2, ("guests", "many")),
        (("edit", "RV", "--set", "guests=-1"), 2, ("guests",)),
        (("edit", "RV", "--set", "check_out=2026-12-03"), 2, ("check_in (2026-12-03)", "give a later date")),
        (("edit", "RV", "--set", "check_in=2026-12-09"), 2, ("not 2026-12-05",)),
        (("edit", "RV", "--set", "check_out=next friday"), 2, ('check_out: "next friday" can mean',)),
        (("edit", "RV", "--set", "guest="), 2, ("guest",)),
        (("edit", "RV", "--set", "colour=red"), 2, ("colour",)),
        (("edit", "RV", "--set", "room_type=palace"), 2, ("room_type",)),
        (("edit", "RV", "--args", "{"), 2, ("--args is not JSON",)),
        (("edit", "RV", "--args", "[1]"), 2, ("JSON object",)),
        (("edit", "RV", "--args", "{}"), 2, ("missing",)),
        (("edit", "RV", "--args", '{"guests": 3}'), 2, ("hotel is missing",)),
        (("edit", "RV", "--args", "{}", "--set", "guests=3"), 2, ("not both",)),
        (("ask", "more", "--thread", "TH"), 4, ("waits for a decision",)),
    ],
)
def test_a_waiting_review_is_untouched_by_a_bad_decision(
    shell: Shell, bookings: Rows, words: tuple[str, ...], code: int, parts: tuple[str, ...]
) -> None:
    thread, review = shell.paused()
    before = shell.kept()
    said = [{"RV": review, "TH": thread}.get(word, word) for word in words]
    refused(shell(*said), code, *parts)
    refused_in_korean(shell("--lang", "ko", *said), code)
    assert shell.kept() == before
    assert bookings() == []
    assert [r["id"] for r in shell("inbox", "--json").json] == [review]


def test_the_same_decision_twice_is_one_decision(shell: Shell, bookings: Rows) -> None:
    _thread, review = shell.paused()
    first, second = shell("approve", review, "--json"), shell("approve", review, "--json")
    assert (first.code, second.code) == (0, 0)
    assert first.json["decision"] == second.json["decision"]
    assert len(bookings()) == 1


@pytest.mark.parametrize(
    "words",
    [
        ("approve", "RV", "--user", "lee"),
        ("reject", "RV", "--reason", "changed my mind"),
        ("edit", "RV", "--set", "guests=3"),
    ],
)
def test_another_decision_learns_who_won(shell: Shell, bookings: Rows, words: tuple[str, ...]) -> None:
    _thread, review = shell.paused()
    assert shell("approve", review).code == 0
    before = shell.kept()
    refused(shell(*(review if word == "RV" else word for word in words)), 4, review, "approve by 'kim'")
    assert shell.kept() == before
    assert len(bookings()) == 1


def test_a_question_cannot_be_approved(shell: Shell) -> None:
    review = shell("ask", "which one?").one("rv")
    before = shell.kept()
    refused(shell("approve", review), 2, "cannot be decided with 'approve'", "answer, reject")
    refused(shell("answer", review, " "), 2, "needs a text")
    assert shell.kept() == before


@pytest.mark.parametrize("name", ["empty.txt", "random.md", "photo.png", "notes.xyz", "missing.txt", "huge.txt"])
def test_a_document_that_cannot_be_read_is_named_and_the_rest_goes_in(shell: Shell, tmp_path: Path, name: str) -> None:
    path, good = tmp_path / name, tmp_path / "good.md"
    good.write_text("# Good\n\nAll is well here.\n")
    if name == "huge.txt":
        with path.open("wb") as file:
            file.truncate(100 * 2**20)
    elif name != "missing.txt":
        content = {"empty.txt": b"", "random.md": bytes(range(256)) * 9, "photo.png": b"\x89PNG\r\n\x1a\n" + bytes(64)}
        path.write_bytes(content.get(name, b"text"))
    result = shell("ingest", str(path), str(good))
    assert result.code == 2, result
    errors = [line for line in result.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert name in errors[0]
    assert result.out.startswith("1 added, 0 replaced, 0 unchanged, 1 not read")
    assert [d["name"] for d in shell("documents", "--json").json] == ["good.md"]
    report = shell("ingest", str(path), "--json")
    assert (report.code, len(report.json["failed"])) == (2, 1)


def closed_port() -> int:
    """A loopback port at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_database_that_does_not_answer(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    thread, review = shell.paused()
    before = shell.kept()
    port = closed_port()
    monkeypatch.setenv("DOJANG_DATABASE_URL", f"postgresql://kim:hunter2@127.0.0.1:{port}/hotel")
    for words in (("documents",), ("search", "x"), ("approve", review)):
        result = shell(*words)
        refused(result, 5, str(port))
        assert "hunter2" not in result.err
    assert shell.kept() == before
    files = SESSIONS == "files"  # what only reads them goes on
    reads = [shell("inbox"), shell("thread", thread), shell("show", review)]
    assert [read.code for read in reads] == [0 if files else 5] * 3
    assert "hunter2" not in "".join(read.err for read in reads)
    assert ("Namsan Stay" in reads[-1].out) is files
    asked = shell("ask", "hello")
    assert asked.code == 5
    assert "hunter2" not in asked.out + asked.err


def test_a_database_address_that_cannot_be_read(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOJANG_DATABASE_URL", "postgresql://kim:hunter2@[broken")
    result = shell("documents")
    refused(result, 2, "database address")
    assert "hunter2" not in result.err


@pytest.mark.parametrize("model", ["/nowhere", "gpt-4"])
def test_a_model_that_is_not_there(shell: Shell, monkeypatch: pytest.MonkeyPatch, model: str) -> None:
    monkeypatch.setenv("DOJANG_MODEL", model)
    shell.open_workspace = Workspace
    result = shell("ask", "hello")
    assert result.code == 2, result
    assert model in next(line for line in result.err.splitlines() if line.startswith("error: "))
    assert shell.kept() == {}


def test_without_a_model_a_decision_is_not_even_recorded(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    _thread, review = shell.paused()
    before = shell.kept()
    monkeypatch.setenv("DOJANG_MODEL", "/nowhere")
    shell.open_workspace = Workspace
    refused(shell("approve", review), 2, "/nowhere")
    assert shell.kept() == before


@pytest.mark.about_files("it changes one, and `checkpoints verify` reads them")
@pytest.mark.parametrize("file", ["checkpoints.jsonl", "decisions.jsonl", "thread.json"])
def test_a_damaged_session_file_is_named(shell: Shell, file: str) -> None:
    healthy = shell("ask", "hello", "--json").json["thread_id"]
    thread, review = shell.paused()
    assert shell("reject", review, "--reason", "no").code == 0
    folder = Path(shell("thread", thread, "--json").json["folder"])
    path = folder / file
    data = bytearray(path.read_bytes())
    data[len(data) // 2 if file != "thread.json" else 0] ^= 0x15
    path.write_bytes(bytes(data))
    before = shell.kept()
    verified = shell("checkpoints", "verify", "--json")
    assert verified.code == 70
    assert str(folder) in verified.out
    assert shell("thread", healthy).code == 0  # the other sessions are read as ever
    assert shell("inbox").code == 0
    if file != "thread.json":
        asked = shell("resume", thread)
        assert asked.code == 70, asked
        assert file in asked.err
    assert shell.kept() == before


def test_a_damaged_record_in_the_database_stops_its_session_and_no_other(shell: Shell) -> None:
    shell.monkeypatch.setenv("DOJANG_SESSIONS", "postgres")
    healthy = shell("ask", "hello", "--json").json["thread_id"]
    thread, review = shell.paused()
    assert shell("reject", review, "--reason", "no").code == 0
    with shell.backend() as kept:
        damaged_by_hand(kept, thread, "decisions")
        path = kept.log(thread, "decisions").path
    before = rows_of(shell.environment["DOJANG_DATABASE_URL"])
    assert shell("thread", healthy).code == 0
    assert shell("inbox").code == 0
    refused(shell("resume", thread), 70, str(path))
    assert rows_of(shell.environment["DOJANG_DATABASE_URL"]) == before


@pytest.mark.about_files("it repairs them")
def test_a_damaged_session_can_be_repaired(shell: Shell) -> None:
    thread = shell("ask", "hello", "--json").json["thread_id"]
    path = Path(shell("thread", thread, "--json").json["folder"]) / "checkpoints.jsonl"
    data = bytearray(path.read_bytes())
    data[-40] ^= 0x15
    path.write_bytes(bytes(data))
    assert shell("thread", thread).code == 70
    repaired = shell("checkpoints", "repair", thread, "--json")
    assert repaired.code == 0, repaired
    assert any(file["kept"] for file in repaired.json["files"])
    assert shell("thread", thread).code == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DOJANG_PASSAGES_K", "0"),
        ("DOJANG_PASSAGES_K", "many"),
        ("DOJANG_PORT", "99999"),
        ("DOJANG_LANGUAGE", "fr"),
        ("DOJANG_TODAY", "yesterday"),
        ("DOJANG_TOOLS", "not json"),
        ("DOJANG_EMBEDDING_LANGUAGES", '["fr"]'),
        ("DOJANG_USER", ""),
    ],
)
def test_settings_that_cannot_be_used_are_named(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    refused(shell("inbox"), 2, name)
    assert shell.kept() == {}


@pytest.mark.parametrize("text", ["not toml [", '[[rule]]\nid = "x"\n', '[[rule]]\nid = 3\noutcome = "pass"\n'])
def test_a_broken_policy_stops_everything_that_would_act(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(text)
    monkeypatch.setenv("DOJANG_POLICY", str(path))
    result = shell("ask", "please book it")
    assert result.code == 2, result
    assert "policy.toml" in result.err


def test_a_missing_policy(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOJANG_POLICY", "/nowhere/policy.toml")
    result = shell("ask", "please book it")
    assert result.code == 2
    assert "policy.toml" in result.err


def test_tools_that_do_not_exist(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOJANG_TOOLS", '["tools.nothing"]')
    result = shell("ask", "please book it")
    assert result.code == 2
    assert "tools.nothing" in result.err


def test_a_home_that_is_a_file(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for home in (tmp_path / "file", tmp_path / "file" / "below"):
        refused(shell("inbox", "--home", str(home)), 2, str(home))
    assert (tmp_path / "file").read_text() == ""


def test_a_bug_is_called_one_and_nothing_else_is_shown(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_settings: Settings) -> Workspace:
        raise KeyError("surprise")

    shell.open_workspace = broken
    refused(shell("inbox"), 70, "bug", "KeyError", "surprise")


def test_debugging_shows_where(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOJANG_DEBUG", "1")
    with pytest.raises(AssertionError, match="Traceback"):
        shell("thread", "th_nope")
