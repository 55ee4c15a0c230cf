"""The site of the documentation: built strictly, whole, and opened from the disk without anything from elsewhere."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.dojang.server.screens import CHROMIUM, FLAGS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
NAV = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]["nav"]


def pages(nav: Any) -> Iterator[str]:
    for entry in nav:
        if isinstance(entry, str):
            yield entry
        else:
            for below in entry.values():
                yield from pages(below)


def test_every_page_is_in_the_navigation_once_and_every_entry_is_a_page() -> None:
    listed = sorted(pages(NAV))
    there = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")}
    assert sorted(set(listed)) == listed
    assert {page for page in there if not page.startswith("adr/")} - set(listed) == set()
    assert set(listed) - there == set()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built strictly from a copy; warnings about links end it."""
    project = tmp_path_factory.mktemp("site")
    shutil.copytree(DOCS, project / "docs")
    shutil.copytree(ROOT / "scripts" / "site", project / "scripts" / "site")
    shutil.copy(ROOT / "zensical.toml", project)
    command = [str(Path(sys.executable).with_name("zensical")), "build", "--strict"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return project / "build" / "site"


def test_every_page_is_built_in_its_language(site: Path) -> None:
    for page in pages(NAV):
        text = (site / page).with_suffix(".html").read_text(encoding="utf-8")
        assert f'<html lang="{"ko" if page.startswith("ko/") else "en"}"' in text, page


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    """Neither by a tag of a page, nor by a script of the theme: the pages forbid that."""
    loads = re.compile(r"<(?:script|img|iframe|source)[^>]*src=\"?(?:https?:)?//|<link[^>]*rel=\"?stylesheet[^>]*//")
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert loads.search(text) is None, page
        assert "Content-Security-Policy" in text, page


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium fonts-noto-cjk")
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # Playwright's loop keeps sockets until the process ends
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_it_is_searched_from_the_disk_in_korean(site: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    asked: list[str] = []
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.goto((site / "ko" / "concepts.html").as_uri())
        page.locator("[data-md-component=search]").first.wait_for(state="attached")
        page.keyboard.press("/")
        page.locator("input:focus").fill("결재")
        page.locator("a[href*='ko/']", has_text="결재").nth(2).wait_for()
        browser.close()
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
