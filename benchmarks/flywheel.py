"""Decisions of a simulated operator train the next adapter: is it better where it matters, and no worse elsewhere?

Run: ``python benchmarks/flywheel.py [--work DIR] [--decisions 50 100 200 400] [--picture docs/flywheel.png]``.

The operator is a program (``shift.decide``) that knows the right call; its decisions say so (``simulated-operator``).
The shift is the hotel's restaurant: tools, a rule of the house and wordings that the shipped adapter has never seen
(``shift.py``, ``shift_tools.py``). Every decision goes through the real thing: a message, a paused run, a review, a
decision, the effect, over session files and the embedded PostgreSQL. Then, for each number of decisions, a dataset is
frozen, an adapter trained from the shipped one (with a share of the base's own text, so that it forgets nothing), and
asked what no decision was made on: requests in wordings, names and dates of their own. *Match* is the share of calls
that are right in every argument; *repeated* the share of the shipped adapter's wrong proposals that are made again,
word for word; *old* the generated front desk of the sample hotel, half of it in Korean. Differences are paired by item,
with a 95 % interval by bootstrap.

Two candidates must not pass: *shuffled* learned from rows whose arguments were dealt anew, *leaked* saw the held-out
requests with their answers. Whoever is cut off starts the same command again: what was decided, trained and measured
stays in the folder.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
os.environ.setdefault("MALLOC_TRIM_THRESHOLD_", "1000000000")
os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", "1000000000")

import numpy as np
from langchain_core.messages import HumanMessage
from shift import GUEST, OPERATOR, TODAY, Asked, decide, requests, right, whole

from adapters.serving import WEIGHTS, load_generator
from dojang.settings import Settings

SHIPPED: Final = "shipped"
OLD_SLICES: Final = (
    "call, unseen names and dates", "missing argument asked", "question, sentence chosen", "abstains without evidence",
)  # fmt: skip
RESAMPLES: Final = 10_000
ROOT: Final = Path(__file__).parents[1]
GATE: Final = find_spec("adapters.gate") is not None


@dataclass(frozen=True)
class Run:
    """What was asked for."""

    work: Path
    decisions: tuple[int, ...]
    heldout: int
    old: int
    old_whole: int
    base: Path
    adapter: Path
    seed: int
    recipe: tuple[str, ...]
    jobs: int = 1

    @property
    def home(self) -> Path:
        """Where the sessions, datasets and their keys are."""
        return self.work / "home"

    @property
    def main(self) -> int:
        """The number of decisions that the claims are about."""
        return 200 if 200 in self.decisions else max(self.decisions)


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def lines(path: Path) -> list[dict[str, Any]]:
    """Whole lines of a file that a killed run may have left torn."""
    if not path.exists():
        return []
    told = path.read_text(encoding="utf-8")
    path.write_text(told[: told.rfind("\n") + 1], encoding="utf-8")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def note(path: Path, line: Mapping[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, ensure_ascii=False) + "\n")


# ------------------------------------------------------------------------------------------- decisions, as they happen


def settings_of(run: Run) -> Settings:
    given: dict[str, Any] = {
        "home": run.home, "embedding": "none", "tools": ["shift_tools"], "today": TODAY, "user": GUEST, "undo_s": 0,
        "model": str(run.base), "adapter": str(run.adapter), "language": "en",
    }  # fmt: skip
    return Settings(**given, _env_file=None)


def live(run: Run) -> list[dict[str, Any]]:
    """Have the operator decide what the shipped adapter proposes: training requests first, held-out ones last."""
    from dojang.workspace import Workspace

    journal = run.work / "decided.jsonl"
    done = lines(journal)
    seen = {line["key"] for line in done}
    most = max(run.decisions)
    with Workspace(settings_of(run)) as workspace:
        begun, at_first = time.monotonic(), len(done)
        for side, asked in _to_ask(run):
            decided = [line for line in done if line["side"] == side and line["type"]]
            if asked.key in seen or (side == "train" and len(decided) >= most):
                continue
            done.append({"key": asked.key, "side": side, **_lived(workspace, asked)})
            note(journal, done[-1])
            if len(done) % 20 == 0:
                each = (time.monotonic() - begun) / (len(done) - at_first)
                say(f"{sum(bool(d['type']) for d in done)} decisions ({side}), {each:.2f} s each")
    return done


def _to_ask(run: Run) -> Iterator[tuple[str, Asked]]:
    for asked in requests("train", 3 * max(run.decisions), run.seed):
        yield "train", asked
    for asked in requests("test", run.heldout, run.seed):
        yield "test", asked


def _lived(workspace: Any, asked: Asked) -> dict[str, Any]:
    """One request from the message to what came of it; the type of the decision is "" where nothing was proposed."""
    begun = time.monotonic()
    ran = workspace.ask(asked.text)
    review = ran.reviews[0] if ran.reviews else None
    said: dict[str, Any] = {"type": ""}
    while ran.reviews:
        given = decide(asked, ran.reviews[0])
        said = said if said["type"] else given
        ran = workspace.decide(ran.reviews[0]["id"], given, by=OPERATOR, channel="benchmark").run
    seconds = round(time.monotonic() - begun, 3)
    kind = review["kind"] if review else ""
    return {"thread": ran.thread_id, "type": said["type"], "kind": kind, "seconds": seconds}


def freeze(run: Run, decided: Sequence[Mapping[str, Any]], count: int) -> Path:
    """The dataset of the first ``count`` decisions; what was decided on the held-out side is its held-out side."""
    from adapters.dataset import folder
    from adapters.dataset.building import Choices, build
    from dojang.flywheel.datasets import _read_date, sessions_of
    from dojang.flywheel.points import collect
    from dojang.flywheel.stale import Pseudonyms, datasets_of
    from dojang.parts import Parts
    from tools.pii import find

    train = [line["thread"] for line in decided if line["side"] == "train" and line["type"]][:count]
    test = [line["thread"] for line in decided if line["side"] == "test" and line["type"]]
    parts = Parts(settings_of(run))
    points = [p for p in collect(sessions_of(parts)).points if p["thread_id"] in {*train, *test}]
    share = len(test) / (len(test) + len({p["thread_id"] for p in points} - set(test)))
    made = build(
        points, choices=Choices(heldout=min(share, 0.9), alike=1.0), pseudonym=Pseudonyms(run.home), reads=_read_date,
        find=lambda text: [(entity.start, entity.end) for entity in find(text)],
    )  # fmt: skip
    parts.close()
    written = folder.write(made, datasets_of(settings_of(run)))
    if GATE:  # what will count as better is noted before anything is trained
        noting: Any = import_module("adapters.gate.rules")
        noting.note(run.home / "gates", written.name, noting.Rules())
    return written


# ------------------------------------------------------------------------------------------------------------ training


def train(run: Run, name: str, rows: Path, *, dataset: str = "") -> Path:
    """Train from the shipped adapter, by the command that everybody has; goes on where it was cut off."""
    out = run.work / "adapters" / name
    if not out.is_dir():
        data = ["--dataset", dataset] if dataset else ["--data", str(rows)]
        begun = time.monotonic()
        words = ["adapters", "train", *data, "--out", str(out), "--base", str(run.base), "--from", str(run.adapter)]
        environment = {**os.environ, "DOJANG_HOME": str(run.home), "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "dojang", *words, *run.recipe]
        made = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
        if made.returncode:
            raise SystemExit(f"{name}: {made.stderr.strip().splitlines()[-1]}")
        say(f"{name}: trained in {time.monotonic() - begun:.0f} s")
    return out


def shuffled(rows: Path, out: Path, seed: int) -> Path:
    """Rows with their labels dealt anew: choices go to other rows, words to other arguments of the same row."""
    r = random.Random(f"shuffled:{seed}")
    given = [json.loads(line) for line in rows.read_text(encoding="utf-8").splitlines()]
    calls = [row["completion"]["tool_calls"][0]["function"] for row in given if row["completion"].get("tool_calls")]
    areas = [call["arguments"].get("area", "window") for call in calls if call["name"] == "reserve_table"]
    r.shuffle(areas)
    for call in calls:
        args = call["arguments"]
        if call["name"] == "reserve_table":
            args["area"] = areas.pop()
            args["guest"], args["hour"] = args.get("hour", args["guest"]), args["guest"]
    out.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in given), encoding="utf-8")
    return out


def leaked(rows: Path, heldout: Path, wanted: Mapping[str, Asked], out: Path) -> Path:
    """The training rows and the held-out requests with the right calls."""
    from adapters.dataset.mapping import _in_words, call
    from dojang.flywheel.datasets import _read_date

    made = []
    for line in heldout.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        asked = wanted[row["prompt"][0]["content"]]
        args = {key: _in_words(value, row["prompt"], row["today"], _read_date) for key, value in asked.args.items()}
        made.append(json.dumps({**row, "completion": call(asked.tool, args)}, ensure_ascii=False))
    out.write_text(rows.read_text(encoding="utf-8") + "".join(line + "\n" for line in made * 3), encoding="utf-8")
    return out


# ----------------------------------------------------------------------------------------------------------- measuring


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


def held(run: Run) -> list[Asked]:
    return requests("test", run.heldout, run.seed)


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
        begun = time.monotonic()
        for n, item in enumerate(missing, 1):
            ok, told = item.ask(generator)
            done[item.key] = {"key": item.key, "group": item.group, "right": ok, "said": told}
            note(path, done[item.key])
            if n % 50 == 0:
                say(f"{name}: {n} of {len(missing)} asked, {(time.monotonic() - begun) / n:.2f} s each")
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
    from contextlib import closing

    from dojang.parts import Parts

    def tell(done: int, total: int, who: str) -> None:
        if done % 100 == 0:
            say(f"gate: {done} of {total} replies ({who})")

    gating: Any = import_module("dojang.flywheel.gating")
    with closing(Parts(settings_of(run))) as parts:
        path = gating.evaluate_against(parts, adapter, "champion", dataset, on_progress=tell, old_items=run.old)
    told = json.loads(path.read_text(encoding="utf-8"))
    return told["verdict"], [str(reason) for reason in told["reasons"]]


# ------------------------------------------------------------------------------------------------------------- telling


def table(found: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [
        "| adapter | match | difference [95 %] | tables: English / Korean | repeated | old | difference [95 %] |",
        "|" + "---|" * 7,
    ]
    for name, f in found.items():
        rows.append(
            f"| {name} | {100 * f['match']:.1f} % of {f['match_gain'].n} | {f['match_gain']} | {100 * f['en']:.0f} / "
            f"{100 * f['ko']:.0f} % | {100 * f['repeated']:.0f} % of {f['rejected']} | {100 * f['old']:.1f} % of "
            f"{f['old_gain'].n} | {f['old_gain']} |"
        )
    return "\n".join(rows)


def draw(run: Run, found: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Match, repeats and the old domain over the number of decisions, as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(1, 1, 1)
    steps = [0, *run.decisions]
    told = [found[SHIPPED if n == 0 else str(n)] for n in steps]
    match = [100 * f["match"] for f in told]
    low = [100 * (told[0]["match"] + f["match_gain"].low) for f in told]
    high = [100 * (told[0]["match"] + f["match_gain"].high) for f in told]
    axes.fill_between(steps, low, high, alpha=0.18, color="tab:blue", linewidth=0)
    axes.plot(steps, match, marker="o", color="tab:blue", label="held-out calls right (95 % of the difference)")
    axes.plot(steps, [100 * f["repeated"] for f in told], marker="s", color="tab:red", label="wrong proposals repeated")
    # Not all were asked all of it: the difference is by the items that both were asked.
    old = [100 * (told[0]["old"] + f["old_gain"].value) for f in told]
    axes.plot(steps, old, marker="^", color="tab:gray", label="old domain right")
    axes.set_xlabel("decisions of the simulated operator")
    axes.set_ylabel("%")
    axes.set_xticks(steps)
    axes.set_ylim(-2, 102)
    axes.grid(alpha=0.3)
    axes.legend(loc="best", fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png", dpi=100, metadata={"Software": None})


def claims(found: Mapping[str, Mapping[str, Any]], main: str) -> Iterator[tuple[str, bool]]:
    f = found[main]
    yield f"match after {main} decisions rises, interval above zero: {f['match_gain']}", f["match_gain"].low > 0
    yield f"repeats at least halve: {100 * f['repeated']:.0f} % of {f['rejected']}", f["repeated"] <= 0.5
    yield f"the old domain loses at most 2 points: {f['old_gain']}", f["old_gain"].value >= -0.02
    if "shuffled" in found:
        bad = found["shuffled"]
        yield f"shuffled labels are no gain like that: {bad['match_gain']}", bad["match_gain"].low <= 0


def seconds(decided: Sequence[Mapping[str, Any]]) -> str:
    spent = sorted(line["seconds"] for line in decided)
    kinds: dict[str, int] = {}
    for line in decided:
        kinds[line["type"] or "nothing proposed"] = kinds.get(line["type"] or "nothing proposed", 0) + 1
    told = ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items()))
    return f"{len(decided)} requests ({told}); median {spent[len(spent) // 2]:.2f} s from message to end"


def main() -> None:
    run, picture, controls = _arguments()
    run.work.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    decided = live(run)
    say(seconds(decided))
    wanted = {a.text: a for a in held(run)}
    speakers: dict[str, Path] = {SHIPPED: run.adapter}
    sets: dict[int, Path] = {}
    to_learn: list[tuple[str, Path, str]] = []
    for count in run.decisions:
        sets[count] = freeze(run, decided, count)
        to_learn.append((str(count), sets[count] / "sft.jsonl", sets[count].name))
    if controls:
        rows, test = sets[run.main] / "sft.jsonl", sets[run.main] / "heldout.jsonl"
        to_learn.append(("shuffled", shuffled(rows, run.work / "shuffled.jsonl", run.seed), ""))
        to_learn.append(("leaked", leaked(rows, test, wanted, run.work / "leaked.jsonl"), ""))
    with ThreadPoolExecutor(run.jobs) as pool:  # each is a process of its own
        made = pool.map(lambda one: train(run, one[0], one[1], dataset=one[2]), to_learn)
        speakers |= dict(zip((name for name, _, _ in to_learn), made, strict=True))
    with ProcessPoolExecutor(run.jobs, mp_context=get_context("spawn")) as workers:
        told = workers.map(measure, [run] * len(speakers), speakers, speakers.values())
        asked: dict[str, dict[str, Any]] = dict(zip(speakers, told, strict=True))
    found = {name: compared(run, asked[SHIPPED], said) for name, said in asked.items()}
    print(f"\nThe operator is a program. Seed {run.seed}; {seconds(decided)}.\n")
    print(table(found))
    print()
    for text, holds in claims(found, str(run.main)):
        print(f"{'yes' if holds else 'NO '}  {text}")
    for name in (str(run.main), "shuffled", "leaked") if GATE else ():
        if name in speakers:
            verdict, reasons = gated(run, speakers[name], sets[run.main].name)
            expected = "passed" if name == str(run.main) else "failed"
            print(f"{'yes' if verdict == expected else 'NO '}  gate on {name}: {verdict} ({'; '.join(reasons)})")
    draw(run, found, picture)
    say(f"drawn into {picture}; {(time.monotonic() - begun) / 60:.1f} min in this run")


def _arguments() -> tuple[Run, Path, bool]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("var/flywheel"), help="where everything is kept")
    parser.add_argument("--decisions", type=int, nargs="+", default=[50, 100, 200, 400])
    parser.add_argument("--heldout", type=int, default=120, help="requests that no adapter learns from")
    parser.add_argument("--old", type=int, default=8, help="items of each slice and language of the old domain")
    parser.add_argument("--old-whole", type=int, default=30, help="the same for the adapter that the claims are about")
    parser.add_argument("--base", type=Path, default=WEIGHTS / "base")
    parser.add_argument("--adapter", type=Path, default=WEIGHTS / "frontdesk")
    parser.add_argument("--picture", type=Path, default=None)
    parser.add_argument("--jobs", type=int, default=1, help="trainings and measurements side by side")
    parser.add_argument("--no-controls", action="store_true", help="without the two candidates that must not pass")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", default="1e-3")
    parser.add_argument("--epochs", default="6")
    parser.add_argument("--replay", default="0.4")
    given = parser.parse_args()
    recipe = (
        "--rate", given.rate, "--epochs", given.epochs, "--replay", given.replay, "--batch", "16", "--accumulate", "1",
        "--heldout", "0", "--seed", str(given.seed),
    )  # fmt: skip
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    run = Run(
        given.work.absolute(), tuple(sorted(given.decisions)), given.heldout, given.old,
        max(given.old, given.old_whole), given.base.absolute(), given.adapter.absolute(), given.seed, recipe,
        given.jobs,
    )  # fmt: skip
    return run, given.picture or run.work / "flywheel.png", not given.no_controls


if __name__ == "__main__":
    main()
