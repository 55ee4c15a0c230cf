"""The flywheel's proof lives through its requests, each a message, a pause, a decision and an effect; then it freezes.

Requests are lived through by processes side by side and noted in their own order: which decisions are the first 50 does
not depend on who was faster. The held-out ones come last, because the newest conversations are what is held out.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

from flywheel_run import Run, held, lines, note, say, settings_of
from shift import OPERATOR, Asked, decide, requests

from adapters.dataset import folder
from adapters.dataset.building import Choices, build
from adapters.gate.rules import Rules
from adapters.gate.rules import note as note_rules
from dojang.flywheel.datasets import read_day, sessions_of
from dojang.flywheel.points import collect
from dojang.flywheel.stale import Pseudonyms, datasets_of
from dojang.parts import Parts
from dojang.workspace import Workspace
from tools.pii import find

AT_A_TIME: Final = 10
"""Requests of a process between two looks at whether enough was decided."""


def live(run: Run) -> list[dict[str, Any]]:
    """Have the operator decide what the shipped adapter proposes: training requests first, held-out ones last."""
    journal = run.work / "decided.jsonl"
    done = {line["key"]: line for line in lines(journal)}
    begun, at_first = time.monotonic(), len(done)
    with ProcessPoolExecutor(run.jobs, get_context("spawn"), _open, (run,)) as workers:
        for side, some in _rounds(run, done):
            for line in workers.map(partial(_lived_here, side), some):
                done[line["key"]] = line
                note(journal, line)
            each = (time.monotonic() - begun) / (len(done) - at_first)
            say(f"{sum(bool(d['type']) for d in done.values())} decisions ({side}), {each:.2f} s each")
    return list(done.values())


def _rounds(run: Run, done: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, list[Asked]]]:
    """What is still to be asked, some at a time; ``done`` grows between two of them."""
    step, wanted = AT_A_TIME * run.jobs, max(run.decisions)
    training = requests("train", 3 * wanted, run.seed)
    for at in range(0, len(training), step):
        if sum(line["side"] == "train" and bool(line["type"]) for line in done.values()) >= wanted:
            break
        if some := [asked for asked in training[at : at + step] if asked.key not in done]:
            if any(line["side"] == "test" for line in done.values()):
                raise SystemExit(
                    f"{run.work} has lived through its held-out requests, which are the newest of all: name another "
                    "folder with --work for more decisions"
                )
            yield "train", some
    testing = [asked for asked in held(run) if asked.key not in done]
    for at in range(0, len(testing), step):
        yield "test", testing[at : at + step]


_OPENED: list[Workspace] = []
"""Of a process that lives through requests."""


def _open(run: Run) -> None:
    _OPENED.append(Workspace(settings_of(run)))


def _lived_here(side: str, asked: Asked) -> dict[str, Any]:
    return {"key": asked.key, "side": side, **_lived(_OPENED[0], asked)}


def _lived(workspace: Workspace, asked: Asked) -> dict[str, Any]:
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
    train = [line["thread"] for line in decided if line["side"] == "train" and line["type"]][:count]
    test = [line["thread"] for line in decided if line["side"] == "test" and line["type"]]
    parts = Parts(settings_of(run))
    points = [p for p in collect(sessions_of(parts)).points if p["thread_id"] in {*train, *test}]
    share = len(test) / (len(test) + len({p["thread_id"] for p in points} - set(test)))
    made = build(
        points, choices=Choices(heldout=min(share, 0.9), alike=1.0), pseudonym=Pseudonyms(run.home), reads=read_day,
        find=lambda text: [(entity.start, entity.end) for entity in find(text)],
    )  # fmt: skip
    parts.close()
    written = folder.write(made, datasets_of(settings_of(run)))
    note_rules(run.home / "gates", written.name, Rules())  # what counts as better, before anything is trained
    return written
