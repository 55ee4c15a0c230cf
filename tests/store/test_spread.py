"""An ingest by Ray workers: what one process would have written, also where a worker is killed, and once."""

from __future__ import annotations

import importlib.util
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from state import UserError
from store import DocumentStore
from store.ingesting import spread as spreading
from store.ingesting.folders import files_of
from store.ingesting.reading import STREAMED_CHARACTERS, Known
from store.ingesting.spread import Spread
from tests.databases import fresh_database
from tests.store.conftest import HashEmbedder
from tests.store.spreading import dying

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="Ray is not installed: pip install 'dojang[ray]'"
)

KOREAN = "조식은 오전 6시 30분부터 10시까지입니다. 주차는 1박에 15,000원입니다.\n\n"


def folder(at: Path, n: int) -> Path:
    """Documents of several passages in two languages, a long one, and three that cannot go in."""
    at.mkdir()
    houses(at, range(n))
    (at / "empty.txt").write_bytes(b" ")
    (at / "leads-out.md").symlink_to("/etc/hostname")
    (at / "no-pdf.pdf").write_bytes(b"%PDF-1.7 and nothing")
    return at


def houses(at: Path, numbers: range) -> None:
    for i in numbers:
        words = f"Room {i} faces the garden. Breakfast is served at {i % 12} o'clock on floor {i}. " * 6
        (at / f"d{i:03}.md").write_text(f"# House {i}\n\n{words}\n\n{KOREAN * 3}", encoding="utf-8")


def rows(dsn: str) -> dict[str, list[Any]]:
    """All that an ingest writes, but for the numbers of rows and the time."""
    asked = {
        "documents": "SELECT name, title, format, source, digest, size, text, told_trust, trust, structure::text "
        "FROM documents",
        "passages": "SELECT p.id, d.name, start_at, end_at, p.language, p.title, p.text, sentences, length "
        "FROM passages p JOIN documents d ON d.id = p.document",
        "postings": "SELECT term, p.id, tf FROM postings t JOIN passages p ON p.seq = t.passage",
        "vectors": "SELECT p.id, v.embedding::text FROM vectors_1 v JOIN passages p ON p.seq = v.passage",
        "corpus": "SELECT passages, terms FROM corpus",
    }
    with psycopg.connect(dsn) as connection:
        return {what: sorted(connection.execute(text).fetchall(), key=repr) for what, text in asked.items()}


@needs_ray
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Ray 2.60 deprecates settings that it sets itself
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_worker_that_is_killed_once_writes_what_one_process_writes(postgres_server: str, tmp_path: Path) -> None:
    """Half of the documents are in already, as after an ingest that was cut off; one of them has changed since."""
    notes, told = tmp_path / "notes", list[tuple[str, int, int]]()
    documents = folder(tmp_path / "documents", 24)
    notes.mkdir()
    work = {"read": 0, "embedded": 0, "written": 0, "indexing": 0}

    def worked(stage: Any, passages: int) -> None:
        work[stage] += passages

    with fresh_database(postgres_server) as dsn, fresh_database(postgres_server) as other:
        with DocumentStore(dsn, HashEmbedder()) as store:
            store.ingest([documents])
            houses(documents, range(24, 60))
            (documents / "d007.md").write_text("# House 7\n\nRoom 7 is closed.", encoding="utf-8")
            spread = Spread(1, partial(dying, notes))
            report = store.ingest([documents], lambda *news: told.append(news), on_work=worked, spread=spread)
        with DocumentStore(other, HashEmbedder()) as store:
            store.ingest([documents])
        assert (notes / "killed").exists()
        assert len(list(notes.glob("worker-*"))) == 2, "one, and one in its place"
        assert rows(dsn) == rows(other)
    assert report.added == [f"d{i:03}.md" for i in range(24, 60)]
    assert (report.replaced, len(report.unchanged), len(report.failed)) == (["d007.md"], 23, 3)
    assert sorted(name for name, _, _ in told) == sorted(path.name for path in documents.iterdir())
    assert [(done, total) for _, done, total in told] == [(n, 63) for n in range(1, 64)]
    assert (work["read"], work["embedded"], work["written"]) == (report.passages,) * 3


def test_each_file_is_read_alike_whoever_reads_it(tmp_path: Path) -> None:
    """What a worker does, without Ray; a document for streaming is left to the process that writes."""
    documents = folder(tmp_path / "documents", 2)
    (documents / "long.txt").write_text("word " * (STREAMED_CHARACTERS // 5 + 1))
    found = {one.name: one for one in files_of([documents])}
    worker = spreading._Worker(spreading._Told(HashEmbedder, "trusted", 2**30))
    made = dict(zip(found, worker._done([(one, None) for one in found.values()]), strict=True))
    assert {name: done.what for name, done in made.items()} == {
        "d000.md": "prepared", "d001.md": "prepared", "empty.txt": "failed", "leads-out.md": "failed",
        "long.txt": "large", "no-pdf.pdf": "failed",
    }  # fmt: skip
    first = made["d000.md"]
    assert first.extract is not None
    known = Known(first.extract.digest, "trusted", str(found["d000.md"].path))
    there = worker._done([(found["d000.md"], known), (found["d001.md"], known)])
    assert [done.what for done in there] == ["unchanged", "failed"]
    assert "the name of another document" in there[1].why


def test_without_ray_the_way_out_is_said(store: DocumentStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"pip install 'dojang\[ray\]'"):
        store.ingest([folder(tmp_path / "documents", 1)], spread=Spread(2, HashEmbedder))
    assert store.ingest([tmp_path / "documents"]).added == ["d000.md"]
