"""Thousands of small files in seven formats: files a second, memory, killed half-way and taken up again.

Run: ``python benchmarks/files.py [--files 10000]``. The files are made: md, txt (CP949), html, csv, xlsx, docx and pdf
by turns, in Korean and English, one to three passages each. They are read in by a process of its own, words alone
(what a model takes for its vectors is the model's time). First undisturbed, then once more with nothing changed; then
into a second database by a process that kills itself with SIGKILL half-way, and by another that takes it up. Memory is
the process's resident set (Linux), Kiwi's model included.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ingest import fresh
from peers import memory_mib

from store import DocumentStore, EmbeddedPostgres


def _words(n: int) -> tuple[str, str]:
    return (
        f"Room {n} costs {n % 90 + 10},000 won a night. It sleeps {n % 5 + 1}.",
        f"{n}호 주차 요금은 {n % 20 + 1},000원입니다. 밤 11시에 문을 닫습니다.",
    )


def markdown(n: int) -> bytes:
    """Two sections."""
    english, korean = _words(n)
    return f"# House {n}\n\n{english}\n\n## 주차\n\n{korean}\n".encode()


def text(n: int) -> bytes:
    """As an old Korean program writes it."""
    return "\n\n".join(_words(n)).encode("cp949")


def page(n: int) -> bytes:
    """With what is no text around it."""
    english, korean = _words(n)
    return (
        f"<html><head><title>House {n}</title><script>var a = {n};</script></head><body><nav>Home</nav>"
        f"<h1>House {n}</h1><p>{english}</p><h2>주차</h2><p>{korean}</p></body></html>"
    ).encode()


def table(n: int) -> bytes:
    """A row a passage."""
    return f"방,가격,인원\n{n}호,{n % 90 + 10}만원,{n % 5 + 1}\n스위트 {n},{n % 90 + 20}만원,4\n".encode()


def workbook(n: int) -> bytes:
    """One sheet."""
    import io

    from openpyxl import Workbook

    made, file = Workbook(), io.BytesIO()
    assert made.active is not None
    for row in (["Room", "Price"], [f"Deluxe {n}", f"{n % 90 + 10},000 won"], ["스위트", f"{n}원"]):
        made.active.append(row)
    made.save(file)
    return file.getvalue()


def letter(n: int) -> bytes:
    """A heading and two paragraphs."""
    import io

    from docx import Document

    made, file = Document(), io.BytesIO()
    made.add_heading(f"House {n}", 1)
    for words in _words(n):
        made.add_paragraph(words)
    made.save(file)
    return file.getvalue()


def pdf(n: int) -> bytes:
    """Two lines of Helvetica, the least that is a PDF."""
    lines = [f"Room {n} costs {n % 90 + 10},000 won a night.", f"It sleeps {n % 5 + 1} and looks at the sea."]
    drawn = " ".join(f"({line}) Tj 0 -20 Td" for line in lines)
    stream = f"BT /F1 12 Tf 72 720 Td {drawn} ET".encode()
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
        b"<</Length " + str(len(stream)).encode() + b">>stream\n" + stream + b"\nendstream",
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    body, places = b"%PDF-1.4\n", []
    for number, one in enumerate(objects, start=1):
        places.append(len(body))
        body += f"{number} 0 obj".encode() + one + b"endobj\n"
    entries = b"".join(f"{place:010} 00000 n \n".encode() for place in places)
    head = f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode()
    tail = f"trailer<</Size {len(objects) + 1}/Root 1 0 R>>\nstartxref\n{len(body)}\n%%EOF".encode()
    return body + head + entries + tail


MAKERS: dict[str, Callable[[int], bytes]] = {
    "md": markdown,
    "txt": text,
    "html": page,
    "csv": table,
    "xlsx": workbook,
    "docx": letter,
    "pdf": pdf,
}


def make(place: Path, files: int) -> None:
    """``files`` files in folders of a thousand."""
    kinds = list(MAKERS.items())
    for n in range(files):
        ending, maker = kinds[n % len(kinds)]
        folder = place / f"{n // 1_000:03d}"
        folder.mkdir(exist_ok=True)
        (folder / f"{n:06d}.{ending}").write_bytes(maker(n))


def child(dsn: str, folder: str, kill_at: int) -> None:
    """Ingest, and say what it took as JSON; with ``kill_at`` die after so many files."""
    sizes: list[float] = []

    def look(name: str, done: int, total: int) -> None:
        if done == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        if done % max(total // 10, 1) == 0:
            sizes.append(memory_mib())

    with DocumentStore(dsn, None) as store:
        began, cpu = time.perf_counter(), time.process_time()
        report = store.ingest([folder], on_progress=look)
        spent = {"wall_s": time.perf_counter() - began, "cpu_s": time.process_time() - cpu}
    counts = {fate: len(getattr(report, fate)) for fate in ("added", "replaced", "unchanged", "failed")}
    print(json.dumps({**spent, **counts, "passages": report.passages, "mib": sizes}))


def ingested(dsn: str, folder: Path, kill_at: int = 0) -> dict[str, Any] | None:
    """What the child said; None where it was killed."""
    command = [sys.executable, __file__, "--child", dsn, str(folder), str(kill_at)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == -signal.SIGKILL:
        return None
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return dict(json.loads(done.stdout))


def show(label: str, found: dict[str, Any]) -> None:
    """One line."""
    files = sum(found[fate] for fate in ("added", "replaced", "unchanged", "failed"))
    sizes = " ".join(f"{size:.0f}" for size in found["mib"])
    fates = ", ".join(f"{found[fate]:,} {fate}" for fate in ("added", "unchanged", "failed"))
    print(
        f"{label}: {found['wall_s']:.1f} s (CPU of the process {found['cpu_s']:.1f}), "
        f"{files / found['wall_s']:,.0f} files/s, "
        f"{found['passages']:,} passages; {fates}; MiB at each tenth: {sizes}",
        flush=True,
    )


def main() -> None:
    """Make the files and read them in."""
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], sys.argv[3], int(sys.argv[4]))
        return
    parser = argparse.ArgumentParser(description="Measure an ingest of many small files.")
    parser.add_argument("--files", type=int, default=1_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dojang-bench-") as home:
        folder = Path(home) / "files"
        folder.mkdir()
        make(folder, given.files)
        with EmbeddedPostgres(Path(home) / "postgres", linger_s=0.0) as dsn:
            first = fresh(dsn, "first")
            for label in (f"{given.files:,} files", "the same again"):
                found = ingested(first, folder)
                assert found is not None
                show(label, found)
            second = fresh(dsn, "second")
            assert ingested(second, folder, given.files // 2) is None
            found = ingested(second, folder)
            assert found is not None
            assert found["added"] + found["unchanged"] == given.files
            show("killed half-way, taken up", found)
        time.sleep(2.0)  # let the watcher stop the server before its folder goes


if __name__ == "__main__":
    main()
