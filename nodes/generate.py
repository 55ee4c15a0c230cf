"""Generate: one turn of the model. Its output is a proposal, a draft or a question; nothing is released or run here."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolCall
from langgraph.runtime import Runtime

from nodes.gate import text_action, unfit
from nodes.judging import open_here
from nodes.ports import Checked, Deps, thread_of
from nodes.spending import spent_with
from nodes.wording import say
from state import (
    AgentState,
    BrokenInvariant,
    Draft,
    Generation,
    Passage,
    Prompt,
    Proposal,
    Said,
    ToolSpec,
    files_of,
)


def generate(state: AgentState, runtime: Runtime[Deps]) -> dict[str, Any]:
    """Ask the generator for the next turn.

    A tool call becomes a Proposal with checked arguments; where a required one is missing, a clarification is asked
    for instead. Text becomes ``draft`` and stays out of ``messages`` until ``answer`` releases it.
    After ``max_rounds`` turns no more tools are offered, so that a loop of refused calls ends in words. What of the
    conversation did not fit into the model's context is said in the question, the draft or beside the call.
    """
    deps = runtime.context
    rounds = state.get("rounds", 0) + 1
    passages = deps.retriever.fetch([p["id"] for p in state.get("passages") or []])
    tools = deps.toolbox.offered() if rounds < deps.max_rounds else []
    messages, attached = _with_files(state, runtime)
    passages = [*attached, *passages]
    reply = deps.generator.reply(messages, passages=passages, tools=tools, language=state["language"])
    if any(files_of(m) for m in state["messages"]):
        reply.pop("prompt", None)  # nobody could make it again from the messages alone, and so it teaches nothing
    message = reply["message"]
    if not isinstance(message, AIMessage):
        raise BrokenInvariant(
            f"the generator {reply['speaker']} answered with a {type(message).__name__}, not an AIMessage"
        )
    _note(state, runtime, rounds, passages, tools, reply, message)
    counted: dict[str, Any] = {
        "rounds": rounds,
        "spent": spent_with(state.get("spent") or [], reply["speaker"], message),
        **({} if "adapter" in state else {"adapter": deps.adapter}),  # a thread of an older version: from here on
    }
    note = _left_out(state, message)
    if reply["clarification"]:
        question = f"{reply['clarification']} {note}".strip()
        return {**counted, **_ask(state, runtime, question, _missing(state, reply["about"]))}
    if message.tool_calls:
        told = message.model_copy(update={"content": f"{message.text} {note}".strip()}) if note else message
        return {**counted, **_propose(state, runtime, told)}
    draft = _draft(state, reply, message)
    return {**counted, "draft": Draft(**{**draft, "text": f"{draft['text']}\n{note}".strip()})}


def _with_files(state: AgentState, runtime: Runtime[Deps]) -> tuple[list[AnyMessage], list[Passage]]:
    """The messages with the files that came with them; looked for only where there are some."""
    if not any(files_of(message) for message in state["messages"]):
        return state["messages"], []
    deps = runtime.context
    return deps.attachments.shown(thread_of(runtime), state["messages"], state["question"], state["language"])


def _note(
    state: AgentState,
    runtime: Runtime[Deps],
    rounds: int,
    passages: list[Passage],
    tools: list[ToolSpec],
    reply: Generation,
    message: AIMessage,
) -> None:
    """Keep what the model had before it, beside what it said; nothing where nobody can show what it had."""
    rendered = reply.get("prompt")
    if rendered is None:
        return
    said = Said(
        calls=[{"id": call["id"], "name": call["name"], "args": call["args"]} for call in message.tool_calls],
        text=message.text,
        citations=reply["citations"],
        clarification=reply["clarification"],
        about=reply["about"],
        abstained=reply["abstained"],
    )
    prompt = Prompt(
        turn=state.get("turn", ""),
        round=rounds,
        at=runtime.context.clock.now().isoformat(),
        language=state["language"],
        messages=[m.id or "" for m in state["messages"]],
        tools=tools,
        passages=passages,
        rendered=rendered,
        speaker=reply["speaker"],
        said=said,
    )
    runtime.context.prompts.note(thread_of(runtime), prompt)


def _left_out(state: AgentState, message: AIMessage) -> str:
    """In words what the model did not read, or did not say to the end; "" where nothing is missing."""
    told = message.response_metadata.get("left_out") or {}
    return " ".join(
        say(f"left_out_{what}", state["language"], **{what: str(told[what])})
        for what in ("messages", "evidence", "length", "content_filter")
        if told.get(what)
    )


def _draft(state: AgentState, reply: Generation, message: AIMessage) -> Draft:
    text = message.text.strip().encode(errors="replace").decode()  # half a character is none
    if reply["abstained"] or not text:
        text = say("no_answer", state["language"])
        return Draft(text=text, citations=[], abstained=True, speaker=reply["speaker"])
    return Draft(text=text, citations=reply["citations"], abstained=False, speaker=reply["speaker"])


def _propose(state: AgentState, runtime: Runtime[Deps], message: AIMessage) -> dict[str, Any]:
    toolbox = runtime.context.toolbox
    proposals: dict[str, Proposal] = {}
    kept: list[ToolCall] = []
    for call in message.tool_calls:
        why = unfit(call["args"])  # nothing that could be shown to a person, digested, or kept as it is
        checked = toolbox.check(call["name"], call["args"]) if not why else _unfit(why)
        if asked := _needed_of_the_person(state, call["name"], checked):
            return _ask(state, runtime, *asked)
        call_id = call["id"] or ""
        if not call_id or call_id in (state.get("proposals") or {}) or call_id in proposals:
            raise BrokenInvariant(
                f"the generator gave call id {call_id!r} to two tool calls of one turn, or none at all"
            )
        proposals[call_id] = Proposal(id=call_id, tool=call["name"], args=checked["args"], problems=checked["problems"])
        kept.append(call if not why else {**call, "args": {}})
    if kept != message.tool_calls:
        message = message.model_copy(update={"tool_calls": kept})
    return {"messages": [message], "proposals": proposals, "draft": None}


def _unfit(why: str) -> Checked:
    return Checked(args={}, missing=[], problems=[why], unclear=[])


def _needed_of_the_person(state: AgentState, tool: str, checked: Checked) -> tuple[str, str] | None:
    """(question, summary) where only the person can go on: words with two readings, or a value nobody gave."""
    language = state["language"]
    if checked["unclear"] and len(checked["unclear"]) == len(checked["problems"]):
        name = checked["unclear"][0]
        value = str(checked["args"].get(name, ""))
        summary = say("unclear_argument", language, tool=tool, name=name, value=value)
        return say("ask_unclear", language, name=name, value=value), summary
    if checked["missing"] and not checked["problems"]:
        question = say("ask_missing", language, missing=", ".join(checked["missing"]))
        return question, _missing(state, f"{tool}.{checked['missing'][0]}")
    return None


def _missing(state: AgentState, about: str) -> str:
    tool, _, argument = about.partition(".")
    if not argument:
        return say("unclear_request", state["language"])
    return say("missing_argument", state["language"], tool=tool, missing=argument)


def _ask(state: AgentState, runtime: Runtime[Deps], question: str, summary: str) -> dict[str, Any]:
    """A clarification: the question goes into the conversation, the review says what cannot go on without it."""
    # The position in the conversation names the question: the same turn, run again after a crash, asks the same one.
    position = str(len(state["messages"]))
    human = next((m.id for m in reversed(state["messages"]) if isinstance(m, HumanMessage)), "")
    review = open_here(
        state,
        runtime,
        kind="clarification",
        subject=f"question:{human}:{position}",
        summary=summary,
        action=text_action(question),
        question=question,
    )
    message = AIMessage(content=question, id=f"ask-{review['id']}", name="dojang")
    return {"messages": [message], "reviews": {review["id"]: review}, "draft": None}
