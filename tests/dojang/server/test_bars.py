"""The bars of the console, held in a browser: what everybody can read and reach, and that nothing goes wrong by hand.

One browser and one server for all; each test has a profile of its own, or none where it needs no script.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from dojang.server.console.frame import PLACES
from dojang.workspace import Workspace
from state import Review
from tests.dojang.server.access.people import People
from tests.dojang.server.conftest import Ask, open_workspace
from tests.dojang.server.screens import holds, of_browsers, profile, running, violations
from tests.flywheel.promotions import adapters, crown, report

pytestmark = of_browsers


@pytest.fixture
def page(browser: Any, site: str) -> Iterator[Any]:
    """A page with script, in English; every complaint of the browser fails the test."""
    complaints: list[str] = []
    with profile(browser, complaints, locale="en-US", base_url=site) as opened:
        yield opened
    assert complaints == []


@pytest.fixture(scope="module")
def house(workspace: Workspace) -> dict[str, str]:
    """A page of each sort, by what it is."""

    def ask(text: str) -> Review:
        return workspace.ask(text).reviews[0]

    booking, other, question, decided = (ask(t) for t in ("book a room", "book a room", "which one?", "book a room"))
    refund = ask("refund BK-2041")
    args = {**refund["action"]["args"], "amount": 200_000}
    top: Review = workspace.decide(refund["id"], {"type": "edit", "edited_args": args}).run.reviews[0]
    workspace.claim(other["id"], by="ben")
    workspace.decide(decided["id"], {"type": "reject", "reason": "policy: <no>", "message": "no"})
    answer = workspace.ask("When is check-out?")
    assert answer.answer is not None
    cited = answer.answer["citations"][0]
    both = f"id={booking['id']}&id={other['id']}"
    at = workspace.settings.home
    first, second = adapters(at, 1, 2)
    crown(at, first)
    return {
        **{place.section: place.href for place in PLACES},
        "inbox": "/",
        "done": "/?view=done",
        "empty": "/?q=nothing-of-this-kind",
        "item": f"/reviews/{booking['id']}",
        "next": f"/reviews/{booking['id']}?said={decided['id']}",
        "top": f"/reviews/{top['id']}",
        "question": f"/reviews/{question['id']}",
        "decided": f"/reviews/{decided['id']}",
        "bulk": f"/bulk?{both}",
        "bulk, mixed": f"/bulk?{both}&id={question['id']}",
        "bulk, done": f"/bulk/done?item={decided['id']}~x&item={booking['id']}~x",
        "thread": f"/threads/{answer.thread_id}",
        "thread that waits": f"/threads/{booking['thread_id']}",
        "passage": f"/passages/{cited['passage']}?start=0&end=10",
        "history": f"/threads/{booking['thread_id']}/history",
        "document": "/documents/rules.md",
        "found": "/documents?q=check-out",
        "uploads": "/uploads",
        "adapter": f"/adapters/{first}",
        "report": f"/adapters/reports/{report(at, second, first)}",
        "plan": "/adapters/plan",
        "side by side": "/adapters/compare",
        "check of the chain": "/audit/verify",
        "checks": f"/shift/checks?from={decided['id']}",
        "nothing": "/nowhere",
    }


@pytest.mark.timeout(900)  # a minute alone; the machine may be busy
@pytest.mark.parametrize(("lang", "theme"), [("en-US", "light"), ("ko-KR", "dark")])
def test_every_page_is_for_everybody(
    browser: Any, site: str, house: dict[str, str], lang: str, theme: Literal["light", "dark"]
) -> None:
    """axe-core finds nothing, at any width nothing is cut off, the policy for content is not broken.

    Of the theme nothing but colours depends, and those not on the language: each page is looked at in both themes, in
    one of the languages each. The panels of the head are the same on each page and looked at on one.
    """
    complaints: list[str] = []
    amiss: dict[str, Any] = {}
    with profile(browser, complaints, locale=lang, color_scheme=theme, base_url=site) as page:
        for name, path in house.items():
            page.goto(path)
            found = violations(page)
            panels = page.locator(".bar summary, header summary" if name == "inbox" else ".bar summary").all()
            for panel in panels:
                panel.click()
            found += violations(page, only=["color-contrast", "label", "target-size", "button-name"]) if panels else []
            page.set_viewport_size({"width": 320, "height": 640})
            wide = page.evaluate("document.documentElement.scrollWidth")
            page.set_viewport_size({"width": 1280, "height": 820})
            amiss |= {name: [*found, *([f"{wide} px wide"] if wide > 320 else [])]} if found or wide > 320 else {}
        page.goto("/")
        page.keyboard.press("?")
        page.wait_for_selector("dialog[open]")
        found = violations(page)
        amiss |= {"keys": found} if found else {}
    assert amiss == {}
    assert complaints == []


def test_the_switch_is_for_everybody_and_goes_by_hand(page: Any, site: str, workspace: Workspace) -> None:
    page.goto("/documents")
    page.locator("header summary", has_text="Pause all").click()
    page.get_by_label("Why").fill("a rule is wrong")
    page.get_by_role("button", name="Pause all runs").click()
    page.wait_for_selector(".halted")
    assert page.url == f"{site}/documents"
    assert violations(page) == []
    page.set_viewport_size({"width": 320, "height": 640})
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    page.get_by_role("button", name="Let them go on").click()
    page.wait_for_selector(".halted", state="detached")
    assert workspace.paused is None


def test_rows_are_selected_and_decided_together_by_keys(page: Any, paused: Ask, workspace: Workspace) -> None:
    reviews = [paused(f"refund BK-{n}") for n in (4401, 4402, 4403, 4404)]
    page.goto("/?q=bk-44")
    page.keyboard.press("b")
    assert page.locator("#live").inner_text().startswith("Nothing is selected")
    page.keyboard.press("j")
    page.keyboard.press("x")
    for _ in range(2):
        page.keyboard.press("j")
    page.keyboard.press("Shift+X")
    assert page.locator(".rowbox input:checked").count() == 3
    assert page.locator("#live").inner_text() == "selected: 3"
    page.keyboard.press("b")
    page.wait_for_selector("table.differs")
    page.wait_for_selector("[data-help]")  # the script shows it: keys are heard from now on
    holds(page.locator("table.differs th code"), "booking_id")
    page.locator(".box input").first.uncheck()
    page.keyboard.press("a")  # the key alone decides nothing
    assert page.evaluate("document.activeElement.value") == "approve"
    assert [workspace.show(review["id"]).status for review in reviews] == ["open"] * 4
    page.keyboard.press("Enter")
    page.wait_for_selector("text=2 decided, 0 left out")
    said = [workspace.show(review["id"]).decision for review in reviews]
    assert sorted((d["type"], d["channel"]) for d in said if d) == [("approve", "bulk")] * 2


def test_every_key_of_the_list_of_keys_does_what_it_says(
    page: Any, site: str, paused: Ask, workspace: Workspace
) -> None:
    """Those that no other test of this file or of ``test_browser`` presses; which there are, the page itself says."""
    first, second = paused("refund BK-4701"), paused("refund BK-4702")
    question = paused("which one? BK-4703")

    def open_(path: str) -> None:
        page.goto(path)
        page.wait_for_selector("[data-help]")  # the script shows it: keys are heard from now on

    open_(f"/reviews/{first['id']}?q=bk-47")
    told = {" ".join(row.locator("kbd").all_inner_texts()) for row in page.locator("#keys dl div").all()}
    page.keyboard.press("t")
    assert page.evaluate("document.activeElement.id") == "way"
    page.keyboard.press("d")
    assert page.evaluate("document.activeElement.id") == "arguments"
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "seek"
    page.keyboard.press("Tab")
    page.keyboard.press("g")
    assert page.evaluate("document.activeElement.id") == "role"
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(f'.card[data-review="{second["id"]}"]')
    assert workspace.show(first["id"]).progress["assigned"]["role"] == page_role(workspace)
    open_(page.url)
    page.keyboard.press("s")
    page.keyboard.press("Enter")  # the first of the times is under the cursor: half an hour
    page.wait_for_selector(f'.card[data-review="{second["id"]}"]', state="detached")
    assert second["id"] in workspace.snoozes.of("kim", workspace.parts.clock.now())
    open_(f"/reviews/{question['id']}")
    page.keyboard.press("c")
    assert page.evaluate("document.activeElement.id") == "message"
    page.keyboard.press("Escape")
    page.keyboard.press("m")
    page.wait_for_url("**/?view=mine")
    here = {"T": "t", "D": "d", "/": "/", "G": "g", "S": "s", "C": "c", "M": "m", "Esc": "Escape", "Ctrl Enter": ""}
    elsewhere = {"J K", "Enter", "A", "A …", "E", "R", "1 … 6", "U", "X", "Shift X", "B"}
    assert told == {*here, *elsewhere}


def page_role(workspace: Workspace) -> str:
    """The first role that a review can be handed up to: what the box shows before anything is chosen."""
    return workspace.roles_above()[0]


def test_what_was_just_said_is_taken_back_by_its_key(browser: Any, paused: Ask, workspace: Workspace) -> None:
    patient = Workspace(workspace.settings.model_copy(update={"undo_s": 600.0}), parts=workspace.parts)
    first, _ = paused("refund BK-4801"), paused("refund BK-4802")
    complaints: list[str] = []
    with running(patient) as site, profile(browser, complaints, locale="en-US", base_url=site) as page:
        page.goto(f"/reviews/{first['id']}?q=bk-48")
        page.wait_for_selector("[data-help]")
        page.keyboard.press("a")
        page.wait_for_selector(".just [data-undo]")
        page.wait_for_selector("[data-help]")
        page.keyboard.press("u")
        page.wait_for_selector(f'.card:not(.sealed)[data-review="{first["id"]}"]')
    assert workspace.show(first["id"]).status == "open"
    assert complaints == []


@pytest.mark.parametrize("lang", ["en-US", "ko-KR"])
def test_every_view_opens_from_the_pane_and_says_where_one_is(browser: Any, site: str, house: Any, lang: str) -> None:
    complaints: list[str] = []
    with profile(browser, complaints, locale=lang, base_url=site) as page:
        page.goto("/")
        addresses = [link.get_attribute("href") for link in page.locator("nav a").all()]
        assert len(addresses) == 7 + 7 + len(PLACES)
        for address in addresses:
            page.goto(address)
            assert page.locator("nav a[aria-current]").get_attribute("href") == address
    assert complaints == []


def test_an_edit_shows_what_changes_while_it_is_written(page: Any, paused: Ask, workspace: Workspace) -> None:
    review = paused("please book a room")
    page.goto(f"/reviews/{review['id']}")
    page.keyboard.press("e")
    page.get_by_label("guests").fill("3")
    page.wait_for_selector("#changes ins")
    assert (page.locator("#changes del").inner_text(), page.locator("#changes ins").inner_text()) == ("2", "3")
    page.locator("summary", has_text="Edit").focus()
    page.keyboard.press("d")
    assert not page.locator("#changes").is_visible()
    page.keyboard.press("d")
    page.get_by_label("guests").fill("")
    page.wait_for_selector("#changes .hint")
    page.get_by_label("guests").fill("4")
    page.wait_for_selector("#changes ins >> text=4")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(".stamp")
    said = workspace.show(review["id"]).decision
    assert said is not None
    assert said["edited_args"] == {**review["action"]["args"], "guests": 4}


def test_what_was_not_shown_is_not_sent(page: Any, paused: Ask, workspace: Workspace) -> None:
    review = paused("please book a room")
    page.goto(f"/reviews/{review['id']}")
    page.keyboard.press("e")
    page.get_by_label("guests").fill("3")
    page.wait_for_selector("#changes ins")
    page.evaluate("document.querySelector('[name=\"arg.4\"]').value = '5'")  # no event: the page does not know
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("h1 >> text=This is what you change")
    holds(page.locator("dd ins"), "5")
    assert workspace.show(review["id"]).status == "open"


def test_twice_and_back_decide_once(page: Any, paused: Ask, workspace: Workspace) -> None:
    review = paused("refund BK-4500")
    page.goto(f"/reviews/{review['id']}?q=bk-4500")
    page.get_by_role("button", name="Approve").dblclick(no_wait_after=True)
    page.wait_for_selector(".stamp")
    page.go_back()
    page.wait_for_selector(".card")
    if page.locator(".bar [data-approve]").count():
        page.get_by_role("button", name="Approve").click()
        page.wait_for_selector(".stamp")
    assert len(workspace.thread(review["thread_id"]).outcomes) == 1


@pytest.fixture
def house_with_tokens(tmp_path: Path, postgres_server: str) -> Iterator[Workspace]:
    """Another one: where a token was made, nobody comes in without."""
    with open_workspace(tmp_path, postgres_server) as opened:
        yield opened


def test_a_session_that_ends_in_mid_edit_loses_no_word(browser: Any, house_with_tokens: Workspace) -> None:
    workspace, complaints = house_with_tokens, list[str]()
    review = workspace.ask("please book a room").reviews[0]
    token = People(workspace).token("hana", "manager")
    with running(workspace) as site, profile(browser, complaints, locale="en-US", base_url=site) as page:
        page.goto(f"/login?next=/reviews/{review['id']}")
        page.locator("[name=token]").fill(token)
        page.keyboard.press("Enter")
        page.wait_for_selector(".bar")
        page.wait_for_selector("[data-help]")  # the script shows it: keys are heard from now on
        page.locator("summary", has_text="Reject").click()
        page.get_by_label("Note to the model").fill("한 줄도 잃지 않는다")
        page.context.clear_cookies()
        page.keyboard.press("Control+Enter")
        page.wait_for_selector("text=You are logged in no more")
        assert page.locator("textarea").input_value() == "한 줄도 잃지 않는다"
        assert violations(page) == []
        with page.expect_popup() as popup:
            page.get_by_role("link", name="Log in").click()
        popup.value.locator("[name=token]").fill(token)
        popup.value.keyboard.press("Enter")
        popup.value.wait_for_selector("text=Logged in")
        page.get_by_role("button", name="Send it again").click()
        page.wait_for_selector(".stamp")
    said = workspace.show(review["id"]).decision
    assert said is not None
    assert (said["by"], said["message"]) == ("hana", "한 줄도 잃지 않는다")
    assert complaints == []


def test_two_who_press_at_once_act_once(browser: Any, site: str, paused: Ask, workspace: Workspace) -> None:
    review, complaints = paused("please book a room"), list[str]()
    path = f"/reviews/{review['id']}"
    with (
        profile(browser, complaints, locale="en-US", base_url=site) as one,
        profile(browser, complaints, locale="en-US", base_url=site, java_script_enabled=False) as other,
    ):
        one.goto(path)
        other.goto(path)
        one.get_by_role("button", name="Approve").click(no_wait_after=True)
        other.get_by_role("button", name="Approve").click(no_wait_after=True)
        for page in (one, other):
            page.wait_for_selector(".stamp")
        assert re.search("Approved", one.locator("main").inner_text())
    assert [o["status"] for o in workspace.thread(review["thread_id"]).outcomes] == ["done"]
    assert complaints == []


def test_an_operator_clears_a_mixed_dozen_by_keyboard(page: Any, paused: Ask, workspace: Workspace) -> None:
    from tests.dojang.server.operator import Operator

    wanted = [paused(text) for text in ("book a room", "refund BK-4601", "which one?", "cancel BK-4602") * 3]
    page.goto("/?view=unassigned")
    operator = Operator(page, {review["id"]: review for review in wanted})
    operator.clear()
    assert operator.mistakes(workspace) == []
