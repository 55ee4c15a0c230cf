"""The application under the machine: real parts, a model that follows rules, and no worker of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from fastapi.testclient import TestClient

from dojang.server import create_app
from dojang.server.work import Work
from dojang.workspace import Workspace
from tests.dojang.server.conftest import BASE, open_workspace
from tests.dojang.workspaces import Rehearsed


class Interrupted(Rehearsed):
    """The rehearsed model; ``meanwhile`` is called when it is asked, once."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: Callable[[], None] | None = None

    def reply(self, *args: Any, **given: Any) -> Any:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        return super().reply(*args, **given)


@dataclass
class House:
    """The application under the machine: one for many examples, which make threads of their own."""

    http: TestClient
    work: Work
    workspace: Workspace
    model: Interrupted
    bookings: Callable[[], int]


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
