"""The Berkeley Function-Calling Leaderboard's schemas and calls as tools and proposals, and calls with one mistake."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

from langchain_core.tools import BaseTool, StructuredTool

from tools.toolbox import Toolbox

WITH_CALLS: Final = ("simple_python", "multiple", "parallel", "parallel_multiple", "live_simple", "live_multiple")
WITHOUT: Final = ("irrelevance", "live_irrelevance")
TYPES: Final = {"dict": "object", "float": "number", "tuple": "array"}
WRONG: Final = {
    "string": 7,
    "integer": "seven and a half",
    "number": "far",
    "boolean": "perhaps",
    "array": 3,
    "object": 3,
}
TODAY = date(2026, 11, 22)


@dataclass(frozen=True)
class Row:
    """One task: what the user said, the offered tools and the calls that are right."""

    id: str
    said: str
    functions: list[dict[str, Any]]
    calls: list[tuple[str, dict[str, Any]]]

    def toolbox(self, ran: list[str] | None = None) -> Toolbox:
        """The tools, as a foreign server would bring them: nobody has declared what they do."""
        return Toolbox([_tool(f, ran) for f in self.functions], today=lambda: TODAY)


def rows(data: Path, name: str) -> list[Row]:
    """All tasks of a file."""
    lines = (data / "bfcl" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [_row(json.loads(line)) for line in lines]


def _row(line: dict[str, Any]) -> Row:
    functions = list({f["name"]: f for f in line["function"]}.values())
    by_name = {f["name"]: f["parameters"] for f in functions}
    said = line["question"][0][-1]["content"]
    right = [
        (name, _args(accepted, by_name[name])) for call in line["ground_truth"] or [] for name, accepted in call.items()
    ]
    return Row(line["id"], said, functions, right)


def _args(accepted: dict[str, list[Any]], parameters: dict[str, Any]) -> dict[str, Any]:
    """The first accepted value of each argument; "" among the accepted says that it may be left out."""
    required = parameters.get("required", [])
    given = {}
    for name, options in accepted.items():
        values = [option for option in options if option != ""]
        if name in required or (values and options[0] != ""):
            given[name] = plain(values[0] if values else "")
    return given


def plain(value: Any) -> Any:
    """A value of the ground truth, where each inner argument is a list of accepted ones."""
    if isinstance(value, dict):
        chosen = {key: inner[0] if isinstance(inner, list) else inner for key, inner in value.items()}
        return {key: plain(inner) for key, inner in chosen.items() if inner != ""}
    return [plain(item) for item in value] if isinstance(value, list) else value


def mapped(schema: Any) -> Any:
    """The benchmark's schema as JSON Schema."""
    if isinstance(schema, list):
        return [mapped(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("type") == "any":
        return {}
    return {
        key: TYPES.get(value, value) if key == "type" and isinstance(value, str) else mapped(value)
        for key, value in schema.items()
        if key != "optional"
    }


def _tool(function: dict[str, Any], ran: list[str] | None) -> BaseTool:
    def run(**args: Any) -> str:
        if ran is not None:
            ran.append(function["name"])
        return "done"

    return StructuredTool(
        name=function["name"],
        description=function["description"] or function["name"],
        args_schema=mapped(function["parameters"]),
        func=run,
    )


def mutations(box: Toolbox, name: str, args: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(kind of mistake, name, arguments) of every call that differs from a right one by one mistake."""
    schema = next(spec["parameters"] for spec in box.offered() if spec["name"] == name)
    yield "unknown name", f"{name}_now", args
    yield "unknown argument", name, {**args, "no_such_argument": 1}
    for key in schema["required"]:
        yield "missing", name, {k: v for k, v in args.items() if k != key}
    for key in args:
        about = schema["properties"][key]
        if about.get("enum"):
            yield "not in the enum", name, {**args, key: "none of these"}
        elif about.get("type") in WRONG:
            yield "wrong type", name, {**args, key: WRONG[about["type"]]}
