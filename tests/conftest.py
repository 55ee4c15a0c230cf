"""Fixtures that several parts share, and the ban on model downloads."""

from __future__ import annotations

import gc
import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from tests.databases import SESSIONS, fresh_database, homes_on

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_OFFLINE"] = "1"
# bitsandbytes compiles its CPU kernels when it is imported, which the command line turns off, too.
os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")

# A busy machine is no finding: nothing here is judged by how long a draw or an example takes.
hypothesis.settings.register_profile("dojang", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("dojang")

LINGER_S = 3.0
UNSAFE = {"fsync": "off", "full_page_writes": "off", "wal_level": "minimal", "max_wal_senders": "0"}
"""Settings of a server whose data nobody needs after a power cut."""


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect the tests without collecting garbage: imports make a million objects, and looking through them again and
    again is 9 of a worker's 20 CPU-seconds before its first test (docs/log/shell.md, 2026-11-26).

    What was imported stays for good, so it is taken out of all later looks.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(50_000, 10, 10)  # as the command line has it
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Over PostgreSQL a test that is about files is to fail; one that passes there is about more, and reported."""
    for item in items if SESSIONS == "postgres" else []:
        for mark in item.iter_markers("about_files"):
            item.add_marker(pytest.mark.xfail(strict=True, reason=f"about files: {mark.args[0]}"))


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[str]:
    """DSN of one embedded server for the whole session, shared by all xdist workers; or of one on a host of its own."""
    if os.environ.get("DOJANG_TEST_WORKERS") == "hosts":
        yield request.getfixturevalue("hosts").dsn
        return
    from store.postgres.embedded import EmbeddedPostgres

    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with EmbeddedPostgres(shared / "postgres", linger_s=LINGER_S, settings=UNSAFE) as dsn:
        yield dsn


@pytest.fixture(scope="session")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A ``tests.hosts.shift.Ground`` for ``DOJANG_TEST_WORKERS=hosts``; what befell it goes into a file.

    ``DOJANG_TEST_SEED``, ``DOJANG_TEST_PAUSE_S``: of the strikes; ``DOJANG_TEST_FIGURES``: the folder of that file.
    """
    from tests.hosts.shift import ground

    one_of = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    seed = int(os.environ.get("DOJANG_TEST_SEED", "1")) * 100 + int(one_of)
    pause_s = float(os.environ.get("DOJANG_TEST_PAUSE_S", "1"))
    with ground(tmp_path_factory.mktemp("hosts"), seed=seed, pause_s=pause_s) as opened:
        if folder := os.environ.get("DOJANG_TEST_FIGURES"):
            opened.figures.file = Path(folder, f"{one_of}.json")
        yield opened


@pytest.fixture
def postgres_dsn(postgres_server: str) -> Iterator[str]:
    """DSN of an empty database of the test's own, on the session's server."""
    with fresh_database(postgres_server) as dsn:
        yield dsn


if SESSIONS == "postgres":

    @pytest.fixture(scope="session", autouse=True)
    def databases_of_fixtures(postgres_server: str) -> Iterator[None]:
        """Homes that several tests share have their databases to the end."""
        with homes_on(postgres_server):
            yield

    @pytest.fixture(autouse=True)
    def databases_of_a_test(postgres_server: str, databases_of_fixtures: None) -> Iterator[None]:
        """A test's own homes have them as long as the test."""
        with homes_on(postgres_server):
            yield


@pytest.fixture(scope="session")
def test_data() -> Path:
    """Folder of third-party test data; the test is skipped where it is absent."""
    folder = Path(os.environ.get("DOJANG_TEST_DATA", Path(__file__).parents[1] / ".." / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no test data in {folder}: set DOJANG_TEST_DATA")
    return folder.resolve()
