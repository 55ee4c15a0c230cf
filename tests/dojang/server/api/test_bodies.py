"""What the API says that it takes and gives is true: vocabulary, examples, answers to mistakes."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.routing import APIRoute, iter_route_contexts

import state
from dojang.server import api, models


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


def operations() -> list[APIRoute]:
    return [r for c in iter_route_contexts(api.router.routes) if isinstance(r := getattr(c, "route", c), APIRoute)]
