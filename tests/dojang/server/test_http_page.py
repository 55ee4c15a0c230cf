"""What docs/http.md, docs/access.md and docs/operations.md show is run: as it stands there, against a live server."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapters.registry.aliases import Registry
from dojang.workspace import Workspace
from tests.dojang.conftest import Shell
from tests.dojang.server.conftest import open_workspace
from tests.dojang.server.langgraph.conftest import served
from tests.flywheel.promotions import adapters, crown, report

ROOT = Path(__file__).parents[3]
HTTP = (ROOT / "docs" / "http.md").read_text(encoding="utf-8")
SHOWN = "http://127.0.0.1:8723"
TOOLS = ("bash", "curl", "jq")
NOTHING = {"$U/adapters": 2}
"""How often a block may show nothing (`null`): the champion has no curve, and there is no dataset."""
MISSING = [tool for tool in TOOLS if shutil.which(tool) is None]


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


BEFORE = next(block for block in blocks(HTTP, "bash") if "curl()" in block)
"""The block that stands before all others of our own API: the address, and how a refusal fails."""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, postgres_server: str) -> Iterator[Workspace]:
    """With a champion that another one was before, and a candidate with its report."""
    with open_workspace(tmp_path_factory.mktemp("page"), postgres_server, language="en") as opened:
        home = opened.settings.home
        first, second, third = adapters(home, 1, 2, 3)
        crown(home, first)
        crown(home, second, seen=first)
        Registry(home / "registry").nominate(third, seen=None, by="kim", reason="the newest")
        report(home, third, second)
        yield opened


@pytest.fixture(scope="module")
def url(house: Workspace) -> Iterator[str]:
    with served(house) as (address, _):
        yield address.rstrip("/")


def test_the_python_of_the_page_runs_in_its_order_and_books_twice(
    url: str, house: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    names: dict[str, object] = {}
    for block in blocks(HTTP, "python"):
        exec(compile(block.replace(SHOWN, url), "docs/http.md", "exec"), names)
    said = capsys.readouterr().out
    assert "updates" in said
    assert len(re.findall(r"Booking BK-\d+ is confirmed", said)) == 4, said  # the answers, and what they quote
    client: Any = names["client"]
    client.http.client.close()
    entries = [entry for row in house.threads(limit=10) for entry in house.parts.ledger.entries(row["thread_id"])]
    assert sum(entry["k"] == "outcome" for entry in entries) == 2
    assert house.inbox(limit=10) == []


@pytest.fixture
def desk(house: Workspace) -> Workspace:
    """What any one block needs, whatever ran before: a review that waits."""
    house.ask("please book a room")
    return house


@pytest.mark.skipif(bool(MISSING), reason=f"not here: {', '.join(MISSING)}; the page's shell lines are not run")
@pytest.mark.parametrize("block", [block for block in blocks(HTTP, "bash") if block != BEFORE])
def test_the_shell_lines_of_the_page_run(url: str, desk: Workspace, tmp_path: Path, block: str) -> None:
    """Each block alone, after the one that makes a refused request fail; a line that fails is named."""
    done = shown(url, tmp_path, block)
    assert done.returncode == 0, done.stdout + done.stderr
    may = next((count for part, count in NOTHING.items() if part in block), 0)
    assert len(re.findall(r"^null$", done.stdout, re.MULTILINE)) == may, done.stdout
    if "runs/stream" in block:
        events = re.findall(r"^event: (.*)$", done.stdout, re.MULTILINE)
        assert (events[0], events[-1], "updates" in events) == ("metadata", "end", True), done.stdout
        assert "11:00" in done.stdout
    if "/decision" in block:
        assert '"done"' in done.stdout


@pytest.mark.skipif(bool(MISSING), reason=f"not here: {', '.join(MISSING)}")
def test_a_line_of_the_page_that_is_refused_fails_by_name(url: str, tmp_path: Path) -> None:
    done = shown(url, tmp_path, 'R=$(curl $U/reviews/rv_none | jq -r .id)\necho "after: $R"')
    assert (done.returncode, "after:" in done.stdout) == (22, False)
    assert "R=$(curl $U/reviews/rv_none | jq -r .id)" in done.stderr


def shown(url: str, where: Path, block: str) -> subprocess.CompletedProcess[str]:
    """A block of the page as somebody pastes it into a shell in a folder of their own."""
    environment = {key: value for key, value in os.environ.items() if "proxy" not in key.lower()}
    told = "trap 'echo \"this line failed: $BASH_COMMAND\" >&2' ERR\n"
    lines = (BEFORE + told + block).replace(SHOWN, url)
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", lines],
        env=environment, cwd=where, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_the_commands_of_tokens_on_the_pages_run(shell: Shell) -> None:
    """In their order, in one home; ``revoke`` names the token that the first of them made."""
    lines = [
        line
        for page in ("access", "operations")
        for block in blocks(_page(page), "bash")
        for line in block.splitlines()
    ]
    commands = [line for line in lines if line.startswith("dojang tokens ")]
    assert len(commands) == 5
    made = ""
    for line in commands:
        done = shell(*line.replace("dj_1a2b3c4d", made).split()[1:])
        assert done.code == 0, (line, done.err)
        made = made or done.out.strip()[:11]


def test_what_a_probe_and_prometheus_are_shown(url: str) -> None:
    with httpx.Client(base_url=url, trust_env=False) as client:
        for route in re.findall(r"`GET (/\w+)`", _page("operations")):
            answer = client.get(route)
            assert answer.status_code == 200, route
        numbers = client.get("/metrics").text
        rows = re.findall(r"^\| `(dojang_\w+)` \|(.*)$", _page("operations"), re.MULTILINE)
        named = [name for name, says in rows if "with sessions in PostgreSQL" not in says]  # see work/test_following
        assert len(named) > 5
        assert [name for name in named if name not in numbers] == []


def _page(name: str) -> str:
    return (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
