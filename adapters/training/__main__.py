"""``python -m adapters.training corpus | pretrain | cool | liken | adapter | tune | evaluate``: how weights are made.

``dojang adapters …`` says the same in words and two languages; this door needs nothing of the shell.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

from adapters.training import corpus
from state import UserError

WEIGHTS = Path(__file__).parent.parent / "weights"
TOKENS = 60_000_000
COOLING = 600_000
EXAMPLES = 1_500


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m adapters.training", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    show = commands.add_parser("corpus", help="print generated examples")
    show.add_argument("--n", type=int, default=3)
    base = commands.add_parser("pretrain", help="train a base from its written initial weights")
    base.add_argument("--out", type=Path, required=True)
    base.add_argument("--tokens", type=int, default=TOKENS)
    base.add_argument("--minutes", type=float, help="read for so long, instead of so many tokens")
    base.add_argument("--rate", type=float, help="the highest learning rate, if not the one that suits the step")
    base.add_argument("--step", type=int, help="tokens a step (2,048; 16,384 on a card)")
    base.add_argument("--width", type=int, help="of the base (320)")
    base.add_argument("--layers", type=int, help="of the base (6)")
    cool = commands.add_parser("cool", help="make a base out of a run that goes on")
    cool.add_argument("--run", type=Path, required=True)
    cool.add_argument("--out", type=Path, required=True)
    cool.add_argument("--tokens", type=int, default=COOLING)
    liken = commands.add_parser("liken", help="teach a base's network of words")
    liken.add_argument("--base", type=Path, required=True)
    liken.add_argument("--questions", type=int, help="as many as suit the largest base")
    liken.add_argument("--minutes", type=float, help="teach for so long, instead of so many questions")
    liken.add_argument("--extend", action="store_true", help="teach the network on that lies there")
    liken.add_argument("--mean", type=Path, nargs="+", help="folders: the mean of their networks, taught on from one")
    liken.add_argument("--step", type=int, help="questions a step (128; 1,024 on a card)")
    liken.add_argument("--width", type=int, help="of a text (192)")
    liken.add_argument("--layers", type=int, help="of attention (2)")
    liken.add_argument("--korean", type=Path, help="Korean meanings, see scripts/card/korean_meanings.py")
    for command in (base, cool, liken):
        command.add_argument("--device", default="auto")
        command.add_argument(
            "--workers", type=int, help="processes that encode text (none; all cores but one beside a card)"
        )
    adapter = commands.add_parser("adapter", help="train the front desk's adapter on a base")
    adapter.add_argument("--base", type=Path, default=WEIGHTS / "base")
    adapter.add_argument("--out", type=Path, required=True)
    adapter.add_argument("--examples", type=int, default=EXAMPLES)
    adapter.add_argument("--rank", type=int, default=16)
    adapter.add_argument("--alpha", type=int, default=32)
    for name in ("tune", "evaluate"):
        command = commands.add_parser(name, help=f"{name} a base with an adapter, as it is served")
        command.add_argument("--base", type=Path, default=WEIGHTS / "base")
        command.add_argument("--adapter", type=Path, default=WEIGHTS / "frontdesk")
        command.add_argument("--n", type=int, default=40, help="examples a slice and language")
    commands.choices["evaluate"].add_argument("--failures", action="store_true", help="print what went wrong")
    for command in commands.choices.values():
        command.add_argument("--seed", type=int, default=0)
        command.add_argument("--threads", type=int, default=1)
    return parser


def _say(told: dict[str, float]) -> None:
    print(
        " ".join(f"{key}={value:.4g}" if value < 10 else f"{key}={value:.0f}" for key, value in told.items()),
        file=sys.stderr,
    )


def _likened(asked: argparse.Namespace) -> Path:
    """Teach a base's network of words, or take the mean of several; the base."""
    from adapters.alike.likeness import read_likeness
    from adapters.alike.network import LAYERS, WIDTH
    from adapters.local.loading import device_named
    from adapters.training import likening

    base: Path = asked.base
    if not (base / "tokenizer.json").exists():
        raise UserError(f"{base} is no base of Dojang's own; give one that `dojang adapters pretrain` made")
    if asked.mean:
        likening.averaged([read_likeness(folder) for folder in asked.mean]).write(base)
        return base
    likening.taught(
        base, questions=asked.questions or likening.QUESTIONS, seed=asked.seed, on_progress=_say,
        device=device_named(asked.device), workers=asked.workers, step=asked.step, korean=asked.korean,
        minutes=asked.minutes, extend=read_likeness(base) if asked.extend else None,
        width=asked.width or WIDTH, layers=asked.layers or LAYERS,
    ).write(base)  # fmt: skip
    return base


def main(argv: list[str] | None = None) -> int:
    """Run one command; results on stdout, progress on stderr."""
    asked = _parser().parse_args(argv)
    if asked.command == "corpus":
        for index in range(asked.n):
            print(*corpus.texts_of(corpus.item_at(asked.seed, index)), "-" * 20, sep="\n")
        return 0
    import torch

    torch.set_num_threads(asked.threads)
    if asked.command == "pretrain":
        from adapters.training.pretrain import plan_of, pretrain

        plan = plan_of(
            asked.tokens, asked.seed, device=asked.device, step=asked.step, width=asked.width, layers=asked.layers
        )
        plan = replace(plan, rate=asked.rate or plan.rate)
        made = pretrain(
            asked.out, tokens=0, plan=plan, on_progress=_say, device=asked.device, workers=asked.workers,
            minutes=asked.minutes,
        )  # fmt: skip
        print(made)
    elif asked.command == "cool":
        from adapters.training.pretrain import cool

        made = cool(
            asked.run, asked.out, tokens=asked.tokens, on_progress=_say, device=asked.device, workers=asked.workers
        )
        print(made)
    elif asked.command == "liken":
        print(_likened(asked))
    elif asked.command == "adapter":
        from adapters.training.sft import generated, train_adapter

        rows = generated(asked.examples, asked.seed)
        done = train_adapter(
            asked.base, asked.out, rows, rank=asked.rank, alpha=asked.alpha, seed=asked.seed, on_progress=_say
        )
        print(done)
    elif asked.command == "tune":
        from adapters.training.margins import tune

        print(json.dumps(tune(asked.base, asked.adapter, n=asked.n, seed=asked.seed)))
    else:
        from adapters.serving import load_generator
        from adapters.training.evaluate import evaluate

        report = evaluate(
            load_generator(str(asked.base), adapter=asked.adapter, today="2026-11-22"), n=asked.n, seed=asked.seed
        )
        print(report.table())
        if asked.failures:
            for name, tallies in report.tallies.items():
                for tally in tallies.values():
                    print(f"\n{name}", *tally.failures, sep="\n  ")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
