"""What the API says that it takes and gives is true: vocabulary, examples, answers to mistakes."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI

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


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    app = FastAPI()
    for router in api.ROUTERS:
        app.include_router(router)
    return app.openapi()


def bodies(schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Every body that is taken and every answer that is given, by where it stands."""
    found = {}
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            told = {"takes": operation.get("requestBody", {})}
            told |= {code: answer for code, answer in operation["responses"].items() if code.startswith("2")}
            for what, part in told.items():
                for kind, content in part.get("content", {}).items():
                    if content.get("schema"):
                        found[f"{method} {path} {what} {kind}"] = content["schema"]
    return found


def examples(schema: dict[str, Any], shape: dict[str, Any]) -> list[Any]:
    """The examples of a shape: its own, or of the rows that it has."""
    if "$ref" in shape:
        shape = schema["components"]["schemas"][shape["$ref"].rpartition("/")[2]]
    rows = shape.get("items") or shape.get("properties", {}).get("items", {}).get("items")
    return shape.get("examples") or (examples(schema, rows) if rows else [])


def test_every_body_and_every_answer_has_an_example_that_is_true(schema: dict[str, Any]) -> None:
    found = bodies(schema)
    assert len(found) > 40
    assert [where for where, shape in found.items() if not examples(schema, shape)] == []
    checked = 0
    for model in every(models.Model):
        extra: Any = model.model_config.get("json_schema_extra") or {}  # FastAPI leaves nulls out of what it shows
        for example in extra.get("examples", []):
            model.model_validate(example)
            checked += 1
    assert checked > 30


def every(model: type[models.Model]) -> set[type[models.Model]]:
    return {model}.union(*(every(child) for child in model.__subclasses__()))
