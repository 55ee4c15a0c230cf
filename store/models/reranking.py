"""Puts the first passages of a search in another order by reading each beside the question. Off by default.

A reranker gives each text a score from 0 to 1; the passages that were read are ordered by it, it is kept beside the
other scores as ``rerank``, and ``fused`` stays what it was, so that thresholds on it keep their meaning.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from state import Passage, UserError

DEPTH: Final = 20
"""Passages that are read for one search; a cross-encoder reads one in some 30 ms on a CPU core."""
BATCH: Final = 16


class Reranker(Protocol):
    """Reads texts beside a question."""

    def score(self, question: str, texts: Sequence[str]) -> list[float]:
        """How well each text answers, 0…1, in the order of ``texts``."""
        ...


def reranked_depth(k: int, reranker: Reranker | None) -> int:
    """How many passages a search must find for ``k`` to be shown."""
    return k if reranker is None else max(k, DEPTH)


def reranked(question: str, passages: list[Passage], reranker: Reranker | None, k: int) -> list[Passage]:
    """The best ``k``; ties stay in the order of the search."""
    if reranker is None or not passages:
        return passages[:k]
    scores = reranker.score(question, [f"{passage['title']}\n{passage['text']}" for passage in passages])
    for passage, score in zip(passages, scores, strict=True):
        passage["scores"] = passage["scores"] | {"rerank": round(score, 6)}
    return sorted(passages, key=lambda passage: -passage["scores"]["rerank"])[:k]


class CrossEncoder:
    """A Hugging Face sequence classifier with one output, in a local folder."""

    def __init__(self, path: Path, *, tokens: int = 512) -> None:
        if not (path / "config.json").is_file():
            raise UserError(f"no reranking model in {path}: name a folder with config.json, tokenizer and safetensors")
        self.path = path
        self._tokens = tokens

    def score(self, question: str, texts: Sequence[str]) -> list[float]:
        """The logit of each pair through a sigmoid."""
        import torch

        tokenizer, model = _loaded(self.path)
        scores: list[float] = []
        for start in range(0, len(texts), BATCH):
            part = list(texts[start : start + BATCH])
            batch = tokenizer(
                [question] * len(part),
                part,
                padding=True,
                truncation=True,
                max_length=self._tokens,
                return_tensors="pt",
            )
            with torch.inference_mode():
                logits = model(**batch).logits
            if logits.shape[1] != 1:
                raise UserError(f"the model in {self.path} has {logits.shape[1]} outputs: a reranker has one")
            scores += torch.sigmoid(logits[:, 0].float()).tolist()
        return scores


class EndpointReranker:
    """An endpoint that speaks ``/rerank`` as Cohere, Jina, vLLM and llama.cpp do."""

    def __init__(self, base_url: str, key: str, model: str, *, timeout_s: float = 30.0) -> None:
        from store.models.endpoints import Endpoint

        self.name = model
        self._endpoint = Endpoint(base_url, "/rerank", key, kind="reranking", timeout_s=timeout_s)

    def score(self, question: str, texts: Sequence[str]) -> list[float]:
        """UserError for a refused key, PassingFault when the endpoint does not answer or answers nonsense."""
        body = {"model": self.name, "query": question, "documents": list(texts), "top_n": len(texts)}

        def read(answer: Any) -> list[float]:
            found = {int(entry["index"]): float(entry["relevance_score"]) for entry in answer["results"]}
            return [min(max(found[index], 0.0), 1.0) for index in range(len(texts))]

        return self._endpoint.post(body, read)


def load_reranker(spec: str, *, base_url: str | None = None, api_key: str | None = None) -> Reranker | None:
    """The reranker that a setting names: ``none``, ``endpoint:MODEL`` (with ``base_url``), or a folder. UserError."""
    if spec == "none":
        return None
    kind, _, model = spec.partition(":")
    if kind == "endpoint" and model:
        if not base_url:
            raise UserError("a reranking endpoint needs its address: set DOJANG_RERANKER_BASE_URL")
        return EndpointReranker(base_url, api_key or "", model)
    return CrossEncoder(Path(spec))


@functools.cache
def _loaded(path: Path) -> tuple[Any, Any]:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(path), local_files_only=True)
    return tokenizer, AutoModelForSequenceClassification.from_pretrained(str(path), local_files_only=True).eval()
