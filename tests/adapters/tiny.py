"""A tiny random LLaMA (2 layers of 64) with a tokenizer of its own, adapters for it, passages and tools."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

from adapters.local.loading import fingerprint
from adapters.prompt import BOS, CHAT_TEMPLATE, EOT, MARKERS, SPECIAL_TOKENS
from state import JSON, Passage, ToolSpec

WORDS = [
    "Book a room at Namsan Stay for 2 guests from December 3, please. What time is breakfast served?",
    "남산스테이에 12월 3일부터 2박 예약해 주세요. 조식은 몇 시부터인가요?",
    '{"name": "book_room", "parameters": {"hotel": "x", "guests": 2}}',
]


def save_base(folder: Path, *, seed: int = 0, hidden: int = 64) -> Path:
    import torch
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    inner.train_from_iterator(WORDS * 3, trainer)
    inner.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL_TOKENS])
    inner.add_tokens([AddedToken(token, special=False, normalized=False) for token in MARKERS])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token=BOS, eos_token=EOT, pad_token=EOT, chat_template=CHAT_TEMPLATE
    )
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id,
        initializer_range=0.2,  # far from uniform, so that adapters and greedy choices differ visibly
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def save_adapter(base: Path, folder: Path, *, seed: int, marked: bool = True) -> Path:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_pretrained(base)
    lora = LoraConfig(r=4, lora_alpha=32, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)  # peft 0.21 with transformers 5
        get_peft_model(model, lora).save_pretrained(str(folder))
    if marked:
        (folder / "dojang.json").write_text(json.dumps({"base_fingerprint": fingerprint(base)}))
    return folder


def lora(folder: Path, n: int, *, base: str = "b" * 16, **manifest: Any) -> Path:
    """A LoRA adapter of one tensor."""
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True)
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj"], "revision": "main",
              "base_model_name_or_path": "base", "task_type": "CAUSAL_LM"}  # fmt: skip
    (folder / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
    save_file(
        {"base_model.model.q_proj.lora_A.weight": torch.full((2, 4), float(n))}, folder / "adapter_model.safetensors"
    )
    (folder / "dojang.json").write_text(json.dumps({"base_fingerprint": base}), encoding="utf-8")
    told = {"base": {"fingerprint": base}, "method": "sft", "counts": {"trained": n}, "trained_at": "now", **manifest}
    (folder / "manifest.json").write_text(json.dumps(told), encoding="utf-8")
    return folder


def tool(name: str, properties: dict[str, JSON], required: list[str]) -> ToolSpec:
    return ToolSpec(
        name=name,
        description=f"{name}.",
        parameters={"type": "object", "properties": properties, "required": required},
        schema_version="1",
        effect_class="write",
        recovery="transactional",
        reversible=True,
    )


BOOK = tool(
    "book_room",
    {
        "hotel": {"type": "string"},
        "guests": {"type": "integer"},
        "check_in": {"type": "string", "format": "date"},
        "room_type": {"type": "string", "enum": ["standard", "deluxe"]},
    },
    ["hotel", "guests"],
)
CANCEL = tool("cancel_booking", {"booking_id": {"type": "string"}}, ["booking_id"])


def passage(text: str, *, id: str = "p1", start: int = 0, document: str = "rules.md", language: Any = "en") -> Passage:
    """A passage whose sentences end at full stops."""
    spans, at = [], 0
    for part in text.split(". "):
        end = min(at + len(part) + 1, len(text))
        spans.append([at, end])
        at = end + 1
    return Passage(
        id=id,
        document=document,
        title="House rules",
        text=text,
        start=start,
        end=start + len(text),
        page=None,
        language=language,
        sentences=spans,
        scores={"fused": 1.0},
        trust="trusted",
    )
