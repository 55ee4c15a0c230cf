"""dojang adapters promote, history, rollback, shadow; card and page of a promotion; the champion in the doctor."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from adapters.registry.aliases import Registry
from dojang.cli.exits import Exit
from dojang.doctor import _champion
from dojang.settings import Settings
from dojang.workspace import Workspace
from tests.databases import NOT_NEEDED, SESSIONS, database_of
from tests.dojang.conftest import Shell
from tests.dojang.server.conftest import browser_of
from tests.dojang.workspaces import settings_for
from tests.flywheel.promotions import DeskParts, adapters, crown, home, report
from tests.flywheel.test_promoting import asked, at, desk, two

__all__ = ["at", "desk", "two"]  # fixtures


def undone(settings: Settings) -> Workspace:
    """What the command line opens: no database, no model."""
    dsn = SecretStr(database_of(settings.home) if SESSIONS == "postgres" else NOT_NEEDED)
    given = settings.model_copy(update={"database_url": dsn, "sessions": SESSIONS})
    return Workspace(given, parts=DeskParts(given))


@pytest.fixture
def shell(at: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Shell:
    environment = {"DOJANG_HOME": str(at), "DOJANG_LANGUAGE": "en", "DOJANG_USER": "kim"}
    if SESSIONS == "postgres":
        environment |= {"DOJANG_SESSIONS": SESSIONS, "DOJANG_DATABASE_URL": database_of(at)}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(at.parent)
    return Shell(at, environment, capfd, monkeypatch, undone)


def test_a_promotion_from_the_command_line_and_back_again(shell: Shell, at: Path, two: tuple[str, str]) -> None:
    first, second = two
    told = report(at, second, first)
    lacks = shell("adapters", "promote", second, "--report", told)
    assert (lacks.code, "--reason" in lacks.err) == (Exit.MISTAKE, True)
    proposed = shell("adapters", "promote", second, "--report", told, "--reason", "better", "--json")
    assert proposed.code == Exit.PAUSED, proposed
    [review] = proposed.json["reviews"]
    card = shell("show", review["id"])
    for shown in (
        "What the gate found",
        "verdict: passed",
        "+0.500",
        "+0.310 … +0.680",
        "against the base alone",
        told,
    ):
        assert shown in card.out
    assert "cannot be undone" not in card.out
    korean = shell("show", review["id"], "--lang", "ko").out
    assert f"챔피언을 바꿉니다. 어댑터: {second}, 지금 챔피언: {first}" in korean
    assert shell("show", review["id"], "--json").json["report"]["id"] == told
    assert f"Make adapter {second} the champion in place of {first}" in shell("inbox").out
    done = shell("approve", review["id"], "--user", "lee")
    assert (done.code, f"Adapter {second} is the champion" in done.out) == (Exit.DONE, True)
    listed = {row["adapter"]: row["aliases"] for row in shell("adapters", "list", "--json").json if row["registered"]}
    assert listed == {first: ["previous"], second: ["champion"]}
    back = shell("adapters", "rollback", "--reason", "it answers too late")
    assert (back.code, f"champion again: {first}" in back.out) == (Exit.DONE, True)
    newest, promoted, oldest = shell("adapters", "history", "--json").json
    assert (newest["rollback"], newest["by"], newest["reason"]) == (True, "kim", "it answers too late")
    assert (promoted["by"], promoted["report"], oldest["n"]) == ("lee", told, 1)
    assert f"rolled back, champion: {first}, previous: {second}" in shell("adapters", "history").out
    thread = shell("thread", proposed.json["thread_id"])
    assert "adapter: program:promotion" in thread.out
    assert "되돌림" in shell("adapters", "history", "--lang", "ko").out


def test_where_there_is_nothing_to_show_or_to_go_back_to(shell: Shell) -> None:
    back = shell("adapters", "rollback", "--reason", "why not", "--lang", "ko")
    assert (back.code, "그 전 챔피언이 없어" in back.err) == (Exit.MISTAKE, True)
    assert "nothing was promoted yet" in shell("adapters", "history").err
    none = shell("adapters", "shadow")
    assert (none.code, "DOJANG_SHADOW=true" in none.err) == (Exit.DONE, True)


def test_the_page_of_a_promotion_shows_what_the_gate_found(desk: Workspace, at: Path, two: tuple[str, str]) -> None:
    first, second = two
    review = asked(desk, at, second, first)
    with browser_of(desk) as client:
        page = client.get(f"/reviews/{review['id']}").text
        card = client.get(f"/reviews/{review['id']}", headers={"accept": "*/*"}).json()
        assert 'name="confirm"' in page  # of the top tier: no single key approves
        for shown in ("What the gate found", "verdict: passed", "+0.310 … +0.680", "does what was decided", second):
            assert shown in page
        assert card["report"]["verdict"] == "passed"
        korean = client.get(f"/reviews/{review['id']}?lang=ko").text
        assert ("평가 보고서" in korean, "What the gate found" in korean) == (True, False)
        (at / "gates" / f"{review['action']['args']['report']}.json").unlink()
        gone = client.get(f"/reviews/{review['id']}", headers={"accept": "*/*"}).json()
        assert (gone["report"], "the report cannot be shown" in gone["note"]) == (None, True)


def test_the_doctor_says_where_the_champion_cannot_be_served(at: Path) -> None:
    def found(**others: object) -> tuple[bool, str]:
        settings = settings_for(at, NOT_NEEDED, **others)
        fine, detail, _ = _champion(DeskParts(settings))
        return fine, detail

    assert found() == (True, "none: what goes with the model speaks")
    ours, theirs = adapters(at, 1)[0], adapters(at, 2, base="b" * 16)[0]
    crown(at, ours)
    assert found() == (True, f"{ours}, on this base")
    assert found(adapter="frontdesk")[0]
    served = {"model": "openai:m", "model_base_url": "http://127.0.0.1:1/v1"}
    assert (found(**served)[0], found(**served, adapter="champion")[0]) == (False, True)
    Registry(at / "registry").point({"champion": theirs}, seen={"champion": ours}, by="kim", reason="a test")
    fine, detail = found()
    assert (fine, f"{theirs} cannot be served" in detail) == (False, True)


def test_nobody_elses_tool_is_called_like_the_promotion(at: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from state import UserError
    from tests.flywheel.promotions import front
    from tests.graph.parts import Toys, spec

    monkeypatch.setattr(DeskParts, "toolbox", Toys(specs=[spec("promote_adapter", "write")]))
    with front(at) as desk, pytest.raises(UserError, match="is Dojang's own"):
        desk.ask("hi")
    with home(at) as desk:
        assert desk.threads() == []


def test_what_a_conversation_keeps_is_not_collected(shell: Shell, at: Path) -> None:
    ours, theirs = adapters(at, 1, 2)
    shell.monkeypatch.setenv("DOJANG_ADAPTER", ours)
    assert shell("ask", "hi", "--json").json["adapter"] == ours
    gone = shell("adapters", "gc", "--promoted", "--older-than", "0", "--json")
    assert (gone.code, gone.json["adapters"]) == (Exit.DONE, [theirs])
