"""Every text of the shell that people read, found in the sources and in the commands' help."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from babel.messages.extract import extract_from_file

from dojang.cli.app import command_line
from dojang.settings import Settings

ROOT = Path(__file__).parents[2]
SOURCES = [
    *sorted((ROOT / "dojang" / "cli").glob("*.py")),
    ROOT / "dojang" / "vocabulary.py",
    ROOT / "dojang" / "gate_report.py",
    ROOT / "dojang" / "glossary.py",
    ROOT / "dojang" / "doctor.py",
    ROOT / "dojang" / "cli" / "demo.py",
    ROOT / "dojang" / "__main__.py",
]
KEYWORDS = {"_": None, "gettext": None, "N_": None}


def marked() -> set[str]:
    """Texts that the sources mark for the catalogue."""
    found: set[str] = set()
    for source in SOURCES:
        for _line, message, _comments, _context in extract_from_file("python", source, keywords=KEYWORDS):
            assert isinstance(message, str)
            found.add(message)
    return found


def helps() -> set[str]:
    """Help texts of all commands, options, arguments and settings."""
    return set(_helps_of(command_line("en"))) | {str(info.description) for info in Settings.model_fields.values()}


def _helps_of(command: Any) -> Iterator[str]:
    for name in ("help", "epilog"):
        if text := getattr(command, name, None):
            yield text
    for parameter in command.params:
        if text := getattr(parameter, "help", None):
            yield text
    for child in getattr(command, "commands", {}).values():
        yield from _helps_of(child)
