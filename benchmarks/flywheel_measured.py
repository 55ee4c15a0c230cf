"""What the flywheel's adapters say to held-out requests and to the old front desk, and what the gate says of them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any, Final

import numpy as np
from flywheel_run import SHIPPED, Run, held, lines, note, say, settings_of
from langchain_core.messages import HumanMessage
from shift import TODAY, Asked, right, whole

from adapters.serving import load_generator
from dojang.flywheel.gating import evaluate_against
from dojang.parts import Parts

OLD_SLICES: Final = (
    "call, unseen names and dates", "missing argument asked", "question, sentence chosen", "abstains without evidence",
)  # fmt: skip
RESAMPLES: Final = 10_000


@dataclass(frozen=True)
class Item:
    """Something to ask, and how to judge the reply: (right, what was said)."""

    key: str
    group: str
    ask: Callable[[Any], tuple[bool, str]]


def shift_items(run: Run) -> list[Item]:
    from tools.toolbox import Toolbox

    box = Toolbox.open(["shift_tools"], today=lambda: TODAY)
    return [Item(a.key, f"shift {a.kind} {a.language}", partial(_shift, box, a)) for a in held(run)]


def _shift(box: Any, asked: Asked, generator: Any) -> tuple[bool, str]:
    reply = generator.reply([HumanMessage(asked.text)], passages=[], tools=box.offered(), language=asked.language)
    calls = reply["message"].tool_calls
    if not calls:
        return False, reply["about"]
    tool, args = calls[0]["name"], box.check(calls[0]["name"], calls[0]["args"])["args"]
    told = json.dumps([tool, whole(tool, args)], ensure_ascii=False, sort_keys=True)
    return right(asked, tool, args), told


def old_items(run: Run, each: int) -> list[Item]:
    """The old domain, half of each slice in Korean; the first so many are the same whatever ``each`` is."""
    from adapters.training.evaluate import LANGUAGES, examples

    return [
        Item(f"{name}:{language}:{n}", f"old {language}", partial(_old, example))
        for name in OLD_SLICES
        for language in LANGUAGES
        for n, example in enumerate(examples(name, language, each, run.seed))
    ]


def _old(example: Any, generator: Any) -> tuple[bool, str]:
    from adapters.training.evaluate import judge, messages_of, passages_of

    sentences = [] if example.turns[-1].role == "ipython" else example.evidence
    reply = generator.reply(
        messages_of(example.turns), passages=passages_of(sentences), tools=example.tools, language=example.language
    )
    return judge(example, reply).right, ""


def measure(run: Run, name: str, adapter: Path) -> dict[str, dict[str, Any]]:
    """What a speaker says to each item; what was asked before the run was cut off is not asked again."""
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    each = run.old_whole if name in (SHIPPED, str(run.main)) else run.old
    items = [*shift_items(run), *old_items(run, each)]
    path = run.work / "measured" / f"{name}.jsonl"
    path.parent.mkdir(exist_ok=True)
    done = {line["key"]: line for line in lines(path)}
    missing = [item for item in items if item.key not in done]
    if missing:
        generator = load_generator(str(run.base), adapter=adapter, today=TODAY.isoformat())
        begun = monotonic()
        for n, item in enumerate(missing, 1):
            ok, told = item.ask(generator)
            done[item.key] = {"key": item.key, "group": item.group, "right": ok, "said": told}
            note(path, done[item.key])
            if n % 50 == 0:
                say(f"{name}: {n} of {len(missing)} asked, {(monotonic() - begun) / n:.2f} s each")
    return {item.key: done[item.key] for item in items}


@dataclass(frozen=True)
class Interval:
    """A share or a difference of shares with its 95 % interval, and of how many."""

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{100 * self.value:+.1f} [{100 * self.low:+.1f}, {100 * self.high:+.1f}]"


def paired(before: Sequence[bool], after: Sequence[bool], seed: int) -> Interval:
    """The difference of two shares over the same items, by bootstrap (percentiles of resampled items)."""
    gained = np.asarray(after, dtype=float) - np.asarray(before, dtype=float)
    rng = np.random.default_rng(seed)
    means = gained[rng.integers(0, len(gained), (RESAMPLES, len(gained)))].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return Interval(float(gained.mean()), float(low), float(high), len(gained))


def compared(run: Run, first: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Champion and candidate over the items that both were asked."""
    both = [key for key in first if key in other]

    def of(prefix: str) -> tuple[list[bool], list[bool]]:
        keys = [key for key in both if first[key]["group"].startswith(prefix)]
        return [first[k]["right"] for k in keys], [other[k]["right"] for k in keys]

    wrong = [k for k in both if first[k]["group"].startswith("shift") and not first[k]["right"] and first[k]["said"]]
    again = sum(other[k]["said"] == first[k]["said"] for k in wrong)
    told: dict[str, Any] = {"repeated": again / max(len(wrong), 1), "rejected": len(wrong)}
    for name, prefix in (("match", "shift"), ("en", "shift table en"), ("ko", "shift table ko"), ("old", "old")):
        before, after = of(prefix)
        told[name] = sum(after) / max(len(after), 1)
        told[f"{name}_gain"] = paired(before, after, run.seed)
    return told


def gated(run: Run, adapter: Path, dataset: str) -> tuple[str, list[str]]:
    """What the gate says of an adapter beside the shipped one, on the held-out decisions: verdict and reasons."""

    def tell(done: int, total: int, who: str) -> None:
        if done % 100 == 0:
            say(f"gate: {done} of {total} replies ({who})")

    with closing(Parts(settings_of(run))) as parts:
        path = evaluate_against(parts, adapter, "champion", dataset, on_progress=tell, old_items=run.old)
    told = json.loads(path.read_text(encoding="utf-8"))
    return told["verdict"], [str(reason) for reason in told["reasons"]]
