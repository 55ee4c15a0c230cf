"""Tokens and cookies are sent everywhere, and then looked for in every answer, log line and file."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from dojang.server.access.limiting import Limiter
from dojang.server.access.sessions import COOKIE
from tests.databases import NOT_NEEDED
from tests.dojang.server.access.people import People
from tests.dojang.workspaces import workspace_for


@pytest.fixture
def people(tmp_path: Path) -> Iterator[People]:
    with workspace_for(tmp_path / "home", NOT_NEEDED, rate_limit="") as workspace:
        yield People(workspace)


def test_no_answer_log_line_or_file_has_a_secret(
    people: People,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    good, gone = people.token("hana", "admin"), people.revoked()
    wrong = good[:12] + "a" * 43
    browser = people.logged_in(good)
    cookie = str(browser.cookies[COOKIE])
    answers = [browser.get("/threads").text, browser.get("/login").text]
    monkeypatch.setattr(logging.getLogger("httpx2"), "disabled", True)  # the test's own client says what it asks
    with caplog.at_level(logging.DEBUG):
        for secret in (good, gone, wrong):
            for client in (people.client(secret), people.client(good)):
                people.app.state.doorkeeper.limiter = Limiter("")  # one that has heard no wrong token yet
                for path in (
                    f"/reviews/{secret}",
                    f"/threads/{secret}",
                    f"/{secret}",
                    f"/reviews/{secret}?lang=ko",
                ):
                    answers.append(client.get(path).text)
                answers.append(client.get(f"/reviews?limit={secret}").text)
                answers.append(client.post(f"/reviews/{secret}/decision", json={"type": secret}).text)
                answers.append(client.post(f"/threads/{secret}/messages", data={"text": ""}).text)
                for name in ("x-api-key", "referer"):
                    answers.append(client.get("/threads", headers={name: secret}).text)
                answers.append(client.get("/login?next=" + quote(f"/?token={secret}")).headers.get("location", ""))
                answers.append(client.post("/login", data={"token": "x" + secret}).text)
        people.app.state.workspace.parts.index.refresh = None  # a bug of ours, with the secret in the path
        people.app.state.doorkeeper.limiter = Limiter("")
        answers.append(people.client(good).get(f"/reviews/{good}").text)
    out, err = capfd.readouterr()
    files = {path: path.read_bytes() for path in (tmp_path / "home").rglob("*") if path.is_file()}
    assert "Traceback" in caplog.text
    assert good[:11] in "".join(answers)
    for secret in (good[12:], gone[12:], "a" * 43, cookie):
        assert [answer for answer in answers if secret in answer] == []
        assert secret not in caplog.text + out + err
        assert [path.name for path, written in files.items() if secret.encode() in written] == []
