"""What a trainer tells while it runs: lines for the console, progress for whoever waits."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from adapters.training import curves


def report_to(lines: Path, told: Callable[[dict[str, float]], None] | None) -> Any:
    """A trainer callback that keeps ``lines`` up to date and calls ``told``. transformers is imported here."""
    from transformers import TrainerCallback

    class Report(TrainerCallback):  # type: ignore[misc, unused-ignore]
        def __init__(self) -> None:
            self.begun = time.monotonic()
            self.first = 0
            self.tokens = 0.0

        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self.begun, self.first = time.monotonic(), state.global_step
            if told:
                told({"step": state.global_step, "total": state.max_steps})

        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
            curves.write_lines(state.log_history, lines)
            if not told or not logs or "train_runtime" in logs:
                return
            spent = max(time.monotonic() - self.begun, 1e-9)
            done = state.global_step - self.first
            said = {"step": state.global_step, "total": state.max_steps}
            said |= {key: float(logs[key]) for key in ("loss", "eval_loss") if key in logs}
            if "num_tokens" in logs and "loss" in logs:
                said["tokens_per_s"] = float(logs["num_tokens"]) / spent
            if done:
                said["left_s"] = spent / done * (state.max_steps - state.global_step)
            told(said)

    return Report()
