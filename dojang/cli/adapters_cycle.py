"""adapters cycle: decisions become a dataset, an adapter, a report, and a promotion that waits for a person."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dojang.cli.exits import Exit
from dojang.cli.invocation import invocation
from dojang.cli.words import N_, word
from dojang.gate_report import VERDICTS
from dojang.home import check_home

if TYPE_CHECKING:
    from collections.abc import Callable

    from dojang.cli.terminal import Terminal
    from dojang.flywheel.cycle import Turn

STAGES = {
    "dataset": N_("reading decisions"),
    "train": N_("training"),
    "register": N_("into the registry"),
    "evaluate": N_("comparing with the champion"),
    "propose": N_("asking a person"),
}


def cycle(
    context: typer.Context,
    self_approved: Annotated[
        bool, typer.Option("--self-approved", help="Count approvals by whoever made the request, too.")
    ] = False,
    heldout: Annotated[float, typer.Option(help="Share of the conversations, the newest, that is held out.")] = 0.2,
    method: Annotated[str, typer.Option(help="sft, dpo or kto.")] = "sft",
    rate: Annotated[float | None, typer.Option(help="Peak learning rate; the method's own if not given.")] = None,
    epochs: Annotated[
        float | None, typer.Option(help="Passes over the rows; with the embedded model 6, else 3.")
    ] = None,
    replay: Annotated[
        float | None,
        typer.Option(
            min=0, max=0.8, help="Share of old text, so that nothing is forgotten; half with the embedded model."
        ),
    ] = None,
    old: Annotated[
        int | None, typer.Option(min=0, help="Items of the old domain for each slice and language; 0 leaves it out.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The result follows from it.")] = 0,
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin anew instead of going on.")] = False,
) -> int:
    """Turn the flywheel once: build a dataset, train on it, compare with the champion, and ask a person to promote it.

    Code 3 where a promotion waits for a person, 1 where the gate let nothing through. A turn that was cut off goes on.
    """
    call = invocation(context)
    _ = call.terminal.gettext
    check_home(call.settings.home)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # idle workers sleep, not spin; read when torch comes
    from adapters.dataset.building import Choices
    from adapters.serving import EMBEDDED
    from adapters.training.material import GOING_ON
    from adapters.training.recipe import Recipe
    from dojang.flywheel.cycle import Cycle, Plan
    from dojang.flywheel.gating import OLD_ITEMS
    from dojang.workspace import Workspace

    ours = call.settings.model == EMBEDDED and method == "sft"
    usual = GOING_ON if ours else Recipe(method=method, epochs=3)  # type: ignore[arg-type]
    said: dict[str, Any] = {"rate": rate, "epochs": epochs}
    plan = Plan(
        Choices(self_approved=self_approved, heldout=heldout).checked(),
        replace(usual, seed=seed, **{key: value for key, value in said.items() if value is not None}).checked(),
        replay,
        OLD_ITEMS if old is None else old,
    )
    with Workspace(call.settings) as workspace, call.terminal.counting(_("turning")) as tell:
        at = STAGES["dataset"]

        def stage(name: str) -> None:
            nonlocal at
            at = STAGES[name]
            call.terminal.note(f"… {_(at)}")

        turning = Cycle(workspace, plan, on_stage=stage, on_progress=lambda news: tell(*_news(_, _(at), news)))
        told = turning.turn(fresh=fresh)
    call.terminal.document(told)
    _tell(call.terminal, told)
    return Exit.PAUSED if told["thread_id"] else Exit.DONE if told["verdict"] == "passed" else Exit.PROBLEM


def _news(_: Callable[[str], str], stage: str, news: dict[str, Any]) -> tuple[int, int, str]:
    """How much of a stage is done, of how much, and what it said of itself."""
    said = [stage]
    if "loss" in news:
        said.append(_("loss {loss}").format(loss=f"{news['loss']:.3f}"))
    if "left_s" in news:
        said.append(_("{minutes} min left").format(minutes=f"{news['left_s'] / 60:.0f}"))
    return int(news.get("done", news.get("step", 0))), int(news.get("total", 0)), ", ".join(said)


def _tell(terminal: Terminal, told: Turn) -> None:
    _ = terminal.gettext
    rows = [[_("dataset"), told["dataset"]], [_("adapter"), told["adapter"]], [_("report"), told["report"]]]
    terminal.rows([row for row in rows if row[1]])
    terminal.line(_("the gate: {verdict}").format(verdict=word(_, VERDICTS, told["verdict"])), style="bold")
    if told["thread_id"]:
        terminal.line(_("the promotion waits for a person in thread {thread}").format(thread=told["thread_id"]))
    elif told["report"]:
        terminal.note(_("`dojang adapters report {report}` says why").format(report=told["report"]))


__all__ = ["cycle"]
