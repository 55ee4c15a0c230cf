"""A server that cannot start says why and what to do: real data directories, really spoiled."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from state import DojangError, PassingFault, UserError
from store.postgres import diagnosis
from store.postgres.embedded import EmbeddedPostgres
from store.postgres.server import MAJOR, Server
from tests.store.test_embedded import until

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory that was used once and shut down."""
    home = tmp_path_factory.mktemp("pristine") / "postgres"
    with EmbeddedPostgres(home, linger_s=0.0) as dsn, psycopg.connect(dsn) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
    until(lambda: Server(home).pid() is None and not (home / "data" / "postmaster.pid").exists())
    return home


@pytest.fixture
def home(pristine: Path, tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "postgres"
    shutil.copytree(pristine, folder, ignore=shutil.ignore_patterns("socket", "*.lock"))
    for path in [folder / "data", *(folder / "data").rglob("*")]:  # a copy by root belongs to root
        facts = (pristine / path.relative_to(folder)).stat()
        if os.geteuid() == 0:
            os.chown(path, facts.st_uid, facts.st_gid)
    yield folder
    Server(folder).stop()


def test_an_untouched_copy_starts(home: Path) -> None:
    with EmbeddedPostgres(home, linger_s=0.0) as dsn, psycopg.connect(dsn) as connection:
        assert connection.execute("SELECT n FROM kept").fetchone() == (7,)


def _spoil_control(data: Path) -> None:
    (data / "global" / "pg_control").write_bytes(os.urandom(8192))


def _lose_wal(data: Path) -> None:
    for file in (data / "pg_wal").iterdir():
        if file.is_file():
            file.unlink()


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (
            lambda data: (data / "PG_VERSION").write_text("15\n"),
            "made by PostgreSQL 15, this is 18.*dojang store restore",
        ),
        (
            lambda data: (data / "PG_VERSION").unlink(),
            "no whole data directory.*PG_VERSION is missing.*dojang store restore",
        ),
        (lambda data: (data / "global" / "pg_control").unlink(), "global/pg_control is missing"),
        (lambda data: shutil.rmtree(data / "base"), "base is missing"),
        (_spoil_control, "another version or build|is damaged"),
        (_lose_wal, "is damaged: move it away"),
        (lambda data: data.chmod(0o777), "chmod -R go-rwx"),
    ],
    ids=["version", "no-version", "no-control", "no-base", "control", "no-wal", "open"],
)
def test_a_spoiled_data_directory_is_named_with_a_remedy(
    home: Path, spoil: Callable[[Path], object], says: str
) -> None:
    spoil(home / "data")
    with pytest.raises(UserError, match=says) as told:
        EmbeddedPostgres(home, linger_s=0.0).start()
    assert str(home / "data") in str(told.value)
    assert "\n" not in str(told.value)


@AS_ROOT
def test_files_of_root_say_whose_they_must_be(home: Path) -> None:
    for path in [home / "data", *(home / "data").rglob("*")]:
        os.chown(path, 0, 0)
    with pytest.raises(UserError, match=r"belong.* to (?:another user|user id 0).*sudo chown -R 65534 .*/data"):
        EmbeddedPostgres(home, linger_s=0.0).start()


@AS_ROOT
def test_root_takes_the_owner_of_the_data(home: Path) -> None:
    for path in [home / "data", *(home / "data").rglob("*")]:
        os.chown(path, 12345, 12345)
    with EmbeddedPostgres(home, linger_s=0.0) as dsn, psycopg.connect(dsn) as connection:
        assert connection.execute("SELECT n FROM kept").fetchone() == (7,)
        pid = Server(home).pid()
        assert pid is not None
        assert Path(f"/proc/{pid}").stat().st_uid == 12345


def test_a_full_disk_is_told_before_anything_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = shutil.disk_usage(tmp_path)._replace(free=5 * 2**20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free)
    with pytest.raises(PassingFault, match=r"disk of .* is full \(5 MB free"):
        EmbeddedPostgres(tmp_path / "postgres").start()
    assert not (tmp_path / "postgres" / "data").exists()


@pytest.mark.parametrize(
    ("words", "kind", "says"),
    [
        ('FATAL:  data directory "/x" has wrong ownership', UserError, "belongs to another user.*sudo chown"),
        (
            'FATAL:  could not write lock file "postmaster.pid": No space left on device',
            PassingFault,
            "disk .* is full",
        ),
        ("PANIC:  could not write to file: No space left on device", PassingFault, "disk .* is full"),
        ("LOG:  invalid primary checkpoint record\nPANIC:  could not locate a valid checkpoint", UserError, "damaged"),
        ('FATAL:  could not open file "global/pg_filenode.map": Permission denied', UserError, "may not read its own"),
        ("FATAL:  database files are incompatible with server", UserError, "another version or build"),
        ("FATAL:  could not map anonymous shared memory: Cannot allocate memory", PassingFault, "shared memory"),
        ('LOG:  Unix-domain socket path "/x" is too long (maximum 107 bytes)', UserError, "set DOJANG_HOME"),
        ('LOG:  could not bind IPv4 address "127.0.0.1": Address already in use', PassingFault, "is taken"),
        ('initdb: error: invalid locale name "ko_KR"', UserError, "locale"),
    ],
)
def test_what_the_log_says_is_told_in_words(tmp_path: Path, words: str, kind: type[DojangError], says: str) -> None:
    error = diagnosis.explained(words, tmp_path / "data", tmp_path / "server.log")
    assert type(error) is kind
    with pytest.raises(DojangError, match=says):
        raise error


def test_an_unknown_failure_stays_in_its_own_words(tmp_path: Path) -> None:
    assert diagnosis.explained("FATAL:  the moon is full", tmp_path, tmp_path / "server.log") is None
    assert MAJOR == "18"
