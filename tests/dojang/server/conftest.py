"""A workspace of real parts (session files, PostgreSQL, tools, rules) behind the application."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from dojang.server import create_app
from dojang.workspace import Workspace
from state import Review
from tests.dojang.workspaces import workspace_for

BASE = "http://127.0.0.1:8723"
RULES_EN = "Check-out is at 11:00. A room may be booked for two guests. Refunds are paid within 7 days.\n"
RULES_KO = "체크아웃은 오전 11시입니다. 예약은 체크인 3일 전까지 취소하면 객실료의 90 %를 환불합니다.\n"

Ask = Callable[[str], Review]


@pytest.fixture
def workspace(tmp_path: Path, postgres_dsn: str) -> Iterator[Workspace]:
    """A fresh home with two documents."""
    (tmp_path / "rules.md").write_text(RULES_EN, encoding="utf-8")
    (tmp_path / "규정.md").write_text(RULES_KO, encoding="utf-8")
    with workspace_for(tmp_path / "home", postgres_dsn, language=None) as opened:
        opened.ingest([tmp_path / "rules.md", tmp_path / "규정.md"])
        yield opened


@pytest.fixture
def client(workspace: Workspace) -> Iterator[TestClient]:
    """A browser on one of our own pages, asking for English."""
    headers = {"origin": BASE, "sec-fetch-site": "same-origin", "accept-language": "en"}
    app = create_app(workspace)
    with TestClient(app, base_url=BASE, headers=headers, follow_redirects=False) as client:
        yield client


@pytest.fixture
def paused(workspace: Workspace) -> Ask:
    """Ask something that pauses; gives the review that waits."""

    def ask(text: str) -> Review:
        result = workspace.ask(text)
        assert result.status == "paused"
        return result.reviews[0]

    return ask
