"""What a caller offers a chat model and how it chooses among it, in every form that LangChain and OpenAI know."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.utils.function_calling import convert_to_openai_tool

from state import ToolSpec, UserError


def call_id() -> str:
    """A fresh id for a tool call."""
    return f"call_{uuid.uuid4().hex}"


def tool_spec(tool: Any) -> ToolSpec:
    """Any of the forms that LangChain takes for a tool, as a ToolSpec that is only good for prompting.

    Raises:
        UserError: A tool that runs where its model is served, like a web search.
    """
    if isinstance(tool, dict) and "parameters" in tool and "name" in tool:
        function = tool
    else:
        made = convert_to_openai_tool(tool)
        if "function" not in made:
            raise UserError(
                f"a tool of type {made.get('type')!r} cannot be offered to this model; offer functions: LangChain "
                'tools, pydantic classes, Python functions or dicts of type "function"'
            )
        function = made["function"]
    return ToolSpec(
        name=function["name"],
        description=function.get("description") or "",
        parameters=function.get("parameters") or {"type": "object", "properties": {}},
        schema_version="",
        effect_class="irreversible",
        recovery="at_most_once",
        reversible=False,
    )


def choice_of(choice: str | bool | dict[str, Any] | None, names: Sequence[str]) -> str:
    """What is chosen: "auto", "none", "any" or the name of one tool.

    Args:
        choice: "auto", "none", "any", "required", a bool, None, a tool's name, OpenAI's ``{"type": "function",
            "function": {"name": …}}`` or Anthropic's ``{"type": "any"}``, ``{"type": "tool", "name": …}``.
        names: What is offered.

    Raises:
        UserError: A name that is not offered, or a form that says nothing.
    """
    if isinstance(choice, dict):
        if choice.get("type") == "allowed_tools":
            raise UserError(
                "tool_choice 'allowed_tools' is not taken here; offer only the tools that may be called, with "
                "tool_choice 'auto' or 'any'"
            )
        named = choice.get("function", choice)
        choice = str((named.get("name") if isinstance(named, dict) else "") or choice.get("type") or "")
    if choice in (None, False, "auto"):
        return "auto"
    if choice in (True, "any", "required"):
        return "any"
    if choice == "none":
        return "none"
    if choice not in names:
        raise UserError(f"tool_choice {choice!r} is not among the tools ({', '.join(names) or 'none'})")
    return str(choice)


def sources_of(evidence: Any) -> dict[str, str]:
    """Retrieved texts by id: a mapping, strings (numbered from 1), passages, or LangChain documents."""
    if isinstance(evidence, Mapping):
        return {str(key): str(text) for key, text in evidence.items()}
    found: dict[str, str] = {}
    for n, item in enumerate(evidence or (), 1):
        if isinstance(item, str):
            found[str(n)] = item
        elif isinstance(item, Mapping) and "text" in item:
            found[str(item.get("id", n))] = str(item["text"])
        elif hasattr(item, "page_content"):
            found[str(item.id or item.metadata.get("id") or n)] = str(item.page_content)
        else:
            raise UserError(f"evidence holds a {type(item).__name__}; give texts, passages or documents")
    return found
