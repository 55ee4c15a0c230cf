"""The base's shape and its initial weights, with copy heads written into them.

Plain random weights learn the templates of a call long before they learn to copy a name, so the circuit for
copying (heads that look back in one layer, induction heads in a later one; Olsson et al. 2022, "In-context
Learning and Induction Heads") is written in by hand. The result is still an ordinary ``LlamaForCausalLM``, and
training may change every number of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from adapters.prompt import MARKERS

WIDTH: Final = 256
HEADS: Final = 8
LAYERS: Final = 5
MLP: Final = 704
ROPE_THETA: Final = 500_000.0  # Llama 3's: its slow half hardly turns within a context
LOOKING_LAYER: Final = 0
SENTENCE_LAYER: Final = 1
VOTE_LAYER: Final = 3
COPY_LAYER: Final = 4
VOTERS: Final = 2
COPIERS: Final = 4
COUNTERS: Final = 1
OFFSETS: Final = (1, 2, 3)
MATCH_GAIN: Final = 0.7
MATCH_WEIGHTS: Final = (1.0, 1.0, 0.7)
NEAREST_GAIN: Final = 60.0
SINK: Final = 18.0
COPY_GAIN: Final = 0.6  # the copied embedding must outweigh the current token's own
VOTE_GAIN: Final = 0.03
COUNT_GAIN: Final = 3.0
COUNT_BACK: Final = 14  # tokens between the middle of a question and the answer
COUNT_WIDTH: Final = 4.0


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


class _Room(NamedTuple):
    """Which coordinates of the residual stream begin with which meaning."""

    past: list[int]  # S1 …: the token that many places before
    part: int  # width of each S
    number: int  # M0: which evidence number a token is
    sentence: int  # M1: in which numbered sentence a place lies
    vote: int  # M2: in which sentence a word of the question was found
    words: int  # embeddings use the coordinates before this one


def _rooms(width: int, dim: int) -> _Room:
    part = dim * 3 // 4
    words = width - len(OFFSETS) * part - 3 * len(MARKERS)
    first = words + len(OFFSETS) * part
    past = [words + i * part for i in range(len(OFFSETS))]
    return _Room(past, part, first, first + len(MARKERS), first + 2 * len(MARKERS), words)


@torch.no_grad()
def initial(config: LlamaConfig, seed: int, markers: Sequence[int] = (), quiet: Sequence[int] = ()) -> LlamaForCausalLM:
    """A float32 model with the written heads. Deterministic by ``seed``.

    ``markers`` are the ids of ``[0]``, ``[1]``, …; ``quiet`` those of tokens that stand everywhere (spaces, signs):
    nothing of them is remembered or matched.

    ``u`` is one direction that every embedding carries; the last coordinates of the stream, empty in embeddings, are
    subspaces of their own (``_Room``).

    Copying: in the first layer one head for each of S1, S2, S3 attends by position alone to the token that many
    places before (query and key read ``u``, the key turned by as many RoPE steps) and writes a projection P of it
    there: since spaces, digits and syllables are tokens, one token of context would tell little. The induction
    layer's last four heads compare P of the current token, S1 and S2 with S1 … S3 of earlier places, in the slowest
    RoPE frequencies, and copy the embedding they find.

    Choosing: a head attends to the nearest evidence number before and writes it into M1; the induction layer's
    other heads fetch M1, instead of the embedding, into M2: a word of the question votes for the sentence that has
    it; a head of the last layer adds up the votes of the last places into the logits of the numbers.
    """
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    model = LlamaForCausalLM(config)
    width, dim = config.hidden_size, config.hidden_size // config.num_attention_heads
    room = _rooms(width, dim)
    embedding = model.model.embed_tokens.weight
    embedding.normal_(0.0, 0.02 * 4, generator=generator)
    embedding[:, room.words :] = 0
    e0 = embedding.norm(dim=1).median().item()
    u = torch.zeros(width)
    u[: room.words] = torch.randn(room.words, generator=generator)
    u /= u.norm()
    embedding -= (embedding @ u)[:, None] * u
    embedding += 0.4 * e0 * u
    for n, token in enumerate(markers):
        embedding[token, room.number + n] = e0
    for layer in model.model.layers:
        layer.self_attn.o_proj.weight *= 0.2
        layer.mlp.down_proj.weight *= 0.2
        layer.self_attn.o_proj.weight[room.words :] = 0
        layer.mlp.down_proj.weight[room.words :] = 0
    # RMSNorm leaves a typical embedding row (length e0·√1.16) with length √width.
    scale = math.sqrt(width) / (e0 * math.sqrt(1.16))
    project = torch.zeros(room.part, width)  # P
    project[:, : room.words] = _orthonormal(room.part, room.words, generator)
    project -= (project @ u)[:, None] * u  # what all tokens share would match everywhere
    for token in quiet:
        embedding[token] -= project.T @ (project @ embedding[token])
    _looking_back(model, u, project, room, e0, scale)
    _sentence_numbers(model, u, room, e0, scale)
    _induction(model, u, project, room, e0, scale, generator)
    _count(model, u, room, e0, scale)
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
    """Views of the weights of every written head: query, key and value rows and output columns of each."""
    heads = model.config.num_attention_heads
    dim = model.config.hidden_size // heads
    places = [(LOOKING_LAYER, heads - 1 - i) for i in range(len(OFFSETS))] + [(SENTENCE_LAYER, heads - 1)]
    places += [(VOTE_LAYER, heads - 1 - i) for i in range(VOTERS)]
    places += [(COPY_LAYER, heads - 1 - i) for i in range(COUNTERS + COPIERS)]
    views: list[Tensor] = []
    for layer, head in places:
        attention, rows = model.model.layers[layer].self_attn, slice(head * dim, (head + 1) * dim)
        views += [getattr(attention, name).weight.data[rows] for name in ("q_proj", "k_proj", "v_proj")]
        views.append(attention.o_proj.weight.data[:, rows])
    return views


def _looking_back(model: LlamaForCausalLM, u: Tensor, project: Tensor, room: _Room, e0: float, scale: float) -> None:
    width, heads = project.shape[1], model.config.num_attention_heads
    dim = width // heads
    half, fast = dim // 2, _frequencies(dim)[:4]
    strength = 0.8 * math.sqrt(dim) * 4 / (0.4 * e0 * scale)
    for i, offset in enumerate(OFFSETS):
        query, key, value, out = _empty(width, dim)
        query[:4] = strength * u
        key[:4] = strength * torch.cos(offset * fast)[:, None] * u
        key[half : half + 4] = strength * torch.sin(offset * fast)[:, None] * u
        value[: room.part] = project
        out[room.past[i] : room.past[i] + room.part, : room.part] = torch.eye(room.part) / scale
        _write(model.model.layers[LOOKING_LAYER].self_attn, heads - len(OFFSETS) + i, query, key, value, out)


def _sentence_numbers(model: LlamaForCausalLM, u: Tensor, room: _Room, e0: float, scale: float) -> None:
    """The nearest number before: any number draws attention, the nearer the more (a slow RoPE frequency)."""
    width, heads = u.numel(), model.config.num_attention_heads
    dim = width // heads
    n = min(len(MARKERS), dim)
    query, key, value, out = _empty(width, dim)
    near = int((_frequencies(dim) > 0.012).sum()) - 1  # the slowest that still turns within a sentence
    query[near] = u / (0.4 * e0 * scale)
    key[near, room.number : room.number + n] = NEAREST_GAIN * math.sqrt(dim) / (e0 * scale)
    value[: min(n, dim), room.number : room.number + n] = torch.eye(n)[:dim]
    out[room.sentence : room.sentence + n, : min(n, dim)] = 1.5 * torch.eye(n)[:, :dim] / scale
    _write(model.model.layers[SENTENCE_LAYER].self_attn, heads - 1, query, key, value, out)


def _induction(
    model: LlamaForCausalLM,
    u: Tensor,
    project: Tensor,
    room: _Room,
    e0: float,
    scale: float,
    generator: torch.Generator,
) -> None:
    """Copying and voting. What matches nothing well attends to the first token of all, of which nothing is copied."""
    part, width = project.shape
    heads = model.config.num_attention_heads
    dim = width // heads
    n = min(len(MARKERS), dim)
    half, slow = dim // 2, dim // 4
    places = [*range(half - slow, half), *range(dim - slow, dim)]  # the slower half of the frequencies
    copy = torch.zeros(COPIERS * dim, width)
    rows = min(COPIERS * dim, room.words)
    copy[:rows, : room.words] = _orthonormal(rows, room.words, generator)
    first = model.model.embed_tokens.weight[model.config.bos_token_id].clone()
    first -= (first @ u) * u
    first /= first.norm()
    copy -= (copy @ first)[:, None] * first
    written = torch.zeros(len(OFFSETS) * part, width)  # reads S1 …
    written[:, room.past[0] : room.past[0] + len(OFFSETS) * part] = torch.eye(len(OFFSETS) * part)
    # What the current place knows of itself and its past, in the order in which later places remember it.
    known = torch.cat([project, written[: (len(OFFSETS) - 1) * part]])
    weights = torch.cat([torch.full((part,), w) for w in MATCH_WEIGHTS])
    gain = MATCH_GAIN * math.sqrt(dim)
    voters = [(VOTE_LAYER, heads - 1 - i, None) for i in range(VOTERS)]
    copiers = [(COPY_LAYER, heads - 1 - COUNTERS - i, i) for i in range(COPIERS)]
    for layer, head, part_of in voters + copiers:
        mix = _orthonormal(len(places) - 1, len(OFFSETS) * part, generator)
        query, key, value, out = _empty(width, dim)
        query[places[:-1]] = gain * (mix * weights) @ known
        key[places[:-1]] = gain * mix @ written
        query[places[-1]] = u / (0.4 * e0 * scale)
        key[places[-1]] = SINK * math.sqrt(dim) * first / (e0 * scale)
        if part_of is None:
            value[: min(n, dim), room.sentence : room.sentence + n] = torch.eye(n)[:dim]
            out[room.vote : room.vote + n, : min(n, dim)] = VOTE_GAIN * e0 * torch.eye(n)[:, :dim]
        else:
            value[:] = copy[part_of * dim : (part_of + 1) * dim]
            out[:] = COPY_GAIN * e0 * value.T
        _write(model.model.layers[layer].self_attn, head, query, key, value, out)


def _count(model: LlamaForCausalLM, u: Tensor, room: _Room, e0: float, scale: float) -> None:
    """The votes of the places some tokens back, where the question stands, into the logits of the numbers."""
    width, heads = u.numel(), model.config.num_attention_heads
    dim = width // heads
    n = min(len(MARKERS), dim)
    query, key, value, out = _empty(width, dim)
    last = int((_frequencies(dim) > 0.006).sum())
    for near in range(max(last - 4, 0), last):  # several frequencies: their common peak does not come again
        turn = _frequencies(dim)[near] * COUNT_BACK
        query[near] = u / (0.4 * e0 * scale)
        key[near] = torch.cos(turn) * u * COUNT_WIDTH * math.sqrt(dim) / (0.4 * e0 * scale)
        key[near + dim // 2] = torch.sin(turn) * u * COUNT_WIDTH * math.sqrt(dim) / (0.4 * e0 * scale)
    value[: min(n, dim), room.vote : room.vote + n] = torch.eye(n)[:dim]
    out[room.number : room.number + n, : min(n, dim)] = COUNT_GAIN * e0 * torch.eye(n)[:, :dim]
    _write(model.model.layers[COPY_LAYER].self_attn, heads - 1, query, key, value, out)


@torch.no_grad()
def copy_accuracy(model: LlamaForCausalLM, seed: int = 0, *, length: int = 60, batch: int = 8) -> float:
    """Share of tokens predicted right in the second half of random sequences that repeat themselves."""
    generator = torch.Generator().manual_seed(seed)
    first = torch.stack([torch.randperm(model.config.vocab_size, generator=generator)[:length] for _ in range(batch)])
    ids = torch.cat([first, first], dim=1)
    logits = model(input_ids=ids).logits[:, length:-1]
    return float((logits.argmax(-1) == ids[:, length + 1 :]).float().mean())
