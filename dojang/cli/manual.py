"""Writes docs/cli.md from the commands themselves: ``python -m dojang.cli.manual > docs/cli.md``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from dojang.cli.app import command_line

WIDTH = 100

HEAD = """# The command line

Written by `python -m dojang.cli.manual > docs/cli.md` from the commands themselves; a test compares the two.

Results go to stdout, everything else (progress, notes, errors) to stderr. The global options `--home`, `--lang`,
`--user` and `--json` may stand before or after the command. With `--json`, stdout carries exactly one JSON document;
of a command that failed it is `{"error": {"kind", "message", "exit_code"}}`. Text that begins with a dash goes after
`--`. `DOJANG_DEBUG=1` shows a traceback with every error. `dojang --lang ko --help` speaks Korean.

| exit code | |
|---|---|
| 0 | done |
| 1 | `doctor` found a problem |
| 2 | your mistake (unknown id, wrong arguments or settings); nothing was changed |
| 3 | a review waits for a person |
| 4 | somebody was first, the page was stale, or another run holds the conversation |
| 5 | something outside failed; the same call may work later |
| 70 | broken records, or a bug |
| 130 | interrupted |
"""


def manual() -> str:
    """The whole page."""
    return "\n".join([HEAD, *_pages(command_line("en"), None)])


def _pages(command: Any, above: typer.Context | None) -> Iterator[str]:
    context = typer.Context(
        command, info_name=command.name or "dojang", parent=above, terminal_width=WIDTH, max_content_width=WIDTH
    )
    path = context.command_path
    yield f"## {path}\n\n```\n{command.get_help(context).rstrip()}\n```\n"
    for child in getattr(command, "commands", {}).values():
        yield from _pages(child, context)


if __name__ == "__main__":
    print(manual(), end="")
