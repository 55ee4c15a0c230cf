from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

import state
from dojang.server import models
from dojang.workspace import Workspace
from tests.dojang.server.conftest import Ask


def test_reviews_are_listed_shown_and_decided(client: TestClient, paused: Ask, workspace: Workspace) -> None:
    review = paused("please book a room")
    listed = client.get("/reviews", params={"kind": "tool", "limit": 1000}).json()
    [mine] = [each for each in listed if each["id"] == review["id"]]
    card = client.get(f"/reviews/{review['id']}").json()
    assert mine == {**review, "flags": card["flags"]}
    assert (card["review"], card["status"], card["decision"]) == (review, "open", None)
    url = f"/reviews/{review['id']}/decision"
    edited = {**review["action"]["args"], "guests": 3}
    answer = client.post(url, json={"type": "edit", "digest": review["digest"], "edited_args": edited})
    assert answer.status_code == 200
    body = answer.json()
    assert body["decision"]["edited_args"] == edited
    assert body["decision"]["channel"] == "http"
    assert body["run"]["outcomes"][0]["status"] == "done"
    again = client.post(url, json={"type": "edit", "digest": review["digest"], "edited_args": edited})
    assert again.json()["decision"] == body["decision"]
    lost = client.post(url, json={"type": "approve", "digest": review["digest"]})
    assert lost.status_code == 409
    assert lost.json()["winner"]["by"] == "kim"
    assert client.get(f"/reviews/{review['id']}").json()["status"] == "decided"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"type": "approve"}, 422),
        ({"type": "approve", "digest": "sha256:0"}, 409),
        ({"type": "answer", "message": "x"}, 400),
        ({"type": "edit", "edited_args": {"hotel": 5}}, 400),
        ({"type": "edit"}, 400),
        ({"type": "approve", "surprise": 1}, 422),
        ({"type": "sign"}, 422),
        ([], 422),
    ],
)
def test_a_bad_decision_is_refused(
    client: TestClient, paused: Ask, workspace: Workspace, body: Any, status: int
) -> None:
    review = paused("please book a room")
    if (isinstance(body, dict) and len(body) > 1) or body == {"type": "edit"} or body == {"type": "sign"}:
        body = {"digest": review["digest"], **body}
    answer = client.post(f"/reviews/{review['id']}/decision", json=body)
    assert answer.status_code == status
    assert answer.json()["error"]
    assert workspace.show(review["id"]).status == "open"


def test_the_list_carries_the_flags_that_a_card_has(client: TestClient, paused: Ask, workspace: Workspace) -> None:
    review = paused("please cancel BK-2035")
    workspace.claim(review["id"])
    card = client.get(f"/reviews/{review['id']}").json()
    assert {"irreversible", "claimed"} <= set(card["flags"])
    [mine] = [r for r in client.get("/reviews", params={"limit": 1000}).json() if r["id"] == review["id"]]
    assert mine["flags"] == card["flags"]
    workspace.give_back(review["id"])
    assert "claimed" not in client.get(f"/reviews/{review['id']}").json()["flags"]


def test_unknown_ids_are_404_as_json(client: TestClient) -> None:
    for answer in (client.get("/reviews/none"), client.get("/none")):
        assert answer.status_code == 404
        assert answer.json()["error"]


def test_threads_are_listed(client: TestClient, paused: Ask) -> None:
    review = paused("남산스테이 예약")
    found = [t for t in client.get("/threads").json() if t["thread_id"] == review["thread_id"]]
    assert [t["title"] for t in found] == ["남산스테이 예약"]
    assert client.get("/threads", params={"limit": 0}).status_code == 422


def test_ok_says_the_version(client: TestClient) -> None:
    assert client.get("/ok").json()["version"]


@pytest.mark.parametrize(
    ("model", "vocabulary"),
    [
        (models.ReviewModel, state.Review),
        (models.DecisionModel, state.Decision),
        (models.ActionModel, state.Action),
        (models.ReasonModel, state.Reason),
        (models.PassageRefModel, state.PassageRef),
        (models.PassageModel, state.Passage),
        (models.OutcomeModel, state.Outcome),
        (models.CitationModel, state.Citation),
        (models.DraftModel, state.Draft),
    ],
)
def test_bodies_follow_the_vocabulary(model: type[models.Model], vocabulary: Any) -> None:
    assert set(model.model_fields) == set(vocabulary.__annotations__)


def test_examples_are_valid() -> None:
    for model in (
        models.ReviewModel,
        models.ListedReviewModel,
        models.DecisionModel,
        models.DecisionIn,
        models.Problem,
    ):
        extra = model.model_config["json_schema_extra"]
        assert isinstance(extra, dict)
        examples = extra["examples"]
        assert isinstance(examples, list)
        for example in examples:
            model.model_validate(example)
