"""One turn of the flywheel: decisions → dataset → adapter → gate → a promotion that waits for a person.

``DOJANG_HOME/cycle.json`` says how far a turn has got; each stage leaves its work where it belongs (datasets, models,
registry, gates, a thread), named by content, so that the same command goes on after whatever stopped it. Nothing is
promoted here: the last stage asks a person.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypedDict

from adapters.dataset.building import Choices
from adapters.durable import sync_dir
from adapters.registry.aliases import CANDIDATE, CHAMPION
from adapters.serving import EMBEDDED, EMBEDDED_ADAPTER, ENDPOINT, WEIGHTS
from adapters.training.recipe import Recipe
from dojang.flywheel.gating import OLD_ITEMS, evaluate_against
from dojang.served import registry_of
from state import BrokenInvariant, Conflict, UserError

if TYPE_CHECKING:
    from dojang.flywheel.promoting import Home

FILE: Final = "cycle.json"
FORMAT: Final = 1
Stage = Literal["dataset", "train", "register", "evaluate", "propose"]
OnStage = Callable[[Stage], None]
OnProgress = Callable[[dict[str, Any]], None]


class Turn(TypedDict):
    """How far a turn has got; what it has not reached is ""."""

    format: int
    plan: dict[str, Any]
    dataset: str
    adapter: str  # of the registry
    report: str
    verdict: str  # passed, failed, cannot_tell
    thread_id: str  # where the promotion waits; "" where the gate did not let it through
    ended: bool


@dataclass(frozen=True)
class Plan:
    """How a turn is made; another plan is another turn.

    ``replay``: share of the base's own old text. ``old_items``: of the old domain, for each slice and language.
    """

    choices: Choices = field(default_factory=Choices)
    recipe: Recipe = field(default_factory=Recipe)
    replay: float | None = None
    old_items: int = OLD_ITEMS

    def told(self) -> dict[str, Any]:
        """As it stands in the file."""
        told = {
            "choices": asdict(self.choices),
            "recipe": self.recipe.checked().settings(),
            "replay": self.replay,
            "old_items": self.old_items,
        }
        return dict(json.loads(json.dumps(told)))


class Cycle:
    """A turn over the home of a workspace."""

    def __init__(self, workspace: Home, plan: Plan, *, on_stage: OnStage, on_progress: OnProgress) -> None:
        self.workspace, self.plan = workspace, plan
        self.settings, self.parts = workspace.settings, workspace.parts
        self.registry = registry_of(self.settings)
        self.file = self.settings.home / FILE
        self._stage, self._progress = on_stage, on_progress
        if self.settings.model.startswith(ENDPOINT):
            raise UserError(
                "the model of an endpoint is trained where it lives: `dojang adapters dataset export` writes its rows, "
                "and DOJANG_MODEL names a local base for a cycle here"
            )

    def turn(self, *, fresh: bool = False) -> Turn:
        """Go on with the turn that was begun, or begin one; where nothing was decided since the last, that one.

        Raises:
            UserError: too little was decided, another plan's turn is unfinished, or a stage cannot be done.
            Conflict: another process is at it.
        """
        with self._alone():
            told = self._begun(fresh=fresh)
            if not told["adapter"]:
                told = self._made(told)
            if not told["report"]:
                told = self._measured(told)
            if not told["ended"]:
                told = self._proposed(told)
        return told

    # -- stages ---------------------------------------------------------------------------------------------------

    def _begun(self, *, fresh: bool) -> Turn:
        """The turn to go on with: its dataset is frozen."""
        from dojang.flywheel.datasets import build_dataset

        there, plan = self._read(), self.plan.told()
        if there is not None and not there["ended"] and not fresh:
            if there["plan"] != plan:
                raise UserError(
                    f"{self.file} holds an unfinished turn with other settings; give the same ones to finish it, or "
                    "begin anew with --fresh"
                )
            return there
        self._stage("dataset")
        said = {"of": "sessions"}
        folder, _, _ = build_dataset(
            self.parts,
            self.plan.choices,
            on_progress=lambda done, total: self._progress({**said, "done": done, "total": total}),
        )
        if (
            there is not None
            and there["ended"]
            and not fresh
            and (there["dataset"], there["plan"]) == (folder.name, plan)
        ):
            return there
        blank = Turn(
            format=FORMAT, plan=plan, dataset=folder.name, adapter="", report="", verdict="", thread_id="", ended=False
        )
        return self._write(blank)

    def _made(self, told: Turn) -> Turn:
        """Train an adapter of the dataset, from the champion on, and take it into the registry as the candidate."""
        from adapters.training.material import Wanted, gathered
        from adapters.training.run import open_base, train
        from dojang.flywheel.datasets import trainable

        self._stage("train")
        dataset, out = trainable(self.settings, told["dataset"]), self._place(told)
        if not (out / "adapter_config.json").is_file():
            recipe = self.plan.recipe
            base = open_base(self._base(), recipe.quantization)
            start = self._start()
            rows, sources = gathered(base, recipe, Wanted(dataset, replay=self.plan.replay, start=start))
            train(base, out, rows, recipe, sources=sources, start=start, on_progress=self._progress)
        self._stage("register")
        entry = self.registry.add(out)
        seen = self.registry.aliases()
        if entry["id"] not in (seen.get(CANDIDATE), seen.get(CHAMPION)):
            why = f"cycle over dataset {told['dataset']}"
            self.registry.nominate(entry["id"], seen=seen.get(CANDIDATE), by=self.settings.user, reason=why)
        told = self._write({**told, "adapter": entry["id"]})
        shutil.rmtree(out, ignore_errors=True)  # the registry has it
        return told

    def _measured(self, told: Turn) -> Turn:
        from adapters.gate.report import read_report

        self._stage("evaluate")
        path = evaluate_against(
            self.parts, told["adapter"], dataset=told["dataset"],
            on_progress=lambda done, total, who: self._progress({"done": done, "total": total, "who": who}),
            old_items=self.plan.old_items,
        )  # fmt: skip
        report = read_report(path.parent, path.stem)
        return self._write({**told, "report": report["id"], "verdict": report["verdict"]})

    def _proposed(self, told: Turn) -> Turn:
        """Ask a person, where the gate let it through."""
        from dojang.flywheel.promoting import propose

        if told["verdict"] != "passed":
            return self._write({**told, "ended": True})
        self._stage("propose")
        reason = f"cycle over dataset {told['dataset']}"
        run = propose(self.workspace, told["adapter"], told["report"], reason)
        return self._write({**told, "thread_id": run.thread_id, "ended": True})

    # -- where things are -----------------------------------------------------------------------------------------

    def _base(self) -> Path:
        return WEIGHTS / "base" if self.settings.model == EMBEDDED else Path(self.settings.model)

    def _start(self) -> Path | None:
        """What is trained on: the champion, or else the adapter that goes with the model."""
        if (champion := self.registry.aliases().get(CHAMPION)) is not None:
            return self.registry.path(champion)
        return WEIGHTS / EMBEDDED_ADAPTER if self.settings.model == EMBEDDED else None

    def _place(self, told: Turn) -> Path:
        """Where it is trained: named by all that it follows from, so that other settings never take over its work."""
        follows = json.dumps([told["plan"], str(self._start())], sort_keys=True)
        return (
            self.settings.home
            / "models"
            / f"cycle-{told['dataset']}-{hashlib.sha256(follows.encode()).hexdigest()[:8]}"
        )

    @contextmanager
    def _alone(self) -> Iterator[None]:
        from filelock import FileLock, Timeout

        self.settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            with FileLock(self.file.with_suffix(".lock"), timeout=0):
                yield
        except Timeout:
            raise Conflict("another process turns this home's cycle right now; wait for it") from None

    # -- the file -------------------------------------------------------------------------------------------------

    def _read(self) -> Turn | None:
        try:
            told = json.loads(self.file.read_bytes())
        except FileNotFoundError:
            return None
        except ValueError:
            told = None
        if not isinstance(told, dict) or told.get("format") != FORMAT or set(told) != set(Turn.__annotations__):
            raise BrokenInvariant(
                f"{self.file} is no turn that this version wrote; move it away and turn the cycle again: what it made "
                "is in the registry"
            )
        return Turn(**told)  # type: ignore[typeddict-item, no-any-return]

    def _write(self, told: Turn) -> Turn:
        """Durable on return."""
        fresh = self.file.with_name(f".{FILE}.{secrets.token_hex(4)}")
        with fresh.open("x", encoding="utf-8") as file:
            json.dump(told, file, indent=2, ensure_ascii=False)
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, self.file)
        sync_dir(self.file.parent)
        return told


__all__ = ["Cycle", "OnProgress", "OnStage", "Plan", "Stage", "Turn"]
