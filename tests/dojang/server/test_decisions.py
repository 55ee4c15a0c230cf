from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from dojang.workspace import Workspace
from state import PassingFault
from tests.dojang.server.conftest import Ask, decision, edit_fields, settled


def decide(client: TestClient, review_id: str, form: dict[str, str]) -> tuple[int, str]:
    answer = client.post(f"/reviews/{review_id}/decision", data=form)
    return answer.status_code, answer.headers.get("location", "") or answer.text


def test_approve_runs_the_tool_once(client: TestClient, paused: Ask, workspace: Workspace) -> None:
    review = paused("please book a room")
    url = f"/reviews/{review['id']}"
    assert decide(client, review["id"], decision(review, "approve", shown="0")) == (303, url)
    assert 'aria-label="Approved by kim' in client.get(url).text
    assert [o["status"] for o in workspace.thread(review["thread_id"]).outcomes] == ["done"]
    told = client.get(f"/threads/{review['thread_id']}").text
    assert '<li value="1">Result of the tool <q>Booking' in told
    assert "/passages/" not in told  # a tool's result is no passage that could be opened
    said = workspace.show(review["id"]).decision
    assert said is not None
    assert (said["channel"], said["by"], said["type"]) == ("console", "kim", "approve")


def test_the_same_approval_twice_is_no_conflict_and_runs_once(
    client: TestClient, paused: Ask, workspace: Workspace
) -> None:
    review = paused("please book a room")
    assert [decide(client, review["id"], decision(review, "approve"))[0] for _ in range(3)] == [303, 303, 303]
    assert len(workspace.thread(review["thread_id"]).outcomes) == 1


def test_an_edit_is_shown_before_it_is_sent(client: TestClient, paused: Ask, workspace: Workspace) -> None:
    review = paused("please book a room")
    form = decision(review, "edit", **edit_fields(review, guests="3", check_in="2026-12-04"))
    status, page = decide(client, review["id"], form)
    assert status == 200
    assert "<del>2</del> <ins>3</ins>" in page
    assert "<del>2026-12-03</del> <ins>2026-12-04</ins>" in page
    assert "<del>Namsan" not in page
    assert workspace.show(review["id"]).status == "open"
    assert decide(client, review["id"], {**form, "confirmed": "yes"})[0] == 303
    said = workspace.show(review["id"]).decision
    assert said is not None
    assert said["edited_args"] == {**review["action"]["args"], "guests": 3, "check_in": "2026-12-04"}
    assert isinstance(said["edited_args"]["guests"], int)
    assert "<del>2</del> <ins>3</ins>" in client.get(f"/reviews/{review['id']}").text


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"guests": "two"}, "guests must be a whole number"),
        ({"guests": "2.5"}, "guests must be a whole number"),
        ({"guests": "0"}, "guests"),
        ({"check_in": "tomorrow"}, "check_in must be a date"),
        ({"room_type": '"igloo"'}, "room_type must be one of the choices"),
        ({"hotel": "  "}, "hotel must not be empty"),
        ({}, "nothing was changed"),
    ],
)
def test_a_bad_edit_is_told_and_keeps_what_was_typed(
    client: TestClient, paused: Ask, workspace: Workspace, changed: dict[str, str], complaint: str
) -> None:
    review = paused("please book a room")
    fields = edit_fields(review, **changed)
    status, page = decide(client, review["id"], decision(review, "edit", **fields))
    assert status == 400
    assert complaint in page
    assert 'role="alert"' in page
    if "guests" in changed:
        assert f'value="{changed["guests"]}"' in page
    assert workspace.show(review["id"]).status == "open"


def test_an_edit_without_its_controls_is_refused(client: TestClient, paused: Ask) -> None:
    review = paused("please book a room")
    status, page = decide(client, review["id"], decision(review, "edit", confirmed="yes"))
    assert (status, "did not arrive" in page) == (400, True)


def test_reject_keeps_reason_and_note(client: TestClient, paused: Ask, workspace: Workspace) -> None:
    review = paused("please book a room")
    form = decision(review, "reject", chip="wrong data", note="날짜가 다릅니다.\r\n다시 물어보십시오.")
    assert decide(client, review["id"], form)[0] == 303
    said = workspace.show(review["id"]).decision
    assert said is not None
    assert said["reason"] == "wrong data: 날짜가 다릅니다.\n다시 물어보십시오."
    assert [o["status"] for o in workspace.thread(review["thread_id"]).outcomes] == ["refused"]
    page = client.get(f"/reviews/{review['id']}?lang=ko").text
    assert 'aria-label="kim 반려' in page


def test_a_reason_of_somebodys_own_is_refused(client: TestClient, paused: Ask) -> None:
    review = paused("please book a room")
    assert decide(client, review["id"], decision(review, "reject", chip="<b>"))[0] == 400


def test_an_answer_goes_to_the_model(client: TestClient, paused: Ask, workspace: Workspace) -> None:
    review = paused("which one?")
    assert decide(client, review["id"], decision(review, "answer", message="  "))[0] == 400
    assert decide(client, review["id"], decision(review, "answer", message="남산스테이"))[0] == 303
    assert {"role": "user", "text": "남산스테이"} in workspace.conversation(review["thread_id"])
    assert 'aria-label="Answered by kim' in client.get(f"/reviews/{review['id']}").text


@pytest.mark.parametrize("kind", ["answer", "promote", ""])
def test_a_type_that_is_not_allowed_is_refused(
    client: TestClient, paused: Ask, workspace: Workspace, kind: str
) -> None:
    review = paused("please book a room")
    assert decide(client, review["id"], decision(review, kind, message="x"))[0] == 400
    assert workspace.show(review["id"]).status == "open"


@pytest.mark.parametrize("digest", [None, "", "sha256:0000"])
def test_a_stale_page_is_refused_and_keeps_the_typed_text(
    client: TestClient, paused: Ask, workspace: Workspace, digest: str | None
) -> None:
    review = paused("please book a room")
    form = {"type": "reject", "note": "내가 쓴 글"} | ({} if digest is None else {"digest": digest})
    status, page = decide(client, review["id"], form)
    assert status == 409
    assert "내가 쓴 글" in page
    assert "not the one that you looked at" in page
    assert workspace.show(review["id"]).status == "open"


def test_a_decided_review_names_who_was_first(client: TestClient, paused: Ask, workspace: Workspace) -> None:
    review = paused("please book a room")
    workspace.decide(review["id"], "approve", by="박서준")
    status, page = decide(client, review["id"], decision(review, "reject", note="too expensive"))
    assert status == 409
    assert "박서준" in page
    assert "Approved" in page
    assert "too expensive" in page
    said = workspace.show(review["id"]).decision
    assert said is not None
    assert said["by"] == "박서준"
    for form in (
        decision(review, "approve"),
        decision(review, "edit", **edit_fields(review, guests="4")),
        decision(review, "edit", **edit_fields(review, guests="many")),
    ):
        status, page = decide(client, review["id"], form)
        assert (status, "박서준" in page) == (409, True)


def test_the_highest_tier_wants_a_tick(client: TestClient, workspace: Workspace, paused: Ask) -> None:
    from tests.graph.parts import calls

    generator = workspace.parts.generator
    original = generator._wanted  # type: ignore[attr-defined]
    generator._wanted = lambda text: calls(("issue_refund", {"booking_id": "BK-1", "amount": 500_000}))  # type: ignore[attr-defined]
    try:
        review = paused("a large one")
    finally:
        generator._wanted = original  # type: ignore[attr-defined]
    assert review["tier"] == 3
    page = client.get(f"/reviews/{review['id']}").text
    assert 'data-approve="key"' not in page
    status, page = decide(client, review["id"], decision(review, "approve"))
    assert (status, "tick the box" in page) == (400, True)
    assert workspace.show(review["id"]).status == "open"
    assert decide(client, review["id"], decision(review, "approve", confirm="yes"))[0] == 303


def test_dwell_is_kept_when_it_can_be_told(client: TestClient, paused: Ask, workspace: Workspace) -> None:
    for shown, known in (("", False), ("abc", False), ("99999999999999", False), (None, True)):
        review = paused("please book a room")
        page = client.get(f"/reviews/{review['id']}").text
        stamp = page.split('name="shown" value="')[1].split('"')[0]
        decide(client, review["id"], decision(review, "approve", shown=stamp if shown is None else shown))
        said = workspace.show(review["id"]).decision
        assert said is not None
        assert (said["dwell_ms"] is not None) is known


def test_a_fault_after_the_record_is_told_and_can_be_gone_on_from(
    client: TestClient, paused: Ask, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    review = paused("please book a room")

    def fails(*_: object, **__: object) -> None:
        raise PassingFault("the model does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(workspace.parts.generator, "reply", fails)
        status, page = decide(client, review["id"], decision(review, "approve"))
    assert status == 503
    assert "the model does not answer" in page
    assert 'aria-label="Approved by kim' in page
    thread = f"/threads/{review['thread_id']}"
    assert f'action="{thread}/resume"' in client.get(thread).text
    assert client.post(f"{thread}/resume", data={}).status_code == 303
    settled(client, thread)
    assert workspace.thread(review["thread_id"]).status == "done"
    assert len(workspace.thread(review["thread_id"]).outcomes) == 1


def test_an_unknown_review_is_404(client: TestClient) -> None:
    assert client.get("/reviews/rv_none").status_code == 404
    assert client.post("/reviews/rv_none/decision", data={"type": "approve", "digest": "x"}).status_code == 404
