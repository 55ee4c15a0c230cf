"""The console in the system's Chromium: a real graph, real session files and a real server on a free port.

Screenshots go to a temporary folder; ``--basetemp`` says where, for whoever wants to look at them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from dojang.workspace import Workspace
from tests.dojang.server.conftest import Ask
from tests.dojang.server.screens import Open, holds, of_browsers
from tests.dojang.workspaces import workspace_for

pytestmark = of_browsers


@pytest.fixture
def other_process(workspace: Workspace) -> Iterator[Workspace]:
    """What the command line would see: another workspace over the same files."""
    url = workspace.settings.database_url
    assert url is not None
    with workspace_for(workspace.settings.home, url.get_secret_value()) as opened:
        yield opened


@pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
def test_a_tool_is_looked_at_and_approved(
    tab: Open, paused: Ask, other_process: Workspace, script: bool, tmp_path: Path
) -> None:
    review = paused("please book a room for two guests")
    page = tab("/", script=script)
    page.click(f'a[href="/reviews/{review["id"]}"]')
    holds(page.locator("dl.args dd").first, re.compile("^Namsan Stay "))
    assert page.locator(".passage mark").inner_text() == "A room may be booked for two guests."
    assert page.locator(".why b").inner_text() == "A booking is checked by a person before it is made."
    page.screenshot(path=str(tmp_path / "review.png"))
    page.get_by_role("button", name="Approve").click()
    page.wait_for_selector(".stamp")
    page.screenshot(path=str(tmp_path / "approved.png"))
    assert page.locator(".stamp").first.get_attribute("aria-label").startswith("Approved by kim")
    seen = other_process.show(review["id"])
    assert (seen.status, seen.decision and seen.decision["by"]) == ("decided", "kim")
    assert [o["status"] for o in other_process.thread(review["thread_id"]).outcomes] == ["done"]


def test_an_edit_shows_what_changes_first(tab: Open, paused: Ask, other_process: Workspace) -> None:
    """Without script on a page of its own; with it while it is written (test_bars)."""
    review = paused("남산스테이에 예약해 줘")
    page = tab(f"/reviews/{review['id']}", lang="ko-KR", script=False)
    page.locator("summary", has_text="수정").click()
    assert not page.locator(".bar > form button").is_visible()  # nothing else can be approved meanwhile
    page.get_by_label("guests").fill("3")
    page.get_by_label("check_out").fill("2026-12-06")
    page.get_by_role("button", name="바뀌는 점 보기").click()
    holds(page.locator("dd del"), "2026-12-05", "2")
    holds(page.locator("dd ins"), "2026-12-06", "3")
    assert other_process.show(review["id"]).status == "open"
    page.get_by_role("button", name="이대로 수정 결재").click()
    page.wait_for_selector(".stamp")
    said = other_process.show(review["id"]).decision
    assert said is not None
    assert said["edited_args"] == {**review["action"]["args"], "guests": 3, "check_out": "2026-12-06"}


@pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
def test_a_rejection_gives_its_reason(tab: Open, paused: Ask, other_process: Workspace, script: bool) -> None:
    review = paused("please book a room")
    page = tab(f"/reviews/{review['id']}", script=script)
    page.locator("summary", has_text="Reject").click()
    page.get_by_label("wrong data").check()
    page.get_by_label("Note to the model").fill("하루만 묵습니다")
    page.locator("details[open] button").click()
    page.wait_for_selector(".stamp")
    said = other_process.show(review["id"]).decision
    assert said is not None
    assert (said["type"], said["reason"]) == ("reject", "wrong data: 하루만 묵습니다")
    assert [o["status"] for o in other_process.thread(review["thread_id"]).outcomes] == ["refused"]


@pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
def test_a_question_is_answered(tab: Open, paused: Ask, other_process: Workspace, script: bool) -> None:
    review = paused("어느 호텔이 좋아?")
    page = tab(f"/reviews/{review['id']}", lang="ko-KR", script=script)
    assert page.locator(".question").inner_text() == "어느 호텔입니까?"
    page.get_by_label("답변", exact=True).fill("남산스테이")
    page.locator("details[open] button").click()
    page.wait_for_selector(".stamp")
    assert {"role": "user", "text": "남산스테이"} in other_process.conversation(review["thread_id"])


def test_a_stale_page_in_a_second_tab_is_told_who_was_first(tab: Open, paused: Ask, other_process: Workspace) -> None:
    review = paused("please book a room")
    # without script: with it the page would say by itself that somebody was first
    first, second = tab(f"/reviews/{review['id']}"), tab(f"/reviews/{review['id']}", script=False)
    second.locator("summary", has_text="Reject").click()
    second.get_by_label("Note to the model").fill("I was writing this")
    first.get_by_role("button", name="Approve").click()
    first.wait_for_selector(".stamp")
    with second.expect_response("**/decision") as answer:
        second.locator("details[open] button").click()
    assert answer.value.status == 409
    assert "Approved · kim" in second.locator(".winner").inner_text()
    assert second.locator("textarea").input_value() == "I was writing this"
    assert len(other_process.thread(review["thread_id"]).outcomes) == 1


def test_a_review_decided_in_a_terminal_is_refused_here(tab: Open, paused: Ask, other_process: Workspace) -> None:
    review = paused("please book a room")
    page = tab(f"/reviews/{review['id']}", script=False)  # with it the bar would be switched off
    other_process.decide(review["id"], "reject", by="박서준", channel="cli")
    page.get_by_role("button", name="Approve").click()
    page.wait_for_selector(".winner")
    assert "박서준" in page.locator(".winner").inner_text()
    page.get_by_role("link", name="Open the review").click()
    assert page.locator(".stamp").get_attribute("aria-label").startswith("Rejected by 박서준")


def test_everything_goes_by_keyboard(tab: Open, paused: Ask, other_process: Workspace) -> None:
    reviews = [paused("please book a room") for _ in range(2)]
    page = tab("/?kind=tool")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    page.keyboard.press("Enter")
    page.wait_for_selector(".bar")
    page.goto(page.url.split("/reviews/")[0] + f"/reviews/{reviews[0]['id']}")
    page.keyboard.press("e")
    page.keyboard.press("Escape")
    assert page.locator("details[data-panel=edit]").get_attribute("open") is None
    page.keyboard.press("e")
    page.keyboard.type("aaa")  # typed into the field, not taken as a decision
    page.keyboard.press("Escape")  # and not thrown away
    assert page.locator("details[data-panel=edit]").get_attribute("open") is not None
    assert other_process.show(reviews[0]["id"]).status == "open"
    page.goto(page.url)
    page.keyboard.press("r")
    page.keyboard.press("2")
    page.keyboard.press("Tab")
    page.keyboard.type("not today")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(".stamp")
    page.wait_for_selector("h1:focus")  # of the next item
    assert page.locator("#live").inner_text().startswith("Rejected: ")
    page.goto(page.url.split("/reviews/")[0] + f"/reviews/{reviews[1]['id']}")
    page.keyboard.press("a")
    page.wait_for_selector(".stamp")
    said = [other_process.show(r["id"]).decision for r in reviews]
    assert [d and d["type"] for d in said] == ["reject", "approve"]
    assert said[0] is not None
    assert said[0]["reason"] == "wrong data: not today"


def test_single_keys_can_be_switched_off(tab: Open, paused: Ask, other_process: Workspace) -> None:
    review = paused("please book a room")
    page = tab(f"/reviews/{review['id']}")
    page.keyboard.press("?")
    page.get_by_label("Single keys act").uncheck()
    page.get_by_role("button", name="Close").click()
    page.locator("[data-help]").click()
    page.get_by_role("button", name="Close").click()  # once more, on the same page
    page.wait_for_selector("dialog:not([open])", state="attached")
    page.keyboard.press("r")
    page.reload()
    page.keyboard.press("r")
    assert page.locator("details[open]").count() == 0
    page.get_by_role("button", name="Keys").click()
    page.get_by_label("Single keys act").check()
    page.keyboard.press("Escape")
    page.keyboard.press("r")
    assert page.locator("details[data-panel=reject][open]").count() == 1


def test_the_highest_tier_is_held_not_pressed(tab: Open, workspace: Workspace, other_process: Workspace) -> None:
    asked = workspace.ask("refund BK-2041").reviews[0]
    edited = {"type": "edit", "edited_args": {**asked["action"]["args"], "amount": 200_000}}
    review = workspace.decide(asked["id"], edited).run.reviews[0]
    page = tab(f"/reviews/{review['id']}")
    page.keyboard.press("a")
    page.keyboard.press("a")
    assert page.locator("details[data-panel=approve][open]").count() == 1
    assert other_process.show(review["id"]).progress["votes"] == []
    page.keyboard.press("Escape")
    with page.expect_navigation():  # to the next item, or to the inbox where there is none
        page.keyboard.down("a")
    page.keyboard.up("a")
    assert [vote["by"] for vote in other_process.show(review["id"]).progress["votes"]] == ["kim"]


@pytest.mark.parametrize("lang", ["ko-KR", "en-US"])
def test_a_narrow_screen_does_not_scroll_sideways(tab: Open, paused: Ask, lang: str, tmp_path: Path) -> None:
    review = paused("please book a room")
    paths = [
        "/",
        f"/reviews/{review['id']}",
        "/threads",
        f"/threads/{review['thread_id']}",
        "/documents",
        "/docs",
    ]
    page = tab("/", lang=lang, size=(320, 640))
    for i, path in enumerate(paths):
        page.goto(page.url.split("/", 3)[0] + "//" + page.url.split("/")[2] + path)
        wide, there = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        page.screenshot(path=str(tmp_path / f"narrow-{i}.png"))
        assert wide <= there, path
    page.goto("/".join(page.url.split("/")[:3]) + f"/reviews/{review['id']}")
    for panel in page.locator(".bar summary").all():
        panel.click()
        assert page.evaluate("document.documentElement.scrollWidth") <= 320


def test_a_thread_is_started_and_its_citation_opened(tab: Open, tmp_path: Path) -> None:
    page = tab("/threads", lang="ko-KR", script=False)
    page.get_by_label("새 대화 시작").fill("체크아웃은 몇 시입니까?")
    page.get_by_role("button", name="보내기").click()
    page.wait_for_selector(".answer")
    page.screenshot(path=str(tmp_path / "thread.png"))
    page.locator("a.cite").first.click()
    assert page.locator("mark").inner_text() == "체크아웃은 오전 11시입니다."


def test_the_language_is_switched_and_kept(tab: Open) -> None:
    page = tab("/documents", lang="en-US", script=False)
    page.get_by_role("link", name="한국어").click()
    holds(page.locator("h1"), "문서")
    page.locator("nav").get_by_role("link", name="대화").click()
    holds(page.locator("h1"), "대화")
    page.get_by_role("link", name="English").click()
    holds(page.locator("h1"), "Threads")
