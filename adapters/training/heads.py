"""The base's shape and its initial weights, with copy heads written into them.

Plain random weights learn the form of a call long before they learn to copy a name, so the circuit for copying (heads
that look at the token before, induction heads in a later layer; Olsson et al. 2022, "In-context Learning and
Induction Heads") is written in by hand. The result is still an ordinary ``LlamaForCausalLM``, and training may change
every number of it.
"""

from __future__ import annotations

import math
from typing import Any, Final

import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

WIDTH: Final = 320
HEADS: Final = 8
LAYERS: Final = 6
MLP: Final = 2.75  # times the width
ROPE_THETA: Final = 500_000.0  # Llama 3's: its slow half hardly turns within a context
LOOKING_LAYER: Final = 0
LOOKERS: Final = 2
COPY_LAYER: Final = 2
COPIERS: Final = 4
POINTERS: Final = 4
MATCH_GAIN: Final = 2.0
SINK: Final = 9.0
COPY_GAIN: Final = 0.6  # the copied embedding must outweigh the current token's own
POINT_GAIN: Final = 0.3


def configuration(
    vocabulary: int, *, bos: int, eos: list[int], pad: int, context: int, width: int = WIDTH, layers: int = LAYERS
) -> LlamaConfig:
    """The shape: widths are multiples of 64, as NF4 on a CPU wants them."""
    return LlamaConfig(
        vocab_size=vocabulary, hidden_size=width, intermediate_size=int(MLP * width) // 64 * 64,
        num_hidden_layers=layers, num_attention_heads=HEADS, num_key_value_heads=HEADS, head_dim=width // HEADS,
        max_position_embeddings=context, tie_word_embeddings=True, bos_token_id=bos, eos_token_id=eos, pad_token_id=pad,
        attention_dropout=0.0, rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": ROPE_THETA},
    )  # fmt: skip


def _orthonormal(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    """A random (rows, columns) matrix with orthonormal rows (rows ≤ columns) or columns."""
    q, _ = torch.linalg.qr(torch.randn(max(rows, columns), min(rows, columns), generator=generator))
    matrix: Tensor = q if rows >= columns else q.T
    return matrix


def _frequencies(dim: int) -> Tensor:
    rising: Tensor = torch.arange(0, dim, 2).float() / dim
    return torch.pow(ROPE_THETA, -rising)


@torch.no_grad()
def initial(config: LlamaConfig, seed: int) -> LlamaForCausalLM:
    """A float32 model with the written heads. Deterministic by ``seed``.

    Every embedding carries one direction ``u``; the last coordinates of the stream are empty in embeddings and hold
    what the token before was. The looking heads attend by position alone (query and key read ``u``, the key turned by
    one RoPE step) and write a projection P of the token before there. The copying heads compare P of the current
    token with what earlier places remember, in the slowest RoPE frequencies, and copy the embedding they find; what
    matches nothing attends to the first token of all, of which nothing is copied. In the last layer, pointing heads
    can copy too, and have to learn where to look.
    """
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    model = LlamaForCausalLM(config)
    width, dim = config.hidden_size, config.hidden_size // config.num_attention_heads
    words = width - LOOKERS * dim  # embeddings use the coordinates before this one
    embedding = model.model.embed_tokens.weight
    embedding.normal_(0.0, 0.02 * 4, generator=generator)
    embedding[:, words:] = 0
    e0 = embedding.norm(dim=1).median().item()
    u = torch.zeros(width)
    u[:words] = torch.randn(words, generator=generator)
    u /= u.norm()
    embedding -= (embedding @ u)[:, None] * u
    embedding += 0.4 * e0 * u
    for number, layer in enumerate(model.model.layers):
        layer.self_attn.o_proj.weight *= 0.2
        layer.mlp.down_proj.weight *= 0.2
        if number < COPY_LAYER:  # until it is read, only the looking heads write to what the token before was
            layer.self_attn.o_proj.weight[words:] = 0
            layer.mlp.down_proj.weight[words:] = 0
    # RMSNorm leaves a typical embedding row (length e0·√1.16) with length √width.
    scale = math.sqrt(width) / (e0 * math.sqrt(1.16))
    project = torch.zeros(LOOKERS * dim, width)  # P
    project[:, :words] = _orthonormal(LOOKERS * dim, words, generator)
    project -= (project @ u)[:, None] * u  # what all tokens share would match everywhere
    _looking_back(model, u, project, words, e0, scale)
    copy = _words(model, u, words, generator)
    _copying(model, u, project, copy, words, e0, scale, generator)
    _pointing(model, copy, e0)
    return model


def _write(attention: Any, head: int, query: Tensor, key: Tensor, value: Tensor, out: Tensor) -> None:
    """Set one head: query, key, value (dim, width), out (width, dim)."""
    rows = slice(head * query.shape[0], (head + 1) * query.shape[0])
    attention.q_proj.weight[rows] = query
    attention.k_proj.weight[rows] = key
    attention.v_proj.weight[rows] = value
    attention.o_proj.weight[:, rows] = out


def _empty(width: int, dim: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return torch.zeros(dim, width), torch.zeros(dim, width), torch.zeros(dim, width), torch.zeros(width, dim)


def written(model: LlamaForCausalLM) -> list[Tensor]:
    """Views of all that was written: query, key, value rows and output columns of each head, and what is left empty."""
    heads = model.config.num_attention_heads
    dim = model.config.hidden_size // heads
    words = model.config.hidden_size - LOOKERS * dim
    places = [(LOOKING_LAYER, heads - 1 - i) for i in range(LOOKERS)]
    places += [(COPY_LAYER, heads - 1 - i) for i in range(COPIERS)]
    views: list[Tensor] = []
    for layer, head in places:
        attention, rows = model.model.layers[layer].self_attn, slice(head * dim, (head + 1) * dim)
        views += [getattr(attention, name).weight.data[rows] for name in ("q_proj", "k_proj", "v_proj")]
        views.append(attention.o_proj.weight.data[:, rows])
    views.append(model.model.embed_tokens.weight.data[:, words:])
    for early in model.model.layers[:COPY_LAYER]:
        views += [early.self_attn.o_proj.weight.data[words:], early.mlp.down_proj.weight.data[words:]]
    return views


def _looking_back(model: LlamaForCausalLM, u: Tensor, project: Tensor, words: int, e0: float, scale: float) -> None:
    width, heads = project.shape[1], model.config.num_attention_heads
    dim = width // heads
    half, fast = dim // 2, _frequencies(dim)[:4]
    strength = 0.8 * math.sqrt(dim) * 4 / (0.4 * e0 * scale)
    for i in range(LOOKERS):
        query, key, value, out = _empty(width, dim)
        query[:4] = strength * u
        key[:4] = strength * torch.cos(fast)[:, None] * u
        key[half : half + 4] = strength * torch.sin(fast)[:, None] * u
        value[:] = project[i * dim : (i + 1) * dim]
        out[words + i * dim : words + (i + 1) * dim] = torch.eye(dim) / scale
        _write(model.model.layers[LOOKING_LAYER].self_attn, heads - LOOKERS + i, query, key, value, out)


def _words(model: LlamaForCausalLM, u: Tensor, words: int, generator: torch.Generator) -> Tensor:
    """(COPIERS·dim, width): orthonormal rows that read all that an embedding is, apart from the first token of all."""
    width = u.numel()
    copy = torch.zeros(COPIERS * width // model.config.num_attention_heads, width)
    rows = min(len(copy), words)
    copy[:rows, :words] = _orthonormal(rows, words, generator)
    first = _first(model, u)
    return copy - (copy @ first)[:, None] * first


def _first(model: LlamaForCausalLM, u: Tensor) -> Tensor:
    """The direction of the first token of all."""
    first: Tensor = model.model.embed_tokens.weight[model.config.bos_token_id].clone()
    first -= (first @ u) * u
    unit: Tensor = first / first.norm()
    return unit


def _pointing(model: LlamaForCausalLM, copy: Tensor, e0: float) -> None:
    """Values and outputs that copy what a head attends to; where it attends, training has to find out."""
    heads = model.config.num_attention_heads
    dim = copy.shape[1] // heads
    attention: Any = model.model.layers[-1].self_attn
    for i in range(POINTERS):
        rows, part = slice((heads - 1 - i) * dim, (heads - i) * dim), copy[i * dim : (i + 1) * dim]
        attention.v_proj.weight[rows] = part
        attention.o_proj.weight[:, rows] = POINT_GAIN * e0 * part.T


def _copying(
    model: LlamaForCausalLM,
    u: Tensor,
    project: Tensor,
    copy: Tensor,
    words: int,
    e0: float,
    scale: float,
    generator: torch.Generator,
) -> None:
    part, width = project.shape
    heads = model.config.num_attention_heads
    dim = width // heads
    half, slow = dim // 2, dim // 4
    places = [*range(half - slow, half), *range(dim - slow, dim)]  # the slower half of the frequencies
    first = _first(model, u)
    remembered = torch.zeros(part, width)
    remembered[:, words : words + part] = torch.eye(part)
    for i in range(COPIERS):
        mix = _orthonormal(len(places) - 1, part, generator)
        query, key, value, out = _empty(width, dim)
        query[places[:-1]] = MATCH_GAIN * math.sqrt(dim) * mix @ project
        key[places[:-1]] = mix @ remembered
        query[places[-1]] = u / (0.4 * e0 * scale)
        key[places[-1]] = SINK * math.sqrt(dim) * first / (e0 * scale)
        value[:] = copy[i * dim : (i + 1) * dim]
        out[:] = COPY_GAIN * e0 * value.T
        _write(model.model.layers[COPY_LAYER].self_attn, heads - 1 - i, query, key, value, out)


@torch.no_grad()
def copy_accuracy(model: LlamaForCausalLM, seed: int = 0, *, length: int = 60, batch: int = 8) -> float:
    """Share of tokens predicted right in the second half of random sequences that repeat themselves."""
    generator = torch.Generator().manual_seed(seed)
    first = torch.stack([torch.randperm(model.config.vocab_size, generator=generator)[:length] for _ in range(batch)])
    ids = torch.cat([first, first], dim=1)
    logits = model(input_ids=ids).logits[:, length:-1]
    return float((logits.argmax(-1) == ids[:, length + 1 :]).float().mean())
