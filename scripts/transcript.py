"""Plays the demo and writes what it printed into the READMEs, between the marks. Run by `make transcript`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
MARKS = re.compile(r"(<!-- transcript:begin[^>]*-->\n).*?(<!-- transcript:end -->)", re.DOTALL)


def played(language: str) -> str:
    """The demo's output in a home of its own, with that home's path shortened."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:  # its server ends a moment later
        home = Path(folder) / "demo"
        command = [
            sys.executable,
            "-m",
            "dojang",
            "--home",
            str(home),
            "--lang",
            language,
            "demo",
            "--decide",
            "approve",
        ]
        env = {**os.environ, "NO_COLOR": "1", "COLUMNS": "110", "TERM": "dumb", "DOJANG_USER": "kim"}
        done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, check=False, input="")
        if done.returncode:
            sys.exit(f"the demo failed with code {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done.stdout.replace(str(home), "var/demo").replace(str(ROOT), ".")


def write(readme: Path, text: str) -> None:
    """Replace the block between the marks."""
    block = "\n".join(line.rstrip() for line in text.strip().splitlines())
    source = readme.read_text(encoding="utf-8")
    readme.write_text(MARKS.sub(lambda m: f"{m[1]}```text\n{block}\n```\n{m[2]}", source), encoding="utf-8")


if __name__ == "__main__":
    write(ROOT / "README.md", played("en"))
    write(ROOT / "README.ko.md", played("ko"))
