"""The hosts themselves: what a cut, a slow wire and an end of the tests' process do."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from store.postgres.server import command_line
from tests.hosts.network import Host, Network, enter, refusal
from tests.hosts.postgres import Postgres
from tests.processes import Forked

pytestmark = pytest.mark.skipif(bool(refusal()), reason=refusal())
HOLD = """
import sys
from pathlib import Path
from tests.hosts.network import Network
from tests.hosts.postgres import Postgres
with Network() as network, Postgres(Path("postgres"), network.host("a")).running():
    print(network.interface, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    with Network() as opened:
        yield opened


def echo(host: Host) -> socket.socket:
    """A server on a host that says again what it is told; its listening socket."""
    made: list[socket.socket] = []

    def listen() -> None:
        enter(host.space.path)
        made.append(socket.create_server((host.address, 0)))

    there = threading.Thread(target=listen)  # only it goes there
    there.start()
    there.join()
    threading.Thread(target=_answer, args=made, daemon=True).start()
    return made[0]


def _answer(listener: socket.socket) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        with client:
            while said := client.recv(1024):
                client.sendall(said)


def test_who_is_cut_off_is_told_nothing_and_goes_on_when_it_is_healed(network: Network) -> None:
    host = network.host("cut")
    with echo(host) as listener, socket.create_connection(listener.getsockname(), timeout=10) as client:
        client.sendall(b"one")
        assert client.recv(9) == b"one"
        host.cut()
        client.sendall(b"two")
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.recv(9)
        with pytest.raises(TimeoutError):  # no refusal, no "no route to host"
            socket.create_connection(listener.getsockname(), timeout=0.3)
        host.heal()
        client.settimeout(10)
        assert client.recv(9) == b"two"
        listener.shutdown(socket.SHUT_RDWR)


def test_a_slow_wire_is_slow_both_ways(network: Network) -> None:
    host = network.host("slow")
    with echo(host) as listener:
        with host.slow(0.05):
            begun = time.monotonic()
            with socket.create_connection(listener.getsockname(), timeout=10) as client:
                client.sendall(b"one")
                assert client.recv(9) == b"one"
            assert time.monotonic() - begun >= 0.2  # there and back, twice
        with socket.create_connection(listener.getsockname(), timeout=10) as client:  # it is on the wire again
            client.sendall(b"two")
            assert client.recv(9) == b"two"
        listener.shutdown(socket.SHUT_RDWR)


def test_nothing_is_left_behind_when_the_tests_are_killed(tmp_path: Path) -> None:
    with Forked(code=HOLD, stdin=True, cwd=tmp_path) as process:
        interface = process.stdout.readline().strip()
        assert os.path.exists(f"/sys/class/net/{interface}")
        assert of(tmp_path)
        process.kill()
    last = time.monotonic() + 30
    while os.path.exists(f"/sys/class/net/{interface}") or of(tmp_path):
        assert time.monotonic() < last
        time.sleep(0.01)


def of(folder: Path) -> list[str]:
    """Processes that name it."""
    return [p for p in os.listdir("/proc") if p.isdecimal() and str(folder) in (command_line(int(p)) or "")]


def test_a_postgres_of_the_wire_keeps_what_it_has_acknowledged_and_lets_in_nobody_without_a_password(
    network: Network, tmp_path: Path
) -> None:
    postgres = Postgres(tmp_path / "postgres", network.host("db"))
    with postgres.running():
        dsn = postgres.made("mine")
        with psycopg.connect(dsn) as connection:
            connection.execute("CREATE TABLE t AS SELECT 1 AS n")
        postgres.restart()
        with psycopg.connect(dsn) as connection:
            assert connection.execute("SELECT n FROM t").fetchall() == [(1,)]
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(dsn, password="another")
    assert not postgres.alive
