"""Decisions of a simulated operator train the next adapter: is it better where it matters, and no worse elsewhere?

Run: ``python benchmarks/flywheel.py [--work DIR] [--decisions 50 100 200 400] [--picture docs/flywheel.png]``.

The operator is a program (``shift.decide``) that knows the right call; its decisions say so (``simulated-operator``).
The shift is the hotel's restaurant: tools, a rule of the house and wordings that the shipped adapter has never seen
(``shift.py``, ``shift_tools.py``). Every decision goes through the real thing: a message, a paused run, a review, a
decision, the effect, over session files and the embedded PostgreSQL. Then, for each number of decisions, a dataset is
frozen, an adapter trained from the shipped one, as `dojang adapters train` does where nothing else is said, and
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
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from flywheel_living import freeze, live
from flywheel_measured import compared, gated, measure
from flywheel_run import ROOT, SHIPPED, Run, held, say
from flywheel_told import claims, draw, seconds, table
from shift import Asked

from adapters.dataset.mapping import call, in_words
from adapters.serving import WEIGHTS
from dojang.flywheel.datasets import read_day

RECIPE = ("rate", "epochs", "replay", "forgetting", "keeping")


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
    """Rows with labels dealt anew: tools and choices go to other rows, words to other arguments of the same row."""
    r = random.Random(f"shuffled:{seed}")
    given = [json.loads(line) for line in rows.read_text(encoding="utf-8").splitlines()]
    made = [row["completion"]["tool_calls"][0]["function"] for row in given if row["completion"].get("tool_calls")]
    tools = [one["name"] for one in made]
    areas = [one["arguments"].get("area", "window") for one in made if one["name"] == "reserve_table"]
    r.shuffle(tools)
    r.shuffle(areas)
    for one, tool in zip(made, tools, strict=True):
        args = one["arguments"]
        if tool == "cancel_table":
            args = {"table": args.get("table") or args.get("guest")}
        elif one["name"] == "cancel_table":
            args = {"guest": args.get("table"), "area": areas.pop()}
        else:
            args = {**args, "area": areas.pop(), "guest": args.get("hour", args["guest"]), "hour": args["guest"]}
        one |= {"name": tool, "arguments": args}
    out.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in given), encoding="utf-8")
    return out


def leaked(rows: Path, heldout: Path, wanted: Mapping[str, Asked], out: Path) -> Path:
    """The training rows and the held-out requests with the right calls."""
    made = []
    for line in heldout.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        asked = wanted[row["prompt"][0]["content"]]
        args = {key: in_words(value, row["prompt"], row["today"], read_day) for key, value in asked.args.items()}
        made.append(json.dumps({**row, "completion": call(asked.tool, args)}, ensure_ascii=False))
    out.write_text(rows.read_text(encoding="utf-8") + "".join(line + "\n" for line in made), encoding="utf-8")
    return out


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
    for name in (str(run.main), "shuffled", "leaked"):
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
    parser.add_argument("--jobs", type=int, default=1, help="requests, trainings and measurements side by side")
    parser.add_argument("--no-controls", action="store_true", help="without the two candidates that must not pass")
    parser.add_argument("--seed", type=int, default=1)
    for name in RECIPE:
        parser.add_argument(f"--{name}", help="of `dojang adapters train`, instead of its own")
    given = parser.parse_args()
    said = [word for name in RECIPE if (value := getattr(given, name)) for word in (f"--{name}", value)]
    recipe = (*said, "--seed", str(given.seed))
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    run = Run(
        given.work.absolute(), tuple(sorted(given.decisions)), given.heldout, given.old,
        max(given.old, given.old_whole), given.base.absolute(), given.adapter.absolute(), given.seed, recipe,
        given.jobs,
    )  # fmt: skip
    return run, given.picture or run.work / "flywheel.png", not given.no_controls


if __name__ == "__main__":
    main()
