"""The base's shape and its initial weights, with copy heads written into them.

Plain random weights learn the templates of a call long before they learn to copy a name, so the circuit for
copying (a previous-token head in one layer, induction heads in a later one; Olsson et al. 2022, "In-context
Learning and Induction Heads") is written in by hand. The result is still an ordinary ``LlamaForCausalLM``, and
training may change every number of it.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

WIDTH: Final = 256
HEADS: Final = 8
LAYERS: Final = 5
MLP: Final = 704
ROPE_THETA: Final = 500_000.0  # Llama 3's: its slow half hardly turns within a context
PREVIOUS_LAYER: Final = 0
INDUCTION_LAYER: Final = 3
COPY_GAIN: Final = 0.25  # the copied embedding must outweigh the current token's own
_FREE: Final = 64  # width of the subspace S that carries "the token before me"


def configuration(
    vocabulary: int, *, bos: int, eos: list[int], pad: int, context: int, width: int = WIDTH, layers: int = LAYERS
) -> LlamaConfig:
    """The shape: widths are multiples of 64, as NF4 on a CPU wants them."""
    return LlamaConfig(
        vocab_size=vocabulary, hidden_size=width, intermediate_size=MLP * width // WIDTH // 64 * 64,
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
    """A float32 model with the copy heads. Deterministic by ``seed``.

    ``u`` is one direction that every embedding carries; ``S`` the last ``_FREE`` coordinates, empty in every
    embedding. Layer 0's last two heads attend to the previous token by position alone (query and key read ``u``, the
    key turned by one RoPE step) and write a projection P of it into S. The induction layer's last four heads compare
    P of the current token with S of earlier ones, in the slowest RoPE frequencies, and copy the embedding they find.
    """
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    model = LlamaForCausalLM(config)
    width, dim = config.hidden_size, config.hidden_size // config.num_attention_heads
    free = min(_FREE, 2 * dim)
    embedding = model.model.embed_tokens.weight
    embedding.normal_(0.0, 0.02 * 4, generator=generator)
    embedding[:, -free:] = 0
    e0 = embedding.norm(dim=1).median().item()
    u = torch.zeros(width)
    u[: width - free] = torch.randn(width - free, generator=generator)
    u /= u.norm()
    embedding -= (embedding @ u)[:, None] * u
    embedding += 0.4 * e0 * u
    for layer in model.model.layers:
        layer.self_attn.o_proj.weight *= 0.2
        layer.mlp.down_proj.weight *= 0.2
    # RMSNorm leaves a typical embedding row (length e0·√1.16) with length √width.
    scale = math.sqrt(width) / (e0 * math.sqrt(1.16))
    project = _orthonormal(free, width - free, generator)  # P: embedding → S
    _previous_token(model, u, project, dim, free, e0, scale)
    _induction(model, project, dim, free, e0, scale, generator)
    return model


def _previous_token(
    model: LlamaForCausalLM, u: Tensor, project: Tensor, dim: int, free: int, e0: float, scale: float
) -> None:
    attention = model.model.layers[PREVIOUS_LAYER].self_attn
    half, width = dim // 2, u.numel()
    fast = _frequencies(dim)[:4]
    strength = 0.8 * math.sqrt(dim) * 4 / (0.4 * e0 * scale)
    for i in range(2):
        head = model.config.num_attention_heads - 2 + i
        rows = slice(head * dim, (head + 1) * dim)
        query, key = torch.zeros(dim, width), torch.zeros(dim, width)
        query[:4] = strength * u
        key[:4] = strength * torch.cos(fast)[:, None] * u
        key[half : half + 4] = strength * torch.sin(fast)[:, None] * u
        attention.q_proj.weight[rows] = query
        attention.k_proj.weight[rows] = key
        part = slice(i * free // 2, (i + 1) * free // 2)
        n = free // 2
        value = torch.zeros(dim, width)
        value[:n, : width - free] = project[part]
        attention.v_proj.weight[rows] = value
        out = torch.zeros(width, dim)
        out[width - free + i * n : width - free + (i + 1) * n, :n] = 0.13 * torch.eye(
            n
        )  # S gets about the length of an embedding
        attention.o_proj.weight[:, rows] = out


def _induction(
    model: LlamaForCausalLM, project: Tensor, dim: int, free: int, e0: float, scale: float, generator: torch.Generator
) -> None:
    attention = model.model.layers[INDUCTION_LAYER].self_attn
    half, width = dim // 2, model.config.hidden_size
    slow = [*range(half - 8, half), *range(dim - 8, dim)]  # the eight slowest frequencies, both of their coordinates
    copy = torch.zeros(4 * dim, width)
    copy[:, : width - free] = _orthonormal(4 * dim, width - free, generator)
    gain = 2.0 * math.sqrt(dim)
    for i in range(4):
        head = model.config.num_attention_heads - 4 + i
        rows = slice(head * dim, (head + 1) * dim)
        query, key = torch.zeros(dim, width), torch.zeros(dim, width)
        part = slice(i * free // 4, (i + 1) * free // 4)
        places = slow[: free // 4]
        query[places, : width - free] = gain / math.sqrt(scale * e0) * project[part] / math.sqrt(free / width)
        key[places, width - free :] = torch.eye(free)[part] * gain / math.sqrt(scale * e0) / math.sqrt(free / width)
        attention.q_proj.weight[rows] = query
        attention.k_proj.weight[rows] = key
        attention.v_proj.weight[rows] = copy[i * dim : (i + 1) * dim]
        attention.o_proj.weight[:, rows] = COPY_GAIN * e0 * copy[i * dim : (i + 1) * dim].T


@torch.no_grad()
def copy_accuracy(model: LlamaForCausalLM, seed: int = 0, *, length: int = 60, batch: int = 8) -> float:
    """Share of tokens predicted right in the second half of random sequences that repeat themselves."""
    generator = torch.Generator().manual_seed(seed)
    first = torch.stack([torch.randperm(model.config.vocab_size, generator=generator)[:length] for _ in range(batch)])
    ids = torch.cat([first, first], dim=1)
    logits = model(input_ids=ids).logits[:, length:-1]
    return float((logits.argmax(-1) == ids[:, length + 1 :]).float().mean())
