"""The application under the machine: real parts, a model that follows rules, and no worker of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from fastapi.testclient import TestClient

from dojang.server import create_app
from tests.dojang.server.conftest import BASE, open_workspace
from tests.dojang.server.fuzz.machine import House, Interrupted


@contextmanager
def opened_house(home: Path, postgres_server: str) -> Iterator[House]:
    """A house over a home and a database of its own."""
    model = Interrupted()
    with open_workspace(home, postgres_server, generator=model, language="en", rate_limit="") as workspace:
        app = create_app(workspace)
        dsn = workspace.settings.database_url
        assert dsn is not None
        with (
            TestClient(app, base_url=BASE, headers={"origin": BASE}) as http,
            psycopg.connect(dsn.get_secret_value(), autocommit=True) as connection,
        ):

            def bookings() -> int:
                found = connection.execute("select count(*) from bookings where id > 'BK-2040'").fetchone()
                assert found is not None
                return int(found[0])

            yield House(http, app.state.work, workspace, model, bookings)
            app.state.work.rows.close()
