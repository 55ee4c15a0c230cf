"""Rows in the form of other training tools. Pure: lines and the few settings that say how to read them.

Each prompt begins with the system text that an endpoint is sent (rules, the date of then, the passages), because these
tools train models that are then served at one. The formats are those of TRL (prompt and completion, conversational),
LLaMA-Factory (sharegpt, with roles for calls and their results; ``kto_tag``), Axolotl (``chat_template``; its
preference formats know text only, so a call stands there as JSON) and OpenAI's fine-tuning files (which know no KTO).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from adapters.dataset.points import Message
from adapters.prompt import call_text
from adapters.speakers.endpoint import offered_tools, system_prompt
from state import JSON, UserError

Line = dict[str, JSON]
_MARK: Final = re.compile(r"\s?\[(\d{1,2})\]")


def export(tool: str, method: str, rows: Sequence[Mapping[str, Any]]) -> list[Line]:
    """The rows of a method as one of ``TOOLS`` reads them.

    Raises:
        UserError: the tool has no form for the method.
    """
    make = _MAKERS[tool].get(method)
    if make is None:
        raise UserError(f"{tool} has no form for {method}; export {', '.join(sorted(_MAKERS[tool]))}")
    return [make(row) for row in rows]


def methods_of(tool: str) -> list[str]:
    """The methods for which a tool has a form."""
    return list(_MAKERS[tool])


def settings_of(tool: str, methods: Sequence[str]) -> tuple[str, str]:
    """(file name, content) of what tells the tool how to read the files; ("", "") where it needs nothing."""
    if tool == "llama-factory":
        return "dataset_info.json", json.dumps({f"dojang_{m}": _info(m) for m in methods}, indent=2) + "\n"
    return ("axolotl.yaml", "\n".join(_AXOLOTL[m] for m in methods)) if tool == "axolotl" else ("", "")


# ------------------------------------------------------------------------------------------------------ what all share


def system_of(row: Mapping[str, Any]) -> str:
    """The system text that an endpoint is sent before these messages."""
    return system_prompt(row["passages"], row["language"], row["today"])


def tools_of(row: Mapping[str, Any]) -> list[JSON]:
    """The tools as an endpoint is offered them, ``ask_user`` after them."""
    bare: Any = [tool["function"] for tool in row["tools"]]
    return list(offered_tools(bare)) if bare else []


def reply(row: Mapping[str, Any], message: Message) -> Message:
    """What the assistant is to say: a call, or text whose numbers are those of the passages in the system text."""
    if message.get("tool_calls"):
        return {"role": "assistant", "content": "", "tool_calls": message["tool_calls"]}
    places = {passage["id"]: n for n, passage in enumerate(row["passages"], 1)}
    sources = [places.get(source) for source in message.get("sources") or []]

    def numbered(mark: re.Match[str]) -> str:
        which = int(mark[1]) - 1
        n = sources[which] if which < len(sources) else None
        return f" [{n}]" if n else ""

    return {"role": "assistant", "content": _MARK.sub(numbered, str(message["content"])).strip()}


def _prompt(row: Mapping[str, Any]) -> list[Message]:
    return [{"role": "system", "content": system_of(row)}, *row["prompt"]]


def _texts(messages: Sequence[Message]) -> list[Message]:
    """Calls with their arguments as JSON text, as OpenAI writes them."""
    return [
        {**m, "tool_calls": [_texted(call) for call in m["tool_calls"]]} if m.get("tool_calls") else m for m in messages
    ]


def _texted(call: Mapping[str, Any]) -> JSON:
    function = call["function"]
    args = json.dumps(function["arguments"], ensure_ascii=False)
    return {**call, "function": {**function, "arguments": args}}


def _said(row: Mapping[str, Any], message: Message) -> str:
    """A reply as plain text."""
    said = reply(row, message)
    if said.get("tool_calls"):
        function = said["tool_calls"][0]["function"]
        return call_text(function["name"], function["arguments"])
    return str(said["content"])


# --------------------------------------------------------------------------------------------------------------- TRL


def _trl(row: Mapping[str, Any]) -> Line:
    """Tools are JSON text, which trl reads, too: a column of a table would mix their keys."""
    return {"prompt": _prompt(row), "tools": json.dumps(tools_of(row), ensure_ascii=False)}


def _trl_sft(row: Mapping[str, Any]) -> Line:
    return {**_trl(row), "completion": [reply(row, row["completion"])]}


def _trl_dpo(row: Mapping[str, Any]) -> Line:
    return {**_trl(row), "chosen": [reply(row, row["chosen"])], "rejected": [reply(row, row["rejected"])]}


def _trl_kto(row: Mapping[str, Any]) -> Line:
    return {**_trl_sft(row), "label": row["label"]}


# -------------------------------------------------------------------------------------------------------------- OpenAI


def _openai_sft(row: Mapping[str, Any]) -> Line:
    messages = _texts([*_prompt(row), reply(row, row["completion"])])
    return {"messages": messages, **_openai_tools(row)}


def _openai_dpo(row: Mapping[str, Any]) -> Line:
    return {
        "input": {"messages": _texts(_prompt(row)), **_openai_tools(row)},
        "preferred_output": _texts([reply(row, row["chosen"])]),
        "non_preferred_output": _texts([reply(row, row["rejected"])]),
    }


def _openai_tools(row: Mapping[str, Any]) -> Line:
    tools = tools_of(row)
    return {"tools": tools, "parallel_tool_calls": False} if tools else {}


# ------------------------------------------------------------------------------------------------------- LLaMA-Factory


def _sharegpt(messages: Sequence[Message]) -> list[JSON]:
    """Turns of the person's side (human, observation) and the model's (gpt, function_call) in strict alternation."""
    found: list[dict[str, Any]] = []
    for message in messages:
        turn = _turn(message)
        ours = turn["from"] in ("gpt", "function_call")
        if found and (found[-1]["from"] in ("gpt", "function_call")) == ours:
            found[-1] = _together(found[-1], turn)
        elif not found and ours:
            continue  # the model never speaks first
        else:
            found.append(turn)
    return list(found)


def _turn(message: Message) -> dict[str, Any]:
    if calls := message.get("tool_calls"):
        made = [{"name": c["function"]["name"], "arguments": c["function"]["arguments"]} for c in calls]
        return {"from": "function_call", "value": json.dumps(made[0] if len(made) == 1 else made, ensure_ascii=False)}
    who = {"user": "human", "tool": "observation", "assistant": "gpt"}[str(message["role"])]
    return {"from": who, "value": str(message["content"])}


def _together(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Two neighbours of one side: results and words one below the other, two calls as a list; calls before words."""
    kinds = {first["from"], second["from"]}
    if kinds == {"gpt", "function_call"}:  # the role holds nothing but JSON
        return dict(first if first["from"] == "function_call" else second)
    if kinds == {"function_call"}:
        made = [json.loads(turn["value"]) for turn in (first, second)]
        whole = [call for one in made for call in (one if isinstance(one, list) else [one])]
        return {"from": "function_call", "value": json.dumps(whole, ensure_ascii=False)}
    return {"from": second["from"], "value": f"{first['value']}\n{second['value']}"}


def _factory(row: Mapping[str, Any]) -> Line:
    tools = [tool["function"] for tool in tools_of(row)]
    return {"system": system_of(row), "tools": json.dumps(tools, ensure_ascii=False) if tools else ""}


def _factory_sft(row: Mapping[str, Any]) -> Line:
    return {"conversations": _sharegpt([*row["prompt"], reply(row, row["completion"])]), **_factory(row)}


def _factory_dpo(row: Mapping[str, Any]) -> Line:
    sides: Line = {side: _turn(reply(row, row[side])) for side in ("chosen", "rejected")}
    return {"conversations": _sharegpt(row["prompt"]), **sides, **_factory(row)}


def _factory_kto(row: Mapping[str, Any]) -> Line:
    return {**_factory_sft(row), "kto_tag": row["label"]}


def _info(method: str) -> dict[str, Any]:
    columns = {"messages": "conversations", "system": "system", "tools": "tools"}
    columns |= {"dpo": {"chosen": "chosen", "rejected": "rejected"}, "kto": {"kto_tag": "kto_tag"}}.get(method, {})
    told: dict[str, Any] = {"file_name": f"{method}.jsonl", "formatting": "sharegpt", "columns": columns}
    return {**told, "ranking": True} if method == "dpo" else told


# ------------------------------------------------------------------------------------------------------------- Axolotl


def _axolotl_sft(row: Mapping[str, Any]) -> Line:
    messages = [{**m, "train": False} for m in _texts(_prompt(row))]
    last = {**_texts([reply(row, row["completion"])])[0], "train": True}
    return {"messages": [*messages, last], "tools": tools_of(row)}


def _axolotl_dpo(row: Mapping[str, Any]) -> Line:
    sides: Line = {s: {"role": "assistant", "content": _said(row, row[s])} for s in ("chosen", "rejected")}
    return {"messages": [_plain(m) for m in _prompt(row)], **sides}


def _axolotl_kto(row: Mapping[str, Any]) -> Line:
    said = "\n\n".join(f"{m['role']}: {m['content']}" for m in map(_plain, row["prompt"]))
    return {
        "system": system_of(row), "prompt": said, "completion": _said(row, row["completion"]), "label": row["label"],
    }  # fmt: skip


def _plain(message: Message) -> Message:
    """A message of which all is in its text; a tool's result is the user's, because the format knows no other role."""
    calls = [call_text(c["function"]["name"], c["function"]["arguments"]) for c in message.get("tool_calls") or []]
    role = {"tool": "user"}.get(str(message["role"]), message["role"])
    words = [str(message["content"])] if str(message["content"]).strip() else []
    return {"role": role, "content": "\n".join([*words, *calls])}


_AXOLOTL: Final = {
    "sft": """# sft
datasets:
  - path: sft.jsonl
    ds_type: json
    type: chat_template
    field_messages: messages
    field_tools: tools
    message_field_training: train
    roles_to_train: []
""",
    "dpo": """# dpo
rl: dpo
datasets:
  - path: dpo.jsonl
    ds_type: json
    type: chat_template.default
    field_messages: messages
    field_chosen: chosen
    field_rejected: rejected
""",
    "kto": """# kto
rl: kto
remove_unused_columns: false
datasets:
  - path: kto.jsonl
    ds_type: json
    type:
      field_prompt: prompt
      field_system: system
      field_completion: completion
      field_label: label
      prompt_format: "{system}\\n\\n{prompt}"
      completion_format: "{completion}"
""",
}

_MAKERS: Final[dict[str, dict[str, Callable[[Mapping[str, Any]], Line]]]] = {
    "trl": {"sft": _trl_sft, "dpo": _trl_dpo, "kto": _trl_kto},
    "llama-factory": {"sft": _factory_sft, "dpo": _factory_dpo, "kto": _factory_kto},
    "axolotl": {"sft": _axolotl_sft, "dpo": _axolotl_dpo, "kto": _axolotl_kto},
    "openai": {"sft": _openai_sft, "dpo": _openai_dpo},
}
TOOLS: Final = tuple(_MAKERS)

__all__ = ["TOOLS", "Line", "export", "methods_of", "reply", "settings_of", "system_of", "tools_of"]
