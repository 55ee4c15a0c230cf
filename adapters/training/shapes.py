"""What a base is made of, from its config.json or from a table of known ones. Knows no torch and loads no weights."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from state import UserError

LARGEST: Final = 2**24
"""No base has a size as large, and all figures of a plan can be written."""


@dataclass(frozen=True)
class Shape:
    """What a base is made of. ``width`` is d, ``inner`` the MLP's width, ``words`` the vocabulary."""

    name: str
    width: int
    layers: int
    inner: int
    heads: int
    kv_heads: int
    head: int
    words: int
    tied: bool = False
    kind: Literal["llama", "gpt_neox"] = "llama"
    licence: str = ""

    def linears(self) -> list[tuple[int, int]]:
        """(in, out) of the linear layers of one block."""
        d, f, q, kv = self.width, self.inner, self.heads * self.head, self.kv_heads * self.head
        if self.kind == "gpt_neox":
            return [(d, 3 * d), (d, d), (d, f), (f, d)]
        return [(d, q), (d, kv), (d, kv), (q, d), (d, f), (d, f), (f, d)]

    @property
    def linear_parameters(self) -> int:
        """Weights of all blocks' linear layers: what is quantized."""
        return self.layers * sum(a * b for a, b in self.linears())

    @property
    def other_parameters(self) -> int:
        """Embeddings, head, norms, biases: what stays in 16 bits."""
        table = self.words * self.width * (1 if self.tied else 2)
        if self.kind == "gpt_neox":
            biases = self.layers * sum(out for _, out in self.linears())
            return table + biases + 2 * self.width * (2 * self.layers + 1)
        return table + self.width * (2 * self.layers + 1)

    @property
    def parameters(self) -> int:
        """All of them."""
        return self.linear_parameters + self.other_parameters

    def adapter_parameters(self, rank: int) -> int:
        """LoRA on every linear layer of the blocks."""
        return self.layers * rank * sum(a + b for a, b in self.linears())


def _llama(name: str, width: int, layers: int, inner: int, heads: int, kv: int, words: int, *, tied: bool) -> Shape:
    licence = "Llama 3.2 Community License" if "3.2" in name else "Llama 3.1 Community License"
    return Shape(name, width, layers, inner, heads, kv, width // heads, words, tied, "llama", licence)


def _polyglot(name: str, width: int, layers: int, heads: int) -> Shape:
    note = "Apache-2.0 (Polyglot-Ko); KoAlpaca's data: CC BY-NC 4.0"
    return Shape(name, width, layers, 4 * width, heads, heads, width // heads, 30_080, False, "gpt_neox", note)


KNOWN: Final[dict[str, Shape]] = {
    shape.name.lower(): shape
    for shape in (
        _llama("Llama-3.2-1B", 2_048, 16, 8_192, 32, 8, 128_256, tied=True),
        replace(_llama("Llama-3.2-3B", 3_072, 28, 8_192, 24, 8, 128_256, tied=True), head=128),
        _llama("Llama-3.1-8B", 4_096, 32, 14_336, 32, 8, 128_256, tied=False),
        _polyglot("KoAlpaca-Polyglot-5.8B", 4_096, 28, 16),
        _polyglot("KoAlpaca-Polyglot-12.8B", 5_120, 40, 40),
        Shape("embedded", 320, 6, 832, 8, 8, 40, 8_192, True, "llama", "Apache-2.0"),
    )
}
"""Bases by name, their shapes from the config.json that they are published with."""


def shape_named(name: str) -> Shape:
    """A known base; its owner may stand before its name, and ``-Instruct`` after it. UserError lists what there is."""
    owned = re.fullmatch(r"(?:\w[\w.-]*/)?([^/]+)", name)
    short = owned[1].lower().removesuffix("-instruct") if owned else ""  # else a path
    if short not in KNOWN:
        raise UserError(
            f"no base {name!r} is known, and no folder has that name; give a model folder, or one of {_known()}"
        )
    return KNOWN[short]


def _known() -> str:
    return ", ".join(shape.name for shape in KNOWN.values())


def shape_of(config: Mapping[str, Any], name: str = "") -> Shape:
    """The shape in a model's config.json; UserError for another architecture or missing sizes."""
    kind, named = config.get("model_type"), name or "config.json"
    if kind not in ("llama", "gpt_neox"):
        raise UserError(f"{named} is of type {kind!r}; plans are for llama and gpt_neox")
    try:
        width, heads = _size(config, "hidden_size"), _size(config, "num_attention_heads")
        return Shape(
            name=name,
            width=width,
            layers=_size(config, "num_hidden_layers"),
            inner=_size(config, "intermediate_size"),
            heads=heads,
            kv_heads=_size(config, "num_key_value_heads", heads),
            head=_size(config, "head_dim", width // heads),
            words=_size(config, "vocab_size"),
            tied=bool(config.get("tie_word_embeddings", False)),
            kind=kind,
        )
    except (KeyError, ValueError) as e:
        raise UserError(
            f"the config.json of {name or 'the base'} lacks a size ({e}); restore it from its source"
        ) from None


def _size(config: Mapping[str, Any], key: str, usual: int | None = None) -> int:
    """A size of a config.json, or what it usually is where there is none; raises KeyError, ValueError."""
    size = config[key] if usual is None or config.get(key) is not None else usual
    whole = isinstance(size, int | float) and not isinstance(size, bool) and size % 1 == 0  # not of NaN or infinity
    if not whole or not 0 < size < LARGEST:
        raise ValueError(f"{key} is {size!r}, which is no whole number above 0")
    return int(size)


def shape_at(base: str) -> Shape:
    """Of a model folder, a config.json, or a known name."""
    path = Path(base)
    file = path / "config.json" if path.is_dir() else path
    if not file.is_file():
        if path.is_dir() and base.lower() not in KNOWN:
            raise UserError(f"the folder {base!r} has no config.json; give a model folder, or one of {_known()}")
        return shape_named(base)
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as e:
        raise UserError(f"{file} cannot be read ({e}); restore the file from its source") from None
    if not isinstance(config, dict):
        raise UserError(f"{file} does not hold a JSON object; restore the file from its source")
    return shape_of(config, path.name if path.is_dir() else path.parent.name)


__all__ = ["KNOWN", "Shape", "shape_at", "shape_named", "shape_of"]
