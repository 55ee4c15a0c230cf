"""The embedded server: its life, its deaths, and who may stop it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from state import PassingFault, UserError
from store.database import connect, describe
from store.postgres.embedded import EmbeddedPostgres
from store.postgres.server import Server, command_line
from store.store import DocumentStore
from tests.processes import Forked

CLIENT = """
import sys
from pathlib import Path
from store.postgres.embedded import EmbeddedPostgres
client = EmbeddedPostgres(Path(sys.argv[1]), linger_s=float(sys.argv[2]))
print(client.start(), flush=True)
sys.stdin.read()
"""


def until(condition: Callable[[], bool], timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def fails_for_now(store: DocumentStore) -> bool:
    try:
        store.search("주차")
    except PassingFault:
        return True
    return False


def process_id(home: Path) -> int:
    found = Server(home).pid()
    assert found is not None
    return found


def client(home: Path, linger_s: float = 0.2) -> Forked:
    return Forked(words=[str(home), str(linger_s)], code=CLIENT, stdin=True)


def end(process: Forked, sign: int = signal.SIGKILL) -> None:
    process.send_signal(sign)
    process.communicate()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``initdb`` makes, never started: half a second of CPU that most tests need not spend anew."""
    folder = tmp_path_factory.mktemp("made") / "postgres"
    folder.mkdir()
    Server(folder).create()
    return folder


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Iterator[Path]:
    """A home whose database has been made and not yet been started."""
    folder = tmp_path / "postgres"
    subprocess.run(["cp", "-a", made, folder], check=True)  # with its owner, whom a copy by shutil would lose
    yield folder
    Server(folder).stop()


@pytest.fixture
def new(tmp_path: Path) -> Iterator[Path]:
    """A home where nothing is yet."""
    folder = tmp_path / "postgres"
    yield folder
    Server(folder).stop()


def test_starts_has_vector_listens_on_no_port_and_is_shared(new: Path) -> None:
    with EmbeddedPostgres(new, linger_s=0.2) as dsn, psycopg.connect(dsn) as connection:
        connection.execute("CREATE EXTENSION vector")
        row = connection.execute("SELECT '[1,2]'::vector <=> '[1,2]', current_setting('listen_addresses')").fetchone()
        assert row == (0.0, "")
        row = connection.execute("SELECT datlocprovider, pg_encoding_to_char(encoding) FROM pg_database").fetchone()
        assert row == ("b", "UTF8")
        first = process_id(new)
        with EmbeddedPostgres(new) as again:
            assert again == dsn
            assert process_id(new) == first


def test_the_dsn_has_no_secret_and_strangers_cannot_log_in(home: Path) -> None:
    with EmbeddedPostgres(home, linger_s=0.2) as dsn:
        secret = (home / "passfile").read_text().strip().rsplit(":", 1)[1]
        assert secret not in dsn
        assert (home / "passfile").stat().st_mode & 0o077 == 0
        with pytest.raises(UserError, match="refused the login") as refused:
            connect(psycopg.conninfo.make_conninfo(dsn, passfile="/dev/null", password="wrong-secret"))
        assert "wrong-secret" not in str(refused.value)


def test_an_uninstalled_locale_does_not_matter(new: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "xx_YY.KOI8-R")
    monkeypatch.setenv("PGDATA", "/nowhere")
    with EmbeddedPostgres(new, linger_s=0.2) as dsn, psycopg.connect(dsn) as connection:
        assert connection.execute("SELECT lower('ÄÖ') || '가'").fetchone() == ("äö가",)


def test_kill_9_of_the_server_keeps_acknowledged_rows(home: Path) -> None:
    server = EmbeddedPostgres(home, linger_s=0.2)
    dsn = server.start()
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (n int)")
        for n in range(50):
            connection.execute("INSERT INTO kept VALUES (%s)", (n,))
        dead = process_id(home)
        os.kill(dead, signal.SIGKILL)
    until(lambda: Server(home).pid() is None)
    dsn = server.start()
    assert process_id(home) != dead
    with psycopg.connect(dsn) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (50,)
    server.stop()


def test_kill_9_of_the_last_client_stops_the_server(home: Path) -> None:
    first, second = client(home), client(home)
    assert first.stdout is not None
    assert second.stdout is not None
    assert first.stdout.readline() == second.stdout.readline() != ""
    end(first)
    alive = process_id(home)
    with EmbeddedPostgres(home) as dsn, psycopg.connect(dsn):
        end(second)
        assert process_id(home) == alive
    until(lambda: Server(home).pid() is None)
    until(lambda: "database system is shut down" in (home / "server.log").read_text())  # clean, not killed


def test_who_comes_back_in_the_linger_time_finds_the_same_server(home: Path) -> None:
    short = client(home, linger_s=0.5)
    assert short.stdout is not None
    short.stdout.readline()
    before = process_id(home)
    end(short)
    with EmbeddedPostgres(home):
        deadline = time.monotonic() + 1.0
        until(lambda: time.monotonic() > deadline)  # the watcher wakes at 0.5 s and must see us
        assert process_id(home) == before
    until(lambda: Server(home).pid() is None)


def test_everything_killed_at_once_then_started_again(home: Path) -> None:
    one = client(home)
    assert one.stdout is not None
    dsn = one.stdout.readline().strip()
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
    watchers = [
        int(entry.name)
        for entry in Path("/proc").glob("[0-9]*")
        if "store.postgres.watcher" in (words := command_line(int(entry.name)) or "") and str(home) in words
    ]
    assert watchers
    for pid in [*watchers, process_id(home)]:
        os.kill(pid, signal.SIGKILL)
    end(one)
    with EmbeddedPostgres(home, linger_s=0.2) as again, psycopg.connect(again) as connection:
        assert connection.execute("SELECT n FROM kept").fetchone() == (7,)


def test_four_processes_starting_at_once_get_one_server(new: Path) -> None:
    crowd = [client(new) for _ in range(4)]
    lines = {process.stdout.readline() for process in crowd if process.stdout is not None}
    assert len(lines) == 1
    assert "host=" in lines.pop()
    for process in crowd:
        end(process)
    until(lambda: Server(new).pid() is None)


def test_a_stale_pid_file_with_a_foreign_living_process_is_not_believed(home: Path) -> None:
    with EmbeddedPostgres(home, linger_s=0.0):
        pass
    until(lambda: Server(home).pid() is None)
    until(lambda: not (home / "data" / "postmaster.pid").exists())
    bystander = subprocess.Popen(["sleep", "600"])
    try:
        lines = [str(bystander.pid), str(home / "data"), "1", "5432", str(home / "socket"), "", "  1  1", "ready   "]
        (home / "data" / "postmaster.pid").write_text("\n".join(lines) + "\n")
        with EmbeddedPostgres(home, linger_s=0.0) as dsn, psycopg.connect(dsn) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
            assert process_id(home) != bystander.pid
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_removed_socket_is_mended(home: Path) -> None:
    server = EmbeddedPostgres(home, linger_s=0.2)
    server.start()
    (Path(Server(home).where()[0]) / ".s.PGSQL.5432").unlink()
    with psycopg.connect(server.start()) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    server.stop()


def test_a_long_path_gets_a_short_socket(tmp_path: Path) -> None:
    home = tmp_path / ("아주긴이름" * 8) / "postgres with spaces"
    with EmbeddedPostgres(home, linger_s=0.0) as dsn, psycopg.connect(dsn) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    until(lambda: Server(home).pid() is None)
    with EmbeddedPostgres(home, linger_s=0.0) as again:
        assert again == dsn  # long-lived clients find it again
    folder = Path(Server(home).where()[0])
    until(lambda: not folder.exists())  # whoever stops the server removes it last of all
    folder.mkdir()
    folder.chmod(0o755)  # as if somebody else had taken the name
    with EmbeddedPostgres(home, linger_s=0.0) as moved:
        assert moved != dsn
    until(lambda: not Path(Server(home).where()[0]).exists())
    folder.rmdir()


def test_where_sockets_are_refused_it_listens_on_loopback_only(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("store.postgres.server._takes_sockets", lambda folder: False)
    with EmbeddedPostgres(home, linger_s=0.0) as dsn, psycopg.connect(dsn) as connection:
        assert connection.execute("SELECT inet_server_addr() <<= '127.0.0.0/8'").fetchone() == (True,)
        with pytest.raises(UserError, match="refused the login"):
            connect(psycopg.conninfo.make_conninfo(dsn, passfile="/dev/null"))


def test_another_major_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "PG_VERSION").write_text("15\n")
    with pytest.raises(UserError, match="made by PostgreSQL 15, this is 18"):
        EmbeddedPostgres(tmp_path).start()


def test_an_interrupted_initdb_leaves_nothing_that_is_believed(new: Path) -> None:
    (new / "data.new-1").mkdir(parents=True)
    (new / "data.new-1" / "PG_VERSION").write_text("18\n")
    (new / "data.new-abc.pw").write_text("left over")
    with EmbeddedPostgres(new, linger_s=0.2) as dsn, psycopg.connect(dsn) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert not list(new.glob("data.new*"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to give up its rights")
def test_as_root_a_closed_parent_is_passed_without_chmod_or_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    home = closed / "postgres"
    with EmbeddedPostgres(home, linger_s=0.0) as dsn, psycopg.connect(dsn) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert closed.stat().st_mode & 0o777 == 0o700
    until(lambda: Server(home).pid() is None)
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(UserError, match=r"cannot pass .* to reach .*chmod o\+x"):
        EmbeddedPostgres(home).start()


def test_a_dead_address_is_told_in_time_and_without_the_password() -> None:
    began = time.monotonic()
    with pytest.raises(PassingFault, match="does not answer") as fault:
        connect("postgresql://kim:hush-hush@127.0.0.1:9/hotel")
    assert time.monotonic() - began < 6
    assert "hush-hush" not in str(fault.value)
    assert "kim@127.0.0.1:9/hotel" in str(fault.value)


def test_a_garbled_address_is_a_user_error_without_the_password() -> None:
    with pytest.raises(UserError, match="cannot be read") as wrong:
        connect("postgresql//kim:hush-hush at home")
    assert "hush-hush" not in str(wrong.value)
    assert "hush-hush" not in describe("postgresql//kim:hush-hush at home")


def test_an_unknown_database_is_a_user_error(postgres_server: str) -> None:
    with pytest.raises(UserError, match="no such database"):
        connect(psycopg.conninfo.make_conninfo(postgres_server, dbname="없는것"))


def test_the_fixture_gives_an_empty_database(postgres_dsn: str) -> None:
    with psycopg.connect(postgres_dsn) as connection:
        assert connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)


def test_a_store_lives_through_the_death_of_its_server(home: Path) -> None:
    server = EmbeddedPostgres(home, linger_s=0.2)
    with DocumentStore(server.start(), None) as store:
        store.ingest_bytes("주차.txt", "주차는 무료입니다.".encode())
        os.kill(process_id(home), signal.SIGKILL)
        until(lambda: Server(home).pid() is None)
        # Only the postmaster was killed; the backend of our connection notices soon and may answer until then.
        until(lambda: fails_for_now(store))
        server.start()
        assert store.search("주차")[0]["text"] == "주차는 무료입니다."
    server.stop()
