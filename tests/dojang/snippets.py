"""Runs what a page of docs/ shows, block by block, as a reader would type it.

A block of ``bash`` runs in a bash of its own; directory and variables go on to the next one. ``dojang`` there is a
script that hands its words to this process, where the command line runs with the rehearsed model: a page then costs
what its calls cost, not twenty starts of Python. A block of ``python`` runs here; one with ``title="NAME"`` is a file.
``rv_…``, ``th_…`` and the like stand for the last such id that a command printed.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langchain_core.messages import AnyMessage

from adapters.speakers.rendering import READING, reading_text, rendered
from dojang.settings import Settings
from dojang.workspace import Workspace
from state import Generation
from tests.dojang.conftest import Shell
from tests.dojang.workspaces import Rehearsed, RehearsedParts
from tests.graph.parts import calls

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(
    r'(?:<!-- not run: ([^>]+) -->\n+)?^```(\w*)(?: title="([^"]+)")?\n(.*?)^```', re.MULTILINE | re.DOTALL
)
ID = re.compile(r"\b(rv|th|dj|sa|p)_?([0-9a-f]{8,})\b")
WAITS = 3
SCRIPT = """#!{python} -SE
import json, os, socket, sys
door = socket.socket(socket.AF_UNIX)
door.connect({door!r})
with door.makefile("rwb") as line:
    line.write(json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode() + b"\\n")
    line.flush()
    code, out, err = json.loads(line.readline())
sys.stdout.write(out)
sys.stderr.write(err)
sys.exit(code)
"""


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, the file that it is (or ""), why it is not run (or "")."""

    language: str
    file: str
    text: str
    why_not: str


def blocks_of(page: Path) -> list[Block]:
    """All blocks of a page, in order."""
    found = BLOCK.finditer(page.read_text(encoding="utf-8"))
    return [Block(m[2], m[3] or "", m[4], (m[1] or "").strip()) for m in found]


class Shopkeeper(Rehearsed):
    """The rehearsed model, which also knows the tool of the tutorial.

    It tells its prompts as a base of ours does, so that its decisions can become a dataset.
    """

    def reply(self, messages: Sequence[AnyMessage], **given: Any) -> Generation:
        said = super().reply(messages, **given)
        return {**said, "prompt": rendered(READING, reading_text(messages, given["passages"], given["tools"]))}

    def _wanted(self, text: str) -> Generation | None:
        people, customer = re.search(r"(\d) people", text), re.search(r"for ([A-Z]\w+ [A-Z]\w+)", text)
        if people is None or customer is None:
            return super()._wanted(text)
        return calls(("book_tour", {"customer": customer[1], "day": "2026-12-03", "people": int(people[1])}))


class ShopParts(RehearsedParts):
    """The parts of `Workspace`, with that model."""

    def __init__(self, settings: Settings, **others: Any) -> None:
        super().__init__(settings, generator=Shopkeeper(), **others)


def opened(settings: Settings) -> Workspace:
    return Workspace(settings, parts=ShopParts(settings))


class Reader:
    """Somebody who types a page from its top to its end."""

    def __init__(self, shell: Shell, folder: Path) -> None:
        self.shell, self.folder = shell, folder
        shell.open_workspace = opened
        shell.monkeypatch.setattr("dojang.acting.Parts", ShopParts)
        self.names: dict[str, object] = {}
        self.seen: dict[str, str] = {}
        self.said = ""
        self.state = folder / ".reader"

    def read(self, page: Path) -> int:
        """How many blocks were run; the first one that fails fails the test, with what it said."""
        ran = 0
        with self._door() as (listener, path):
            for block in blocks_of(page):
                if block.file:
                    target = self.folder / block.file
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_text(block.text, encoding="utf-8")
                elif not block.why_not and block.language in ("bash", "python"):
                    (self._bash if block.language == "bash" else self._python)(block.text, listener, path)
                    ran += 1
        return ran

    @contextmanager
    def _door(self) -> Iterator[tuple[socket.socket, str]]:
        with tempfile.TemporaryDirectory(prefix="dj") as folder, socket.socket(socket.AF_UNIX) as listener:
            door = f"{folder}/door"
            script = Path(folder) / "dojang"
            script.write_text(SCRIPT.format(python=sys.executable, door=door))
            script.chmod(0o755)
            listener.bind(door)
            listener.listen()
            listener.settimeout(0.02)
            yield listener, folder

    def _python(self, text: str, *_: object) -> None:
        exec(compile(text, "a block of the page", "exec"), self.names)

    def _bash(self, text: str, listener: socket.socket, path: str) -> None:
        before = f". {self.state}; " if self.state.exists() else f"cd {self.folder}; "
        after = f"\n(export -p; echo cd $PWD) | grep -v ' PATH=' > {self.state}"
        environment = {**os.environ, "PATH": f"{path}:{Path(sys.executable).parent}:{os.environ['PATH']}"}
        with tempfile.TemporaryFile("w+") as said:
            process = subprocess.Popen(
                ["bash", "-euo", "pipefail", "-c", before + text + after], env=environment, stdout=said, stderr=said
            )
            while process.poll() is None:
                try:
                    door, _ = listener.accept()
                except TimeoutError:
                    continue
                with door, door.makefile("rwb") as line:
                    line.write(json.dumps(self._called(*json.loads(line.readline()))).encode() + b"\n")
            said.seek(0)
            self.said = said.read()
        assert process.returncode == 0, f"{text}\n{self.said}"

    def _called(self, words: list[str], cwd: str, environment: dict[str, str]) -> tuple[int, str, str]:
        patch = self.shell.monkeypatch
        with patch.context() as given:
            given.chdir(cwd)
            for name in [name for name in os.environ if name.startswith("DOJANG_") and name not in environment]:
                given.delenv(name)
            for name, value in environment.items():
                if name.startswith("DOJANG_"):
                    given.setenv(name, value)
            for place in environment.get("PYTHONPATH", "").split(os.pathsep):
                given.syspath_prepend(str(Path(cwd) / place)) if place else None
            done = self.shell(*[self._meant(word) for word in words])
        for prefix, digits in ID.findall(done.out + done.err):
            self.seen[prefix] = next(m[0] for m in ID.finditer(done.out + done.err) if m[2] == digits)
        return 0 if done.code == WAITS else done.code, done.out, done.err

    def _meant(self, word: str) -> str:
        place = re.fullmatch(r"(rv|th|dj|sa|p)_?…", word)
        return self.seen[place[1]] if place else word
