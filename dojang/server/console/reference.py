"""The page /docs: what the JSON API takes and gives, drawn from the OpenAPI schema on this machine, without a CDN."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from dojang.server.clean import pretty_json
from dojang.server.console.desk import AtDesk

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


@dataclass(frozen=True)
class Operation:
    """One method of one path."""

    method: str
    path: str
    about: str
    parameters: list[tuple[str, str, str]]  # name, where, type
    takes: list[str]  # example bodies
    gives: list[tuple[str, str, str]]  # status, description, name of the body's schema


def operations_of(schema: dict[str, Any]) -> list[Operation]:
    """Every operation of an OpenAPI schema, in its order."""
    return [
        _operation(schema, method, path, body)
        for path, methods in schema["paths"].items()
        for method, body in methods.items()
    ]


def _operation(schema: dict[str, Any], method: str, path: str, body: dict[str, Any]) -> Operation:
    content = _json_body(body.get("requestBody", {}))
    return Operation(
        method=method.upper(),
        path=path,
        about=body.get("description", ""),
        parameters=[(p["name"], p["in"], _type(p.get("schema", {}))) for p in body.get("parameters", [])],
        takes=[pretty_json(example) for example in _named(schema, content).get("examples", [])],
        gives=[(code, a.get("description", ""), _type(_json_body(a))) for code, a in body.get("responses", {}).items()],
    )


def _json_body(part: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = part.get("content", {}).get("application/json", {}).get("schema", {})
    return found


def _named(schema: dict[str, Any], reference: dict[str, Any]) -> dict[str, Any]:
    name = reference.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = schema.get("components", {}).get("schemas", {}).get(name, {})
    return found


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if "anyOf" in schema:
        return " or ".join(_type(s) for s in schema["anyOf"])
    return str(schema.get("type", ""))


@router.get("/docs")
def docs(desk: AtDesk) -> HTMLResponse:
    """The reference page."""
    schema = desk.request.app.openapi()
    models = [(name, pretty_json(body)) for name, body in schema["components"]["schemas"].items()]
    return desk.page("reference/docs.html", operations=operations_of(schema), models=models, section="docs")
