"""dojang adapters dataset …, opt-out and erasure over real sessions and the real command line, without a database."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from dojang.cli.exits import Exit
from dojang.moving import move
from dojang.server.work.base import Rows
from dojang.server.work.postgres.rows import PgRows
from dojang.server.work.rows import RunRows
from dojang.sessions import open_sessions
from dojang.settings import load_settings
from tests.databases import NOT_NEEDED, SESSIONS, database_of
from tests.dojang.conftest import Shell
from tests.dojang.server.work.test_keeping_runs import accepted, ended
from tests.dojang.workspaces import rehearsed, settings_for
from tests.flywheel.desk import Desk
from tests.graph.parts import calls, says
from tests.sessions_in_postgres import damaged_by_hand

HOTELS = ["Namsan", "Hangang", "Baekdu", "Jeju", "Seorak", "Gyeongju", "Busan", "Incheon"]


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight conversations with a decision each: approved, edited or rejected by two people."""
    home = tmp_path_factory.mktemp("lived")
    desk = Desk(home, sessions="files")
    for n, hotel in enumerate(HOTELS):
        thread = f"t{n}"
        desk.say(thread, f"{hotel}: reserve room number{n} tonight", calls(("book", {"room": hotel})), says("Done."))
        match n % 3:
            case 0:
                desk.decide(thread, "approve")
            case 1:
                desk.decide(thread, "edit", by="choi", edited_args={"room": f"{hotel} suite"})
            case _:
                desk.decide(thread, "reject", reason="full")
    return home


def taken_over(lived: Path, home: Path) -> Path:
    """The same in a home of its own, where the tests' sessions lie."""
    shutil.copytree(lived, home)
    if SESSIONS == "postgres":
        move(settings_for(home, NOT_NEEDED), "postgres")
    return home


@pytest.fixture
def shell(lived: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Shell:
    home = taken_over(lived, tmp_path / "home")
    environment = {"DOJANG_HOME": str(home), "DOJANG_LANGUAGE": "en", "DOJANG_USER": "kim"}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    if SESSIONS == "postgres":
        monkeypatch.setenv("DOJANG_DATABASE_URL", database_of(home))
    return Shell(home, environment, capfd, monkeypatch, rehearsed)


@contextmanager
def accepted_runs(shell: Shell) -> Iterator[Rows]:
    """The runs that a server of this home has accepted."""
    with closing(open_sessions(load_settings())) as sessions:
        database = sessions.database
        with closing(PgRows(database) if database is not None else RunRows(shell.home / "runs.sqlite")) as rows:
            yield rows


def built(shell: Shell, *words: str) -> Any:
    made = shell("adapters", "dataset", "build", "--json", *words)
    assert made.code == Exit.DONE, made
    return made.json


def test_decisions_become_a_dataset_that_can_be_looked_at(shell: Shell) -> None:
    told = built(shell)
    assert {name: about["rows"] for name, about in told["files"].items()} == {
        "sft.jsonl": 4, "dpo.jsonl": 2, "kto.jsonl": 6, "heldout.jsonl": 2, "provenance.jsonl": 8,
    }  # fmt: skip
    assert (told["decisions"], told["left_out"], told["problems"]) == (8, {}, [])
    text = Path(told["folder"], "provenance.jsonl").read_text(encoding="utf-8")
    assert ("choi" in text, '"lee"' in text) == (False, False)
    assert built(shell)["dataset"] == told["dataset"]
    shown = shell("adapters", "dataset", "stats", told["dataset"][:5])
    assert "8 decisions in 8 conversations" in shown.out
    assert "few decisions: too few to tell" in shown.err
    korean = shell("adapters", "dataset", "stats", told["dataset"], "--lang", "ko")
    assert "대화 8개의 결재 8건" in korean.out
    assert "결재가 적습니다" in korean.err
    listed = shell("adapters", "dataset", "list")
    assert told["dataset"] in listed.out


def test_rules_are_noted_with_a_dataset_and_stay(shell: Shell) -> None:
    told = built(shell, "--least", "12", "--old-loss", "0.05")
    assert (told["rules"]["dataset"], told["rules"]["values"]["least"]) == (told["dataset"], 12)
    again = shell("adapters", "dataset", "build")
    assert "its rules were noted before, and stay: least 12" in again.err
    assert built(shell)["rules"] == told["rules"]
    other = built(shell, "--heldout", "0.5")
    assert (other["rules"]["values"]["least"], other["rules"]["values"]["old_loss"]) == (30, 0.02)
    wrong = shell("adapters", "dataset", "build", "--confidence", "2")
    assert (wrong.code, "the rule confidence is 2.0" in wrong.err) == (Exit.MISTAKE, True)


def test_a_conversation_that_is_kept_out_is_counted_and_not_used(shell: Shell) -> None:
    assert shell("opt-out", "t0").code == Exit.DONE
    told = built(shell)
    assert told["left_out"] == {"opted_out": 1}
    assert "Namsan" not in Path(told["folder"], "sft.jsonl").read_text(encoding="utf-8")
    assert "t0 may be trained on" in shell("opt-out", "t0", "--undo").out
    assert built(shell)["left_out"] == {}
    missing = shell("opt-out", "nobody")
    assert (missing.code, "there is no thread 'nobody'" in missing.err) == (Exit.MISTAKE, True)


def test_what_a_person_has_erased_is_gone_from_the_next_dataset_and_marks_the_last(shell: Shell) -> None:
    first = built(shell)
    with accepted_runs(shell) as runs:
        ended(runs, "r", "t0", by="choi")
        accepted(runs, "next", "t0")
    refused = shell("audit", "erase", "--thread", "t0", "--reason", "law")
    assert (refused.code, "is not over" in refused.err) == (Exit.MISTAKE, True)
    erased = shell("audit", "erase", "--person", "choi", "--reason", "asked for it", "--json")
    assert erased.json["stale_datasets"] == [first["dataset"]]
    assert erased.json["runs"] == {"runs": 1, "left": 0}
    assert "stale: asked for it" in shell("adapters", "dataset", "stats", first["dataset"]).out
    second = built(shell)
    assert second["dataset"] != first["dataset"]
    rows = Path(second["folder"], "sft.jsonl").read_text(encoding="utf-8")
    assert "suite" in Path(first["folder"], "sft.jsonl").read_text(encoding="utf-8")
    assert "suite" not in rows
    refused = shell("adapters", "train", "--dataset", first["dataset"], "--out", "adapter")
    assert (refused.code, "is stale: asked for it" in refused.err) == (Exit.MISTAKE, True)
    assert not (shell.home / "points.sqlite").exists() or b"suite" not in (shell.home / "points.sqlite").read_bytes()


def test_mistakes_are_said_in_one_line(shell: Shell) -> None:
    for words, said in [
        (("stats", "nothing"), "there is no dataset 'nothing' (known: none)"),
        (("export", "nothing", "--format", "trl", "--out", "x"), "there is no dataset 'nothing'"),
        (("build", "--heldout", "7"), "heldout is 7"),
    ]:
        made = shell("adapters", "dataset", *words)
        assert (made.code, said in made.err, len(made.err.splitlines())) == (Exit.MISTAKE, True, 1), made
    told = built(shell)
    assert "there is no format 'csv'" in shell("adapters", "dataset", "export", told["dataset"], "--format", "csv",
                                               "--out", "x").err  # fmt: skip
    path = Path(told["folder"], "kto.jsonl")
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-9])
    damaged = shell("adapters", "train", "--dataset", told["dataset"], "--out", "adapter")
    assert (damaged.code, "was changed or is gone" in damaged.err) == (Exit.BROKEN, True)
    assert "damaged" in shell("adapters", "dataset", "list").out or "–" not in damaged.err
    with shell.backend() as kept:
        for thread in list(kept.threads()):
            kept.remove(thread)
    assert "nobody has decided anything yet" in shell("adapters", "dataset", "build").err


def test_a_session_that_cannot_be_read_is_told_and_the_others_count(shell: Shell) -> None:
    with shell.backend() as kept:
        damaged_by_hand(kept, "t3", "decisions")
    told = built(shell)
    assert told["decisions"] == 7
    assert "t3-" in told["problems"][0]


@pytest.mark.parametrize("tool", ["trl", "llama-factory", "axolotl", "openai"])
def test_exports_are_written_whole(tool: str, shell: Shell) -> None:
    told = built(shell)
    made = shell("adapters", "dataset", "export", told["dataset"], "--format", tool, "--out", "out", "--json")
    assert made.code == Exit.DONE, made
    wanted = {"sft.jsonl": 4, "dpo.jsonl": 2} | ({} if tool == "openai" else {"kto.jsonl": 6})
    assert made.json["files"] == wanted
    for name, rows in wanted.items():
        lines = Path("out", name).read_text(encoding="utf-8").splitlines()
        assert [type(json.loads(line)) for line in lines] == [dict] * rows
    again = shell("adapters", "dataset", "export", told["dataset"], "--format", tool, "--out", "out")
    assert "exists already" in again.err
