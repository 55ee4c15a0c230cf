"""Our server for ``serving.py`` and ``streams.py``: ``python benchmarks/serving_ours.py HOME`` prints its address.

``HOME DSN WORKERS`` is the same over PostgreSQL; ``HOME DSN WORKERS work`` only carries its runs out, and prints a line
when it begins (``serving_shared.py``).

It is as trivial as our graph gets, and all of ours: intake, retrieve, generate, comply, act and answer, session files,
audit, lease, ledger, workers, everything fsynced. Only what is not the server's is taken out: the model answers at once
(or, where the message says "slow", in as many words as it says), there are no documents and no database, and the one
tool does nothing.
"""

from __future__ import annotations

import sys
import time
from functools import cached_property
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, ToolMessage

from dojang.parts import Parts
from dojang.server import serve
from dojang.server.working import work
from dojang.settings import Settings
from dojang.workspace import Workspace
from state import JSON, Generation
from tools.effects import effect
from tools.toolbox import Toolbox


@effect("irreversible", recovery="idempotent")
def pay(name: str) -> JSON:
    """Pay."""
    return {"paid": name}


def said(message: AIMessage) -> Generation:
    """An answer without a citation says that the documents do not say it, or a person would be asked about it."""
    return Generation(message=message, citations=[], clarification="", about="", abstained=True, speaker="bench")


class AtOnce:
    """The model."""

    def reply(self, messages: Any, **given: Any) -> Generation:
        """Say hello, or want to pay."""
        last = messages[-1]
        if str(last.content).startswith("slow"):
            return said(AIMessage(self._word_by_word(int(str(last.content).split()[1]))))
        if isinstance(last, ToolMessage) or "pay" not in str(last.content):
            return said(AIMessage("hello"))
        return said(AIMessage("", tool_calls=[{"name": "pay", "args": {"name": "kim"}, "id": "call-1"}]))

    def _word_by_word(self, number: int) -> str:
        """So many words of 1 KB, each an event of its own for whoever streams messages."""
        speaker = GenericFakeChatModel(messages=iter([AIMessage(" ".join(["x" * 1_000] * number))]))
        text = ""
        for chunk in speaker.stream("speak"):
            text += chunk.text
            time.sleep(0.02)
        return text


class Nothing:
    """The documents."""

    def search(self, *args: Any, **given: Any) -> list[Any]:
        """None."""
        return []

    def fetch(self, ids: Any) -> list[Any]:
        """None."""
        return []


class Trivial(Parts):
    """The real parts but for the model, the documents and the tool."""

    @cached_property
    def generator(self) -> Any:
        """Whoever speaks."""
        return AtOnce()

    @cached_property
    def generator_of_model(self) -> Any:
        """The same."""
        return self.generator

    @cached_property
    def store(self) -> Any:
        """What is searched."""
        return Nothing()

    @cached_property
    def toolbox(self) -> Toolbox:
        """What may be done."""
        return Toolbox([pay])


def main() -> None:
    """Serve until killed."""
    home, dsn, workers, works = [*sys.argv[1:], "", "4", ""][:4] if len(sys.argv) < 3 else [*sys.argv[1:], ""][:4]
    given: dict[str, Any] = {"home": Path(home), "user": "kim", "language": "en", "port": 0, "embedding": "none"}
    if dsn:
        given |= {"sessions": "postgres", "database_url": dsn, "workers": int(workers)}
    settings = Settings(**given, rate_limit="", queue=100_000, _env_file=None)  # type: ignore[call-arg]
    with Workspace(settings, parts=Trivial(settings)) as workspace:
        if works:
            work(settings, workspace, on_ready=lambda *told: print(*told, flush=True))
        else:
            serve(settings, workspace=workspace, on_ready=lambda url: print(url, flush=True))


if __name__ == "__main__":
    main()
