"""What the pages for readers show is run: tests/dojang/snippets.py says how."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.dojang.conftest import Shell
from tests.dojang.snippets import Reader, blocks_of

DOCS = Path(__file__).parents[2] / "docs"
PAGES = [
    "quick-start.md",
    "tutorial.md",
    "concepts.md",
    "upkeep.md",
    *sorted(f"how-to/{page.name}" for page in (DOCS / "how-to").glob("*.md")),
]

ABOUT_FILES = {"upkeep.md": pytest.mark.about_files("a home is packed up, and has its sessions in it")}


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here; the blocks of the pages are not run")
@pytest.mark.parametrize("page", [pytest.param(page, marks=ABOUT_FILES.get(page, ())) for page in PAGES])
def test_the_blocks_of_a_page_run_in_their_order(page: str, shell: Shell, tmp_path: Path) -> None:
    folder = tmp_path / "reader"
    folder.mkdir()
    assert Reader(shell, folder).read(DOCS / page) > 0


@pytest.mark.parametrize("page", PAGES)
def test_a_block_that_is_not_run_says_why(page: str) -> None:
    for block in blocks_of(DOCS / page):
        assert block.language, f"a block without a language: {block.text}"
        if block.why_not:
            assert len(block.why_not.split()) >= 3, block
