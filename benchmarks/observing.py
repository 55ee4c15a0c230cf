"""What observing costs a turn: the same turns with everything off, with numbers, with spans and numbers, in turn.

A turn is one question on a thread of its own, through the whole graph, its search in PostgreSQL and its session files;
the model answers by a rule, so that nothing hides behind it. Spans are sent to nobody (an exporter that drops them).
The three ways alternate, so that what else the machine does falls on all of them.

    python benchmarks/observing.py [--turns 100]
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from langchain_core.messages import AIMessage
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from dojang.observing.metrics import Metrics
from dojang.observing.observer import Observer
from dojang.observing.statements import put_in
from dojang.observing.tracing import Tracing
from dojang.parts import Parts
from dojang.settings import Settings
from dojang.workspace import Workspace
from nodes.ports import Generator
from state import Generation


class Rule:
    """A model that says that the documents do not say."""

    def reply(self, messages: object, **given: object) -> Generation:
        """The same words, at once."""
        return Generation(
            message=AIMessage(content="The documents do not say."),
            citations=[],
            clarification="",
            about="",
            abstained=True,
            speaker="rule@none",
        )


class RuleParts(Parts):
    """The real parts, but for the model."""

    @property
    def generator_of_model(self) -> Generator:  # type: ignore[override]
        """The rule."""
        return Rule()

    generator = generator_of_model  # type: ignore[assignment]


class Nowhere(SpanExporter):
    """Drops spans."""

    def export(self, spans: object) -> SpanExportResult:
        """Done."""
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Nothing."""


def observers(parts: Parts) -> dict[str, Observer]:
    """The ways to be observed, the cheapest first."""
    numbers = {"metrics": Metrics(parts.tool_names), "tools": parts.tool_names}
    tracing = Tracing.start("bench", Nowhere())
    return {"off": Observer(), "numbers": Observer(**numbers), "numbers, spans": Observer(**numbers, tracing=tracing)}


def main() -> None:
    """Measure and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=100, help="turns of each way")
    turns = parser.parse_args().turns
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder) / "home", embedding="none", _env_file=None)  # type: ignore[call-arg]
        with Workspace(settings, parts=RuleParts(settings)) as workspace:
            report(workspace, turns)


def report(workspace: Workspace, turns: int) -> None:
    """The table."""
    put_in(None, None)  # pooled connections keep the cursors that they were opened with: let them be those that tell
    workspace.ask("warming up")
    ways = observers(workspace.parts)
    took: dict[str, list[float]] = {name: [] for name in ways}
    for n in range(turns + 5):
        for name, observer in ways.items():
            workspace.parts.observer = observer
            observer.start()
            began = time.process_time()
            workspace.ask("Is there a swimming pool?")
            spent = time.process_time() - began
            observer.stop()
            if n >= 5:
                took[name].append(spent * 1000)
    off = statistics.median(took["off"])
    print(f"{turns} turns each; processor time of the process in ms; load {os.getloadavg()[0]:.1f}\n")
    print("| observed | median | quartiles | against off |\n|---|---|---|---|")
    for name, values in took.items():
        low, middle, high = statistics.quantiles(values, n=4)
        print(f"| {name} | {middle:.2f} | {low:.2f}–{high:.2f} | {middle / off:.3f} |")
    print(f"\nOff, a turn pays {hook_us():.1f} µs for being able to be observed.")


def hook_us() -> float:
    """What the turn runs of the observer where everything is off: its callbacks listed, the thread's id noted."""
    observer, times = Observer(), 100_000
    began = time.perf_counter()
    for _ in range(times):
        _ = [*(), *observer.callbacks]
        with observer.on("th_1"):
            pass
    return (time.perf_counter() - began) / times * 1e6


if __name__ == "__main__":
    main()
