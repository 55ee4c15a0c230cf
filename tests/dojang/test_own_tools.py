"""The house of docs/own-tools.md: its commands as they stand there, its server as a process, its rules at the gate."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.dojang.conftest import ROOT, Shell
from tests.dojang.workspaces import workspace_for
from tests.graph.parts import Script, calls, says

GIVE = calls(("crm_give_voucher", {"customer": "김하나", "amount_krw": 10_000}))


@pytest.fixture
def own(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the template, in which one stands, with the variables that the page exports."""
    place = tmp_path / "my-house"
    shutil.copytree(ROOT / "examples" / "own", place, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(place)
    for setting in shlex.split(next(line for line in _lines() if line.startswith("export ")))[1:]:
        name, _, value = setting.partition("=")
        if name != "DOJANG_HOME":
            monkeypatch.setenv(name, value)
    return place


def _lines() -> list[str]:
    page = (ROOT / "docs" / "own-tools.md").read_text("utf-8")
    block = re.search(r"## Ten minutes\n\n```bash\n(.*?)```", page, re.DOTALL)
    assert block is not None
    return block[1].splitlines()


@pytest.mark.usefixtures("at_home")
def test_ten_minutes(shell: Shell, own: Path, monkeypatch: pytest.MonkeyPatch, postgres_dsn: str) -> None:
    monkeypatch.setenv("DOJANG_PORT", "0")
    said = {line: shell(*shlex.split(line)[1:]) for line in _lines() if line.startswith("dojang ")}
    assert {line: (ran.code, ran.out) for line, ran in said.items() if ran.code} == {}
    asked = next(ran for line, ran in said.items() if "ask" in line)
    assert "within 14 days" in asked.out
    assert "2 tools, as they were accepted" in said["dojang doctor"].out

    script = Script([GIVE, says("상품권을 드렸습니다.")])
    given: dict[str, Any] = {"mcp": own / "mcp.toml", "policy": own / "policy.toml", "tools": []}
    with workspace_for(shell.home, postgres_dsn, generator=script, **given) as workspace:
        [review] = workspace.ask("김하나 고객에게 만 원 상품권을 주세요").reviews
        assert review["summary"] == "김하나 고객에게 10000원 상품권을 줍니다 (되돌릴 수 없음)."
        assert review["why"][0]["rule_id"] == "voucher"
        assert workspace.decide(review["id"], "approve").run.status == "done"
    kept = json.loads((own / "customers.json").read_text("utf-8"))["김하나"]["vouchers"]
    assert list(kept.values()) == [10_000]


def test_the_function_of_the_template_is_a_tool(own: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from tools.toolbox import Toolbox

    monkeypatch.syspath_prepend(str(own))
    try:
        box = Toolbox.open(["my_tools"], outbox=tmp_path / "outbox")
        args = {"customer": "Emma Lee", "text": "Your voucher is ready."}
        assert box.describe("send_note", args, "ko").startswith("Emma Lee 고객에게 메모를 보냅니다")
        assert box.tell("send_note", box.run("send_note", args, key="k1"), "en") == ["The note to Emma Lee was sent."]
        assert (tmp_path / "outbox" / "k1.txt").read_text("utf-8") == "Emma Lee\nYour voucher is ready.\n"
    finally:
        sys.modules.pop("my_tools", None)
