"""QLoRA's peak memory on a card, beside what ``dojang adapters plan`` predicts.

``python benchmarks/qlora_memory.py [--quick] [--jobs N]`` on a machine with CUDA. Random weights in the true shapes of
Llama-3.2-1B, 3B, 3.1-8B and KoAlpaca-Polyglot-5.8B; each line is a process of its own that may use so much of the card
and no more. Four steps, paged 8-bit AdamW, activations recomputed, loss in tiles. ``allocated`` is torch's peak,
``taken`` what the driver says that this process holds at the end (allocator and CUDA context included), which the
prediction is of. With ``--jobs`` several lines are measured side by side: the memory is that of each, the speed is not.

``--device cpu --base embedded`` tries everything but the card.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from adapters.training.hollow import hollow
from adapters.training.plan import GIB, Run, judged, predict
from adapters.training.shapes import shape_named

CASES = [
    ("Llama-3.2-1B", 4, 512), ("Llama-3.2-1B", 4, 2_048), ("Llama-3.2-3B", 4, 512), ("Llama-3.2-3B", 8, 2_048),
    ("Llama-3.1-8B", 8, 512), ("Llama-3.1-8B", 8, 1_024), ("Llama-3.1-8B", 12, 2_048),
    ("KoAlpaca-Polyglot-5.8B", 8, 512), ("KoAlpaca-Polyglot-5.8B", 8, 1_024),
]  # fmt: skip
STEPS = 4


def measure(base: str, card: float, seq: int, device: str) -> dict[str, Any]:
    """Peak bytes and tokens a second; ``out_of_memory`` where the limit was hit."""
    cuda = device.startswith("cuda")
    if cuda:
        whole = torch.cuda.mem_get_info()[1]
        torch.cuda.set_per_process_memory_fraction(min(card * GIB / whole, 1.0))
    before = torch.cuda.mem_get_info()[0] if cuda else 0
    try:
        speed = _steps(base, seq, device)
    except torch.cuda.OutOfMemoryError:
        return {"out_of_memory": True}
    told: dict[str, Any] = {"tokens_per_s": speed}
    if cuda:
        told |= {"allocated": torch.cuda.max_memory_allocated(), "reserved": torch.cuda.max_memory_reserved()}
        told["taken"] = _held() or before - torch.cuda.mem_get_info()[0]
    return told


def _held() -> int:
    """What the driver says that this process holds of the card; 0 where it does not say."""
    try:
        import pynvml

        pynvml.nvmlInit()
        running = pynvml.nvmlDeviceGetComputeRunningProcesses(pynvml.nvmlDeviceGetHandleByIndex(0))
        return int(next((x.usedGpuMemory or 0 for x in running if x.pid == os.getpid()), 0))
    except Exception as e:  # no library, no driver, another namespace of processes: the other way of measuring is taken
        print(f"not told by the driver: {e}", file=sys.stderr)
        return 0


def _steps(base: str, seq: int, device: str) -> float:
    import bitsandbytes

    shape = shape_named(base)
    model = hollow(shape, 16, device=device)
    model.enable_input_require_grads()
    model.activation_checkpointing_enable({"use_reentrant": False})
    parameters = [p for p in model.parameters() if p.requires_grad]
    cuda = device.startswith("cuda")
    kind: Any = bitsandbytes.optim.PagedAdamW8bit if cuda else torch.optim.AdamW
    optimizer = kind(parameters, lr=1e-4)
    ids = torch.randint(0, shape.words, (1, seq), device=device)
    begun = 0.0
    for step in range(STEPS):
        if step == 1:
            begun = time.monotonic()
        with torch.autocast(device.split(":")[0], torch.bfloat16):
            loss = -model(input_ids=ids, labels=ids, fused_lm_head=True).log_probs.mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if cuda:
            torch.cuda.synchronize()
    return seq * (STEPS - 1) / (time.monotonic() - begun)


def main() -> int:
    """A table; nothing but a line where there is no CUDA."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the first of each base only")
    parser.add_argument("--jobs", type=int, default=1, help="so many lines at once; the card has to hold them together")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--base", help="one base instead of all")
    parser.add_argument("--one", nargs=3, metavar=("BASE", "GIB", "SEQ"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        base, card, seq = asked.one
        print(json.dumps(measure(base, float(card), int(seq), asked.device)))
        return 0
    if asked.device.startswith("cuda") and not torch.cuda.is_available():
        print("no CUDA here: nothing was measured (--device cpu --base embedded tries the program itself)")
        return 0
    cases = [(asked.base, 4, 512)] if asked.base else CASES
    if asked.quick:
        cases = list({case[0]: case for case in reversed(cases)}.values())[::-1]
    print("| base | card GiB | seq | allocated | reserved | taken | predicted | off | said | tokens/s |")
    print("|---" * 10 + "|")
    with ThreadPoolExecutor(asked.jobs) as pool:
        for line in pool.map(lambda case: _line(*case, asked.device), cases):
            print(line, flush=True)
    return 0


def _line(base: str, card: int, seq: int, device: str) -> str:
    command = [sys.executable, __file__, "--device", device, "--one", base, str(card), str(seq)]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    if ran.returncode:
        return f"| {base} | {card} | {seq} | failed: {ran.stderr.strip().splitlines()[-1][:200]} |"
    told = json.loads(ran.stdout.strip().splitlines()[-1])
    peak = predict(shape_named(base), Run(seq=seq, paged=True)).total
    said = judged(peak, card * GIB)
    if told.get("out_of_memory"):
        return f"| {base} | {card} | {seq} | out of memory | – | – | {peak / GIB:.2f} | – | {said} | – |"
    taken = told.get("taken")
    off = f"{peak / taken - 1:+.1%}" if taken else "–"
    sizes = " | ".join(f"{told[key] / GIB:.2f}" if key in told else "–" for key in ("allocated", "reserved", "taken"))
    return f"| {base} | {card} | {seq} | {sizes} | {peak / GIB:.2f} | {off} | {said} | {told['tokens_per_s']:,.0f} |"


if __name__ == "__main__":
    sys.exit(main())
