"""Which architectures are served, and how one is asked whose tokenizer brings no chat template.

A GPT-NeoX checkpoint is asked as KoAlpaca-Polyglot was trained (its model card): ``### 질문: …`` and ``### 답변:``,
and what else it is told stands under ``### 맥락:``. A LLaMA base without turn tokens is asked with ``### User:`` and
``### Assistant:``. Both end their own turn with the end-of-text token, and the mark of a next turn stops them, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from adapters.prompt import HEADER_START


def _marked_template(context: str, question: str, answer: str) -> str:
    return (
        "{%- for message in messages %}"
        "{%- if message['role'] == 'system' %}{{- '" + context + " ' + message['content'] + '\n\n' }}"
        "{%- elif message['role'] == 'assistant' %}"
        "{{- '" + answer + " ' + message['content'] + (eos_token or '') + '\n\n' }}"
        "{%- else %}{{- '" + question + " ' + message['content'] + '\n\n' }}{%- endif %}"
        "{%- endfor %}"
        "{%- if add_generation_prompt %}{{- '" + answer + "' }}{%- endif %}"
    )


POLYGLOT_TEMPLATE: Final = _marked_template("### 맥락:", "### 질문:", "### 답변:")
PLAIN_TEMPLATE: Final = _marked_template("### System:", "### User:", "### Assistant:")
MARKED: Final = (POLYGLOT_TEMPLATE, PLAIN_TEMPLATE)
TURN_MARKS: Final = ("###", "[INST]", "[/INST]", "<<SYS>>", "<</SYS>>")
"""Marks of turns that some templates write as plain text: nobody else may write them."""


@dataclass(frozen=True)
class Family:
    """One architecture of transformers."""

    model_type: str  # in config.json
    class_name: str  # in transformers
    label: str
    template: str  # for a tokenizer that has none
    context_key: str = "max_position_embeddings"


FAMILIES: Final = {
    family.model_type: family
    for family in (
        Family("llama", "LlamaForCausalLM", "LLaMA", PLAIN_TEMPLATE),
        Family("gpt_neox", "GPTNeoXForCausalLM", "GPT-NeoX", POLYGLOT_TEMPLATE),
    )
}
END_TOKENS: Final = ("<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "</s>", "<|endoftext|>")


def give_template(tokenizer: Any, family: Family) -> tuple[str, ...]:
    """Complete a tokenizer without a chat template. Returns the strings that begin the next turn.

    A base of ours without a template has LLaMA 3's turn tokens: it is left as it is (``adapters.local.templates``).
    """
    if tokenizer.chat_template is None and tokenizer.convert_tokens_to_ids(HEADER_START) in (
        None,
        tokenizer.unk_token_id,
    ):
        tokenizer.chat_template = family.template
    return ("\n###",) if tokenizer.chat_template in MARKED else ()


def marks_of(tokenizer: Any) -> list[str]:
    """What must not stand in anybody's words: special tokens and plain marks of turns that the template uses."""
    special = [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]
    template = tokenizer.chat_template if isinstance(tokenizer.chat_template, str) else ""
    return [*special, *(mark for mark in TURN_MARKS if mark in template)]


def defused(text: str, marks: list[str]) -> str:
    """``text`` with a space inside every one of ``marks``."""
    for mark in marks:
        if len(mark) > 1 and mark in text:
            text = text.replace(mark, f"{mark[0]} {mark[1:]}")
    return text
