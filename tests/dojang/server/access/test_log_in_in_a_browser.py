"""Logging in with a provider in the system's Chromium: our server on one site, the provider's process on another."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from dojang.server.access.places import SharedPlace
from dojang.workspace import Workspace
from tests.databases import NOT_NEEDED
from tests.dojang.server.access.provided import Provided, provider_process
from tests.dojang.server.screens import chromium, profile, running
from tests.dojang.server.test_browser import pytestmark  # noqa: F401 - skipped where there is no Chromium
from tests.dojang.workspaces import workspace_for

Open = Callable[..., Any]


@pytest.fixture(scope="module")
def provided() -> Iterator[Provided]:
    with provider_process() as provided:
        yield provided


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    with workspace_for(tmp_path_factory.mktemp("house"), NOT_NEEDED, language=None) as opened:
        yield opened


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as opened:
        yield opened


@pytest.fixture
def tab(browser: Any, workspace: Workspace, provided: Provided) -> Iterator[Open]:
    """A page in a profile of its own, on a server of its own (one that has not yet asked the provider what it is).

    The provider is 127.0.0.1 and we are localhost: for a browser another site, to which no strict cookie goes along.
    """
    provided.well(asks=True)
    complaints: list[str] = []
    settings = workspace.settings.model_copy(update=provided.settings())
    with running(workspace, settings) as url:
        with profile(browser, complaints, locale="en-US", base_url=url.replace("127.0.0.1", "localhost")) as page:
            yield lambda path: opened(page, path)
    assert complaints == []


def opened(page: Any, path: str) -> Any:
    page.goto(path)
    return page


def expire(workspace: Workspace) -> None:
    """The hours of every log-in are over."""
    query = "UPDATE logins SET expires_at = '2020-01-01T00:00:00+00:00'"
    if (beside := workspace.parts.sessions.beside) is not None:
        with SharedPlace(beside).writing() as rows:
            rows.execute(query)
        return
    with closing(sqlite3.connect(workspace.settings.home / "tokens.sqlite")) as db, db:
        db.execute(query)


def logs_in(page: Any, user: str) -> None:
    """From the page that wants a log-in, over the provider's own page, to wherever that leads."""
    page.get_by_role("link", name="Log in with 127.0.0.1").click()
    page.get_by_role("link", name=f"Yes, {user}").click()


def test_somebody_logs_in_may_what_their_groups_say_and_logs_out_everywhere(tab: Open, provided: Provided) -> None:
    page = tab("/threads?q=rooms")
    assert page.url.endswith("/login?next=%2Fthreads%3Fq%3Drooms")
    logs_in(page, "u1")
    page.wait_for_url("**/threads?q=rooms")  # the page that was wanted, by itself
    assert page.locator(".chip.who").inner_text() == "Hana"
    cookie = next(one for one in page.context.cookies() if one["name"] == "dojang_session")
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["domain"]) == (True, "Strict", "localhost")
    refused = page.goto("/audit")  # an operator oversees nothing
    assert (refused.status, page.get_by_role("alert").count()) == (403, 1)
    assert "manager" in page.get_by_role("alert").inner_text()
    provided.asked()
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url("**/login")
    assert "/end" in provided.asked()
    assert page.context.cookies() == []
    page.go_back()
    page.goto("/threads")
    assert "/login?next=" in page.url
    provided.well("u2", asks=True)  # the same browser, another person
    logs_in(page, "u2")
    page.wait_for_url("**/threads")
    assert page.locator(".chip.who").inner_text() == "Lee"
    assert page.goto("/audit").status == 200


def test_whoever_has_no_role_here_is_told_so_by_name(tab: Open, provided: Provided) -> None:
    provided.well("u3", asks=True)
    page = tab("/login")
    logs_in(page, "u3")
    why = page.get_by_role("alert").inner_text()
    assert "Guest is known to the log-in provider and has no role here" in why
    assert page.context.cookies() == []


def test_what_was_being_written_is_sent_after_the_log_in_that_had_ended_under_it(
    tab: Open, workspace: Workspace
) -> None:
    page = tab("/threads")
    logs_in(page, "u1")
    page.wait_for_url("**/threads")
    page.locator("textarea[name=text]").fill("When is <b>check-out</b>?")
    expire(workspace)
    page.locator("form:has(textarea[name=text]) button").click()
    page.get_by_role("heading", name="You are logged in no more").wait_for()
    assert page.locator("textarea").input_value() == "When is <b>check-out</b>?"
    with page.context.expect_page() as opening:
        page.get_by_role("link", name="Log in").click()
    beside = opening.value
    logs_in(beside, "u1")
    beside.get_by_text("Close this page").wait_for()
    beside.close()
    page.get_by_role("button", name="Send it again").click()
    page.wait_for_url("**/threads/*")
    assert "When is <b>check-out</b>?" in page.locator("main").inner_text()


@pytest.mark.parametrize(
    ("path", "language", "said"),
    [
        ("/.well-known/openid-configuration", "en", "the log-in provider 127.0.0.1 has a fault"),
        ("/token", "ko", "로그인 제공자"),
    ],
    ids=["before anybody goes there", "on the way back, in Korean"],
)
def test_a_provider_that_is_down_is_named_on_a_page_from_which_one_tries_again(
    tab: Open, provided: Provided, path: str, language: str, said: str
) -> None:
    page = tab(f"/login?next=%2Fthreads&lang={language}")
    provided.well(asks=True, down=path)
    there = re.compile("127.0.0.1")
    page.get_by_role("link", name=there).click()
    if path == "/token":
        page.get_by_role("link", name="Yes, u1").click()
    assert said in page.get_by_role("alert").inner_text()
    assert page.locator("html").get_attribute("lang") == language
    assert not [one for one in page.context.cookies() if one["name"] == "dojang_session"]
    provided.well(asks=True)
    page.get_by_role("link", name=there).click()
    page.get_by_role("link", name="Yes, u1").click()
    page.wait_for_url("**/threads" if path != "/token" else "**/")
    assert page.locator(".chip.who").inner_text() == "Hana"
