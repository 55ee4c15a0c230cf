"""The places in the system's Chromium: sent with and without script, narrow and wide, in both languages.

Screenshots go to a temporary folder; ``--basetemp`` says where, for whoever wants to look at them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dojang.workspace import Workspace
from tests.dojang.server.conftest import Ask, decision
from tests.dojang.server.screens import Open, of_browsers
from tests.flywheel.promotions import adapters, crown, report

pytestmark = of_browsers
PLACES = ("/documents?q=check-out", "/documents/rules.md", "/uploads", "/adapters", "/audit", "/audit/verify", "/shift")


@pytest.fixture(scope="module")
def filled(workspace: Workspace) -> dict[str, str]:
    """Decisions, adapters, a report."""
    at = workspace.settings.home
    first, second = adapters(at, 1, 2)
    crown(at, first)
    found = report(at, second, first)
    return {"report": f"/adapters/reports/{found}"}


@pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
def test_files_are_sent_from_a_page(tab: Open, workspace: Workspace, tmp_path: Path, script: bool) -> None:
    file = tmp_path / f"late-{script}.md"
    file.write_text("Late arrivals are possible until midnight.")
    page = tab("/documents", script=script)
    page.set_input_files("#file", [str(file)])
    page.get_by_role("button", name="Send").click()
    page.wait_for_url("**/uploads")
    own = page.locator("tr", has_text=file.name)  # the other one's is there already
    own.filter(has_text="taken in; passages: 1").wait_for()
    assert file.name in {row["name"] for row in workspace.documents()}


@pytest.mark.parametrize(("lang", "scheme", "size"), [("ko-KR", "light", (320, 700)), ("en-US", "dark", (1280, 900))])
def test_places_fit_the_screen(
    tab: Open,
    filled: dict[str, str],
    paused: Ask,
    workspace: Workspace,
    tmp_path: Path,
    lang: str,
    scheme: Any,
    size: tuple[int, int],
) -> None:
    for kind in ("approve", "reject"):
        review = paused("please book a room for two guests")
        workspace.decide(review["id"], {**decision(review, kind), "dwell_ms": 4200}, channel="console")
    page = tab("/", lang=lang, size=size)
    page.emulate_media(color_scheme=scheme)
    origin = page.url.rstrip("/")
    for path in (*PLACES, filled["report"], "/adapters/plan"):
        page.goto(origin + path)
        name = path.strip("/").replace("/", "-").partition("?")[0]
        page.screenshot(path=str(tmp_path / f"{name}-{size[0]}.png"), full_page=True)
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= size[0], (path, wide)
