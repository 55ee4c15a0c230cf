"""What a base says on a card in each quantization, beside what it says on the CPU: the same requests, the same replies?

``python scripts/card/speak.py [--base DIR] [--adapter DIR] [-n 6]``. A line a device and quantization: how many replies
are those of the CPU in NF4, how many are right, milliseconds a reply. Without CUDA the CPU's line alone is printed.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import torch

from adapters.serving import WEIGHTS, load_generator
from adapters.training.evaluate import LANGUAGES, examples, judge, messages_of, passages_of
from adapters.training.examples import Example

SLICES = ("call, unseen names and dates", "missing argument asked", "question, sentence chosen")


def said(generator: Any, asked: list[Example]) -> tuple[list[str], int, float]:
    """The replies as text, how many are right, and milliseconds for each."""
    told, right = [], 0
    generator.reply(messages_of(asked[0].turns), passages=[], tools=asked[0].tools, language=asked[0].language)
    begun = time.monotonic()
    for example in asked:
        passages = passages_of(example.evidence)
        reply = generator.reply(
            messages_of(example.turns), passages=passages, tools=example.tools, language=example.language
        )
        verdict = judge(example, reply)
        told.append(verdict.told)
        right += verdict.right
    return told, right, (time.monotonic() - begun) * 1000 / len(asked)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", type=Path, default=WEIGHTS / "base")
    parser.add_argument("--adapter", type=Path, default=WEIGHTS / "frontdesk")
    parser.add_argument("-n", type=int, default=6)
    given = parser.parse_args()
    asked = [e for name in SLICES for language in LANGUAGES for e in examples(name, language, given.n, 31)]
    ways = [("cpu", "nf4")] + (
        [("cuda", q) for q in ("nf4", "int8", "bf16", "fp32")] if torch.cuda.is_available() else []
    )
    first: list[str] = []
    print("| | as the CPU in NF4 | right | ms a reply |\n|---|---|---|---|")
    for device, quantization in ways:
        try:
            made = load_generator(
                str(given.base), adapter=given.adapter, today="2026-11-22", device=device, quantization=quantization
            )
            told, right, ms = said(made, asked)
        except Exception as e:  # one way that does not work must not hide the others
            print(f"| {device}, {quantization} | failed: {type(e).__name__}: {str(e)[:160]} | | |", flush=True)
            continue
        first = first or told
        same = sum(a == b for a, b in zip(told, first, strict=True))
        print(f"| {device}, {quantization} | {same}/{len(told)} | {right}/{len(told)} | {ms:.0f} |", flush=True)


if __name__ == "__main__":
    main()
