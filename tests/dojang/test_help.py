"""Help: complete, in both languages, and the page in the docs is what the commands say."""

from __future__ import annotations

import pytest

from dojang.cli.app import command_line, hoisted
from dojang.cli.exits import Exit
from dojang.cli.manual import manual
from tests.dojang.conftest import ROOT, Shell


def test_the_page_in_the_docs_is_what_the_commands_say() -> None:
    written = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert written == manual(), "run: python -m dojang.cli.manual > docs/cli.md"


def test_every_exit_code_is_documented() -> None:
    page = manual()
    for code in Exit:
        assert f"| {int(code)} |" in page


@pytest.mark.parametrize("name", list(command_line().commands))
def test_each_command_has_help_in_both_languages(shell: Shell, name: str) -> None:
    english, korean = shell(name, "--help"), shell(name, "--help", "--lang", "ko")
    assert (english.code, korean.code) == (0, 0)
    assert english.out != korean.out
    assert any("가" <= character <= "힣" for character in korean.out)


@pytest.mark.parametrize(
    ("given", "front"),
    [
        (["ask", "x", "--json"], ["--json", "ask", "x"]),
        (["ask", "--home", "h", "x", "--lang=ko"], ["--home", "h", "--lang=ko", "ask", "x"]),
        (["ask", "--", "--json"], ["ask", "--", "--json"]),
        (["reject", "r", "--reason=--json"], ["reject", "r", "--reason=--json"]),
        (["inbox", "--user"], ["inbox", "--user"]),
    ],
)
def test_global_options_may_stand_anywhere(given: list[str], front: list[str]) -> None:
    assert hoisted(given) == front
