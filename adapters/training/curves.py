"""How a run went: one JSON object a step for the console, and a picture.

Both hold nothing that differs between two equal runs (no times), and both are made from the trainer's own history,
which a resumed run goes on with.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

LINES: Final = "curves.jsonl"
PICTURE: Final = "curves.png"
_LEFT_OUT: Final = ("runtime", "per_second", "flos", "num_tokens")  # times, and a count that begins anew after a resume
_SHOWN: Final = (("loss", "training"), ("eval_loss", "held out"))
_REWARDS: Final = (("rewards/margins", "training"), ("eval_rewards/margins", "held out"))


def points(history: Iterable[Mapping[str, Any]]) -> list[dict[str, float]]:
    """The trainer's ``log_history`` without what differs between equal runs, and without the summary at its end."""
    return [
        {key: value for key, value in entry.items() if not any(part in key for part in _LEFT_OUT)}
        for entry in history
        if "train_runtime" not in entry
    ]


def write_lines(history: Iterable[Mapping[str, Any]], path: Path) -> None:
    """Replace the file in one step, so that a reader sees whole lines."""
    part = path.with_suffix(".part")
    part.write_text("".join(json.dumps(point, sort_keys=True) + "\n" for point in points(history)), encoding="utf-8")
    os.replace(part, path)


def read_lines(path: Path) -> list[dict[str, float]]:
    """What ``write_lines`` wrote; [] where there is nothing."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def draw(history: Iterable[Mapping[str, Any]], path: Path) -> None:
    """Losses over steps, and for DPO and KTO the margins between good and bad, as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    made = points(history)
    panels = [("loss", _SHOWN)] + ([("reward margin", _REWARDS)] if any(_REWARDS[0][0] in p for p in made) else [])
    figure = Figure(figsize=(6.4 * len(panels), 4.0), layout="constrained")
    FigureCanvasAgg(figure)
    for number, (title, series) in enumerate(panels, 1):
        axes = figure.add_subplot(1, len(panels), number)
        for key, label in series:
            steps, values = _series(made, key)
            if steps:
                axes.plot(steps, values, marker="." if len(steps) < 40 else "", label=label)
        axes.set_xlabel("step")
        axes.set_ylabel(title)
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend()
    figure.savefig(path, format="png", dpi=100, metadata={"Software": None})


def _series(made: Sequence[Mapping[str, float]], key: str) -> tuple[list[float], list[float]]:
    found = [(point["step"], point[key]) for point in made if key in point]
    return [step for step, _ in found], [value for _, value in found]


__all__ = ["LINES", "PICTURE", "draw", "points", "read_lines", "write_lines"]
