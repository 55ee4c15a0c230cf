"""Small checkpoints with random weights in the true architectures, with tokenizers and templates of their families."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from adapters.prompt import SPECIAL_TOKENS
from tests.adapters.tiny import WORDS

# As published with Llama-2-7b-chat, shortened: no tools, roles in turn, [INST] as plain text.
LLAMA2_TEMPLATE = (
    "{% if messages[0]['role'] == 'system' %}{% set rest = messages[1:] %}{% set sys = messages[0]['content'] %}"
    "{% else %}{% set rest = messages %}{% set sys = false %}{% endif %}"
    "{% for m in rest %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant') }}{% endif %}"
    "{% if loop.index0 == 0 and sys %}{% set c = '<<SYS>>\\n' + sys + '\\n<</SYS>>\\n\\n' + m['content'] %}"
    "{% else %}{% set c = m['content'] %}{% endif %}"
    "{% if m['role'] == 'user' %}{{ bos_token + '[INST] ' + c.strip() + ' [/INST]' }}"
    "{% else %}{{ ' ' + c.strip() + ' ' + eos_token }}{% endif %}{% endfor %}"
)
# As published with Llama-3.2, shortened: tools in the first user message, one call a message, results as JSON.
LLAMA3_TEMPLATE = (
    "{{- bos_token }}{%- if not date_string is defined %}{%- set date_string = '26 Jul 2024' %}{%- endif %}"
    "{%- if messages[0]['role'] == 'system' %}{%- set system_message = messages[0]['content'] | trim %}"
    "{%- set messages = messages[1:] %}{%- else %}{%- set system_message = '' %}{%- endif %}"
    "{{- '<|start_header_id|>system<|end_header_id|>\\n\\nToday Date: ' + date_string + '\\n\\n' + system_message }}"
    "{{- '<|eot_id|>' }}"
    "{%- if tools %}{%- set first = messages[0]['content'] | trim %}{%- set messages = messages[1:] %}"
    "{{- '<|start_header_id|>user<|end_header_id|>\\n\\nGiven the following functions\\n\\n' }}"
    "{%- for t in tools %}{{- t | tojson(indent=4) }}{{- '\\n\\n' }}{%- endfor %}"
    "{{- first + '<|eot_id|>' }}{%- endif %}"
    "{%- for m in messages %}"
    "{%- if m.role == 'tool' %}"
    "{{- '<|start_header_id|>ipython<|end_header_id|>\\n\\n' + (m.content | tojson) + '<|eot_id|>' }}"
    "{%- elif 'tool_calls' in m %}{%- if m.tool_calls | length != 1 %}{{- raise_exception('one call') }}{%- endif %}"
    "{%- set c = m.tool_calls[0].function %}"
    "{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}"
    "{{- '{\"name\": \"' + c.name + '\", \"parameters\": ' + (c.arguments | tojson) + '}<|eot_id|>' }}"
    "{%- else %}{{- '<|start_header_id|>' + m['role'] + '<|end_header_id|>\\n\\n' }}"
    "{{- m['content'] | trim + '<|eot_id|>' }}{%- endif %}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif %}"
)


def save_llama3(folder: Path, *, context: int = 4096) -> Path:
    return _save(folder, "llama", list(SPECIAL_TOKENS), "<|begin_of_text|>", "<|eot_id|>", LLAMA3_TEMPLATE, context)


def save_llama2(folder: Path, *, template: str | None = LLAMA2_TEMPLATE, context: int = 2048) -> Path:
    return _save(folder, "llama", ["<unk>", "<s>", "</s>"], "<s>", "</s>", template, context)


def save_polyglot(folder: Path, *, context: int = 2048) -> Path:
    return _save(folder, "gpt_neox", ["<|endoftext|>"], None, "<|endoftext|>", None, context)


def _save(
    folder: Path, kind: str, special: list[str], bos: str | None, eos: str, template: str | None, context: int
) -> Path:
    import torch
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import (
        GPTNeoXConfig,
        GPTNeoXForCausalLM,
        LlamaConfig,
        LlamaForCausalLM,
        PreTrainedTokenizerFast,
    )

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, show_progress=False)
    inner.train_from_iterator(WORDS * 3, trainer)
    inner.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token=bos, eos_token=eos, pad_token=eos, chat_template=template
    )
    torch.manual_seed(7)
    shape: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": context,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "initializer_range": 0.2,
    }
    if kind == "gpt_neox":
        model: Any = GPTNeoXForCausalLM(GPTNeoXConfig(**shape))
    else:
        # The rope scaling of Llama 3.x, grouped queries as in both.
        scaling = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
        rope = {"rope_theta": 500000.0, **scaling, "original_max_position_embeddings": context // 2}
        extra: dict[str, Any] = {"rope_parameters": rope} if eos == "<|eot_id|>" else {}
        model = LlamaForCausalLM(LlamaConfig(num_key_value_heads=2, **shape, **extra))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
