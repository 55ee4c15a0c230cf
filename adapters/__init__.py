"""The generator: local LLaMA checkpoints with adapters, or any OpenAI-compatible endpoint, behind one port.

    from adapters import load_generator
    generator = load_generator("embedded", today="2026-11-22")

Importing this package imports neither torch nor transformers; loading a local model does.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from adapters.serving import EMBEDDED, EMBEDDED_ADAPTER, WEIGHTS, load_chat, load_generator

if TYPE_CHECKING:
    from adapters.decoding import Decoding
    from adapters.generator import ChatGenerator
    from adapters.local.chat import ChatLlama

__all__ = [
    "EMBEDDED",
    "EMBEDDED_ADAPTER",
    "WEIGHTS",
    "ChatGenerator",
    "ChatLlama",
    "Decoding",
    "load_chat",
    "load_generator",
]


def __getattr__(name: str) -> object:
    """The classes, on first use: langchain-core takes its time to import."""
    homes = {"ChatGenerator": "adapters.generator", "Decoding": "adapters.decoding", "ChatLlama": "adapters.local.chat"}
    if name in homes:
        return getattr(import_module(homes[name]), name)
    raise AttributeError(f"module 'adapters' has no attribute {name!r}")
