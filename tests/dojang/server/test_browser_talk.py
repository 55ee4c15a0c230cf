"""Talking in the system's Chromium: a thread begun, paused, decided and gone on with; connections that are lost."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dojang.workspace import Workspace
from tests.dojang.server.conftest import open_workspace
from tests.dojang.server.langgraph.conftest import Held
from tests.dojang.server.screens import Open, holds, of_browsers, running

pytestmark = of_browsers


@pytest.fixture(scope="module")
def model() -> Held:
    return Held()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, postgres_server: str, model: Held) -> Iterator[Workspace]:
    with open_workspace(tmp_path_factory.mktemp("talk"), postgres_server, generator=model) as opened:
        yield opened


@pytest.fixture(scope="module")
def site(house: Workspace) -> Iterator[str]:
    with running(house) as address:
        yield address


def begun(page: Any, text: str) -> str:
    """Say something on a page; the thread's path."""
    page.locator("#text").fill(text)
    page.get_by_role("button", name=re.compile("Send|보내기")).click()
    page.wait_for_url("**/threads/th_*")
    return "/" + str(page.url).split("/", 3)[3].partition("#")[0]


def test_a_thread_is_begun_paused_decided_and_gone_on_with(
    tab: Open, house: Workspace, model: Held, tmp_path: Path
) -> None:
    page = tab("/threads")
    with model.held():
        thread = begun(page, "When is check-out?")
        page.wait_for_selector("#steps li:last-child:text-is('generate')")
        page.screenshot(path=str(tmp_path / "working.png"))
    page.locator(".answer p a.cite").click()
    assert page.locator("#beside mark").inner_text() == "Check-out is at 11:00."
    assert page.url.partition("#")[0].endswith(thread)  # the thread was not left
    page.keyboard.press("Escape")
    assert page.locator("#beside").count() == 0
    page.locator("#text").fill("please book a room for two guests")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(".inplace .card")
    assert page.locator("#speak textarea").count() == 0
    page.screenshot(path=str(tmp_path / "pause.png"))
    page.locator(".inplace [data-approve]").click()
    page.wait_for_selector(".outcome.done")
    assert thread in page.url
    assert page.locator(".answer").last.inner_text().count("is confirmed") > 0
    assert [o["status"] for o in house.thread(thread.rpartition("/")[2]).outcomes] == ["done"]


def test_a_lost_connection_loses_nothing(tab: Open, house: Workspace, model: Held) -> None:
    page = tab("/threads")
    with model.held():
        thread = begun(page, "When is check-out?")
        page.wait_for_selector("#steps li")
        page.context.set_offline(True)
        page.wait_for_selector("#broken:not([hidden])")
        page.wait_for_selector("#wire.lost")
    page.context.set_offline(False)
    page.wait_for_selector(".answer")
    page.wait_for_selector("#text")
    page.context.set_offline(True)
    page.locator("#text").fill("How many guests?")
    page.get_by_role("button", name="Send").click()
    page.wait_for_selector(".unsent:not([hidden])")
    assert page.locator("#text").input_value() == "How many guests?"
    page.context.set_offline(False)
    page.wait_for_selector(".answer >> nth=1")
    said = [line["text"] for line in house.conversation(thread.rpartition("/")[2]) if line["role"] == "user"]
    assert said == ["When is check-out?", "How many guests?"]


def test_two_browsers_at_one_pause(tab: Open, house: Workspace) -> None:
    review = house.ask("please book a room").reviews[0]
    thread = f"/threads/{review['thread_id']}"
    first, second, beside = tab(thread), tab(thread), tab(f"/reviews/{review['id']}")
    other = tab("/")
    house.decide(review["id"], "reject", by="Ben")
    for page in (first, second):  # in place, without being asked
        page.wait_for_selector(".inplace", state="detached")
        page.wait_for_selector(".outcome.refused")
    beside.wait_for_selector(".elsewhere")
    assert beside.locator(".elsewhere").inner_text().startswith("Rejected by Ben, ")
    other.wait_for_selector(f'a.row[data-id="{review["id"]}"] .said')
    beside.locator("[data-approve]").dispatch_event("click")  # whoever goes on nevertheless is told who was first
    beside.wait_for_selector(".winner")
    assert "Ben" in beside.locator(".winner").inner_text()


def test_without_script_from_start_to_resume(tab: Open, house: Workspace) -> None:
    page = tab("/threads", lang="ko-KR", script=False)
    thread = begun(page, "남산스테이에 예약해 줘")
    page.wait_for_selector(".inplace .card")
    page.get_by_role("button", name="승인").click()
    page.wait_for_selector(".outcome.done")
    assert thread in page.url
    page.get_by_role("link", name="단계별 진행 과정").click()
    holds(page.locator(".timeline .newest"), re.compile("현재 위치"))


def test_a_run_is_stopped_between_two_steps_and_gone_on_with(tab: Open, model: Held) -> None:
    page = tab("/threads")
    with model.held():
        begun(page, "When is check-out?")
        page.wait_for_selector("#steps li:nth-child(3)")
        page.get_by_role("button", name="Stop between two steps").click()
        page.wait_for_selector(".pulse:has-text('Stops after')")
    page.get_by_role("button", name="Go on", exact=True).click()
    page.wait_for_selector(".answer")


@pytest.mark.parametrize(("lang", "scheme"), [("ko-KR", "dark"), ("en-US", "light")])
def test_threads_fit_a_narrow_screen(tab: Open, house: Workspace, lang: str, scheme: str, tmp_path: Path) -> None:
    review = house.ask("please book a room " + "여" * 90).reviews[0]
    thread = f"/threads/{review['thread_id']}"
    page = tab("/threads", lang=lang, color_scheme=scheme)
    site = page.url.removesuffix("/threads")
    page.set_viewport_size({"width": 320, "height": 640})
    for i, path in enumerate(["/threads", thread, f"{thread}/history"]):
        page.goto(site + path)
        page.screenshot(path=str(tmp_path / f"narrow-{i}.png"), full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= 320, path
