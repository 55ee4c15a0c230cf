"""A cross-encoder in a folder, and an endpoint that speaks /rerank."""

from __future__ import annotations

from pathlib import Path

import pytest

from state import PassingFault, UserError
from store import MiniLM
from store.models.reranking import CrossEncoder, EndpointReranker, load_reranker
from tests.store.endpoint import Endpoint


@pytest.fixture(scope="module")
def cross_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT with one output and random weights, in the form of a published reranker."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    folder = tmp_path_factory.mktemp("reranker")
    tokenizer = AutoTokenizer.from_pretrained(str(MiniLM().path), local_files_only=True)
    torch.manual_seed(1)
    shape = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = BertConfig.from_dict({"vocab_size": len(tokenizer), "num_labels": 1, **shape})
    BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_a_cross_encoder_reads_pairs(cross_encoder: Path) -> None:
    texts = [f"Parking costs {n} won a night." for n in range(20)]
    reranker = load_reranker(str(cross_encoder))
    assert isinstance(reranker, CrossEncoder)
    scores = reranker.score("How much is parking?", texts)
    assert len(scores) == 20
    assert all(0 < score < 1 for score in scores)
    assert scores[3] == pytest.approx(reranker.score("How much is parking?", texts[3:4])[0], abs=1e-5)
    assert reranker.score("Where is the pool?", texts[:1])[0] != scores[0]
    assert reranker.score("?", []) == []


def test_a_folder_that_is_no_reranker(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no reranking model in"):
        load_reranker(str(tmp_path))
    assert load_reranker("none") is None
    with pytest.raises(UserError, match="DOJANG_RERANKER_BASE_URL"):
        load_reranker("endpoint:m")


def test_an_endpoint_answers_in_its_own_order(endpoint: Endpoint) -> None:
    asked: list[dict[str, object]] = []

    def answer(body: dict[str, object]) -> tuple[int, object]:
        asked.append(body)
        return 200, {"results": [{"index": 1, "relevance_score": 1.4}, {"index": 0, "relevance_score": 0.25}]}

    endpoint.answer = answer
    reranker = load_reranker("endpoint:m", base_url=endpoint.url, api_key="sk-hush")
    assert isinstance(reranker, EndpointReranker)
    assert reranker.score("q", ["a", "b"]) == [0.25, 1.0]
    assert asked == [{"model": "m", "query": "q", "documents": ["a", "b"], "top_n": 2}]
    assert endpoint.keys == ["Bearer sk-hush"]


@pytest.mark.parametrize("data", [{"results": [{"index": 0, "relevance_score": 1.0}]}, {"results": "?"}, []])
def test_an_endpoint_that_answers_nonsense(endpoint: Endpoint, data: object) -> None:
    endpoint.answer = lambda body: (200, data)
    with pytest.raises(PassingFault, match=r"reranking endpoint .* cannot be read"):
        EndpointReranker(endpoint.url, "", "m").score("q", ["a", "b"])
