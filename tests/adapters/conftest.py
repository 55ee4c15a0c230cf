"""The tiny model on disk and in memory, once a worker."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.local.chat import ChatLlama
from adapters.local.engine import Engine
from adapters.local.loading import load_local
from tests.adapters.tiny import save_adapter, save_base


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_base(tmp_path_factory.mktemp("model") / "tiny-base")


@pytest.fixture(scope="session")
def adapter_folders(base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("adapters")
    return {name: save_adapter(base, root / name, seed=seed) for seed, name in enumerate(("red", "blue"), 1)}


@pytest.fixture(scope="session")
def engine(base: Path, adapter_folders: dict[str, Path]) -> Engine:
    return Engine(load_local(base, adapters=adapter_folders, quantization="fp32", device="cpu"))


@pytest.fixture(autouse=True)
def whoever_speaks_is_set_anew(request: pytest.FixtureRequest) -> None:
    """Tests share one loaded model, and some put an engine of their own over it: none may believe what it set last."""
    if "engine" in request.fixturenames:
        request.getfixturevalue("engine")._active = object()
        request.getfixturevalue("engine").local.model.base_model.enable_adapter_layers()


@pytest.fixture
def chat(engine: Engine) -> ChatLlama:
    return ChatLlama(engine=engine, max_tokens=24)
