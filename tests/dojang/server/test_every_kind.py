"""Each kind of review from its pause to its end in a browser: the real graph, database and embedded model."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dojang.settings import SAMPLE
from dojang.workspace import Workspace
from nodes.gate import effect_key
from state import Review
from tests.databases import fresh_database
from tests.dojang.server.conftest import RULES_EN, RULES_KO
from tests.dojang.server.screens import Open, of_browsers
from tests.dojang.workspaces import settings_for

pytestmark = of_browsers
HELD = """
[[rule]]
id = "held.{kind}"
text = "Answers to {kind} are looked at."
text_ko = "{kind} 답변은 사람이 봅니다."
on = "answer"
when = 'requester == "{kind}"'
outcome = "ask"
kind = "{kind}"
tier = 1
"""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, postgres_server: str) -> Iterator[Workspace]:
    """The rules that ship, and some that hold back answers by who asked; every answer is asked about."""
    folder = tmp_path_factory.mktemp("kinds")
    rules = (SAMPLE / "policy.toml").read_text(encoding="utf-8")
    rules += "".join(HELD.format(kind=kind) for kind in ("approval", "compliance", "correction"))
    (folder / "policy.toml").write_text(rules, encoding="utf-8")
    (folder / "rules.md").write_text(RULES_EN, encoding="utf-8")
    (folder / "규정.md").write_text(RULES_KO, encoding="utf-8")
    with fresh_database(postgres_server) as dsn:
        given = {"policy": folder / "policy.toml", "feedback": "always", "language": None}
        with Workspace(settings_for(folder / "home", dsn, **given)) as opened:
            opened.ingest([folder / "rules.md", folder / "규정.md"])
            yield opened


def waiting(workspace: Workspace, kind: str, text: str) -> Review:
    """The review that a message of somebody called after its kind opens."""
    reviews = workspace.acting(kind, ()).ask(text).reviews
    assert [review["kind"] for review in reviews] == [kind]
    return reviews[0]


def ended(workspace: Workspace, review: Review) -> str:
    """How a review was decided, once the run has gone on with it."""
    card = workspace.show(review["id"])
    assert card.status == "decided"
    assert card.decision is not None
    return card.decision["type"]


def test_a_call_is_approved_and_runs(tab: Open, workspace: Workspace) -> None:
    text = "남산스테이 디럭스 객실을 김하나 이름으로 12월 3일부터 12월 5일까지 2명 예약해 주세요"
    review = waiting(workspace, "tool", text)
    page = tab(f"/reviews/{review['id']}?q=none", lang="ko-KR", color_scheme="dark")
    page.keyboard.press("a")
    page.wait_for_selector(".stamp")
    assert ended(workspace, review) == "approve"
    done = workspace.thread(review["thread_id"])
    assert [(o["tool"], o["status"]) for o in done.outcomes] == [("book_room", "done")]
    assert [again["kind"] for again in done.reviews] == ["feedback"]  # what was said of it is asked about


def test_a_question_is_answered_and_the_answer_is_approved_with_feedback(tab: Open, workspace: Workspace) -> None:
    review = waiting(workspace, "clarification", "When is check-out on 03/04?")
    page = tab(f"/reviews/{review['id']}?q=none")
    page.keyboard.press("c")
    page.keyboard.type("3 April")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(".card.sealed")
    assert ended(workspace, review) == "answer"
    assert {"role": "user", "text": "3 April"} in workspace.conversation(review["thread_id"])
    kinds = []
    while reviews := workspace.thread(review["thread_id"]).reviews:
        kinds.append(reviews[0]["kind"])
        page.keyboard.press("Enter")  # what this thread asks next is under the cursor
        page.wait_for_selector(f'.card:not(.sealed)[data-review="{reviews[0]["id"]}"]')
        page.wait_for_selector("[data-help]")  # keys are heard from now on
        page.keyboard.press("a")
        page.wait_for_selector(".card.sealed")
        assert ended(workspace, reviews[0]) == "approve"
    assert kinds[-1] == "feedback"  # before it, an answer that the rules hold back for weak evidence may come
    assert workspace.thread(review["thread_id"]).status == "done"


@pytest.mark.parametrize("kind", ["approval", "compliance"])
def test_words_that_are_held_back_are_released_as_they_are_or_as_edited(
    tab: Open, workspace: Workspace, kind: str
) -> None:
    review = waiting(workspace, kind, "When is check-out?")
    page = tab(f"/reviews/{review['id']}?q=none")
    if kind == "approval":
        page.keyboard.press("a")
        page.wait_for_selector(".card.sealed")
        said = "11:00"
    else:
        said = "By noon, this once."
        page.keyboard.press("e")
        page.get_by_label("text").fill(said)
        page.wait_for_selector("#changes ins")
        page.keyboard.press("Control+Enter")
        page.wait_for_selector(".card.sealed")
    assert ended(workspace, review) == ("approve" if kind == "approval" else "edit")
    answer = workspace.thread(review["thread_id"]).answer
    assert answer is not None
    assert said in answer["text"]


def test_weak_evidence_is_corrected_and_the_model_speaks_again(tab: Open, workspace: Workspace) -> None:
    review = waiting(workspace, "correction", "When is check-out?")
    page = tab(f"/reviews/{review['id']}?q=none", script=False)
    page.locator("summary", has_text="Answer").click()
    page.get_by_label("Your answer").fill("Check-out is at 12:00 from now on.")
    page.locator("details[open] button").click()
    page.wait_for_selector(".card.sealed")
    assert ended(workspace, review) == "answer"
    [again] = workspace.thread(review["thread_id"]).reviews  # the rule holds for what it says now, too
    page.locator("a.next").click()
    page.get_by_role("button", name="Approve").click()
    page.wait_for_selector(".card.sealed")
    assert ended(workspace, again) == "approve"
    assert workspace.thread(review["thread_id"]).answer is not None


def test_an_effect_in_doubt_is_settled_by_a_person(tab: Open, workspace: Workspace) -> None:
    review = waiting(workspace, "tool", "Please send a message to Emma Lee: Your room is ready.")
    values = workspace.look(review["thread_id"]).values
    [proposal] = values["proposals"].values()
    key = effect_key(review["thread_id"], proposal, proposal["args"], values["turn"])
    workspace.parts.ledger.begin(review["thread_id"], key, review["action"], "at_most_once")  # and then it was killed
    page = tab(f"/reviews/{review['id']}?q=none")
    page.keyboard.press("a")
    page.wait_for_selector(".card.sealed")
    [doubt] = workspace.thread(review["thread_id"]).reviews
    assert doubt["kind"] == "in_doubt"
    page.keyboard.press("Enter")
    page.wait_for_selector(f'.card:not(.sealed)[data-review="{doubt["id"]}"]')
    page.locator("summary", has_text="It did not happen").click()
    page.get_by_label("Note to the model").fill("The outbox has nothing of it.")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(".card.sealed")
    assert ended(workspace, doubt) == "reject"
    assert [o["status"] for o in workspace.thread(review["thread_id"]).outcomes] == ["failed"]
    sent = [path.read_text(encoding="utf-8") for path in (workspace.settings.home / "outbox").glob("*.json")]
    assert not [one for one in sent if "Your room is ready" in one]
