"""Embedders: the packaged model, a folder, and an endpoint that misbehaves."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from state import PassingFault, UserError
from store import HuggingFaceEmbedder, MiniLM, OpenAIEmbedder, load_embedder
from tests.store.endpoint import Endpoint

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def minilm() -> MiniLM:
    return MiniLM()


def test_the_packaged_model_knows_meaning(minilm: MiniLM) -> None:
    vectors = minilm.embed(["Where can I leave my car?", "Parking costs 15,000 won.", "The sauna opens at noon."])
    assert vectors.shape == (3, 384)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.1
    assert minilm.languages == {"en"}


def test_a_vector_does_not_depend_on_its_neighbours(minilm: MiniLM) -> None:
    texts = ["short", "a much longer sentence " * 20, "", "middle of the road"] * 10
    together = minilm.embed(texts)
    alone = np.concatenate([minilm.embed([text]) for text in texts[:4]])
    assert np.abs(together[:4] - alone).max() < 1e-4
    assert minilm.embed([]).shape == (0, 384)


def test_importing_the_store_loads_no_model_library() -> None:
    check = (
        "import sys, store\nfrom store import DocumentStore, EmbeddedPostgres, MiniLM\nMiniLM()\n"
        "heavy = {'torch', 'transformers', 'sentence_transformers', 'kiwipiepy'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_settings_name_an_embedder(tmp_path: Path) -> None:
    assert isinstance(load_embedder("minilm"), MiniLM)
    assert load_embedder("none") is None
    endpoint = load_embedder("openai:m", base_url="http://127.0.0.1:1/v1", dimension=3, languages=["ko", "en"])
    assert endpoint is not None
    assert (endpoint.name, endpoint.dimension, sorted(endpoint.languages)) == ("m", 3, ["en", "ko"])
    with pytest.raises(UserError, match="no embedding model in"):
        load_embedder(str(tmp_path))


def embedder(endpoint: Endpoint) -> OpenAIEmbedder:
    return OpenAIEmbedder(endpoint.url, "sk-hush", "m", 2, frozenset({"ko", "en"}))


def test_an_endpoint_answers_in_any_order(endpoint: Endpoint) -> None:
    def answer(body: dict[str, Any]) -> tuple[int, object]:
        rows: list[dict[str, object]] = [
            {"index": n, "embedding": [3.0, 4.0 if "둘" in text else 0.0]} for n, text in enumerate(body["input"])
        ]
        return 200, {"data": rows[::-1]}

    endpoint.answer = answer
    vectors = embedder(endpoint).embed(["하나", "둘"] * 40)
    assert vectors.shape == (80, 2)
    assert np.allclose(vectors[:2], np.array([[1, 0], [0.6, 0.8]]))
    assert set(endpoint.keys) == {"Bearer sk-hush"}


@pytest.mark.parametrize(
    ("status", "data", "kind", "says"),
    [
        (401, {}, UserError, r"refused \(401\): check its address, key"),
        (500, {}, PassingFault, r"failed \(500\)"),
        (429, {}, PassingFault, r"failed \(429\)"),
        (200, {"data": "?"}, PassingFault, "cannot be read"),
        (200, {"data": []}, PassingFault, "cannot be read"),
        (200, {"data": [{"index": 0, "embedding": [float("nan"), 1.0]}]}, PassingFault, "cannot be read"),
        (200, {"data": [{"index": 0, "embedding": [1.0, 2.0, 3.0]}]}, UserError, "gives vectors of 3, 2 are set"),
    ],
)
def test_an_endpoint_that_misbehaves(
    endpoint: Endpoint, status: int, data: object, kind: type[Exception], says: str
) -> None:
    endpoint.answer = lambda body: (status, data)
    with pytest.raises(kind, match=says) as fault:
        embedder(endpoint).embed(["하나"])
    assert "sk-hush" not in str(fault.value)


def test_an_endpoint_that_is_not_there() -> None:
    with pytest.raises(PassingFault, match="does not answer"):
        OpenAIEmbedder("http://127.0.0.1:9/v1", "k", "m", 2, frozenset({"ko"})).embed(["하나"])


def test_a_busy_endpoint_is_asked_again(endpoint: Endpoint) -> None:
    answers = iter([(429, {}), (503, {}), (200, {"data": [{"index": 0, "embedding": [0.0, 2.0]}]})])
    endpoint.answer = lambda body: next(answers)
    assert embedder(endpoint).embed(["하나"]).tolist() == [[0.0, 1.0]]
    assert len(endpoint.keys) == 3


def test_a_refused_key_is_not_tried_again(endpoint: Endpoint) -> None:
    endpoint.answer = lambda body: (401, {})
    with pytest.raises(UserError):
        embedder(endpoint).embed(["하나"])
    assert len(endpoint.keys) == 1


def test_the_width_is_asked_of_the_endpoint(endpoint: Endpoint) -> None:
    endpoint.answer = lambda body: (200, {"data": [{"index": 0, "embedding": [1.0, 0.0, 0.0]} for _ in body["input"]]})
    made = OpenAIEmbedder(endpoint.url, "", "m", None, frozenset({"ko"}))
    assert (made.dimension, made.embed(["하나"]).shape, made.dimension) == (3, (1, 3), 3)
    assert len(endpoint.keys) == 2


def test_an_address_that_is_none(endpoint: Endpoint) -> None:
    with pytest.raises(UserError, match="no http address"):
        OpenAIEmbedder("ftp://example", "k", "m", 2, frozenset({"ko"})).embed(["하나"])


def test_the_revision_is_of_the_weights(minilm: MiniLM, tmp_path: Path) -> None:
    copy = tmp_path / "model"
    shutil.copytree(minilm.path, copy)
    same = HuggingFaceEmbedder(copy, frozenset({"en"}))
    assert (same.name, same.revision, same.dimension) == ("model", minilm.revision, 384)
    weights = copy / "model.safetensors"
    with weights.open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x01")
    other = tmp_path / "other"
    copy.rename(other)
    assert HuggingFaceEmbedder(other, frozenset({"en"})).revision != minilm.revision


def test_pooling_is_read_from_the_folder(minilm: MiniLM, tmp_path: Path) -> None:
    copy = tmp_path / "model"
    shutil.copytree(minilm.path, copy)
    (copy / "1_Pooling" / "config.json").write_text(
        '{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}'
    )
    first = HuggingFaceEmbedder(copy, frozenset({"en"})).embed(["Where can I leave my car?"])
    assert first.shape == (1, 384)
    assert not np.allclose(first, minilm.embed(["Where can I leave my car?"]), atol=1e-2)
    strange = tmp_path / "strange"
    copy.rename(strange)
    (strange / "1_Pooling" / "config.json").write_text('{"pooling_mode_max_tokens": true}')
    with pytest.raises(UserError, match="pools neither"):
        HuggingFaceEmbedder(strange, frozenset({"en"})).embed(["a"])


def test_a_broken_folder_says_so(minilm: MiniLM, tmp_path: Path) -> None:
    copy = tmp_path / "model"
    shutil.copytree(minilm.path, copy, ignore=shutil.ignore_patterns("*.safetensors"))
    with pytest.raises(UserError, match="cannot be loaded"):
        HuggingFaceEmbedder(copy, frozenset({"en"})).embed(["a"])
