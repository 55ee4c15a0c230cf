"""``python -m tests.chaos.turning``: the whole `dojang adapters cycle` is killed at random instants, and goes on.

A home of scripted conversations whose operator makes one and the same edit; the shipped model, a real training, a real
gate. The command runs undisturbed once; then, ``KILLS`` times (6; ``SEED`` for other instants), it is killed with
SIGKILL at an instant drawn evenly over that time and started again, now and then killed again, until it ends. At the
end a person approves, and that command is killed, too. After each death the log says who the champion is, and it is
the one before; at the end there is one dataset, one candidate, one review and one promotion, and the adapter is the
undisturbed one, to the byte. Code 1 where anything of this does not hold.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from adapters.registry.aliases import CANDIDATE, CHAMPION, Registry
from dojang.cli.exits import Exit
from state import JSON, ToolSpec
from tests.flywheel.desk import Desk
from tests.graph.parts import Toys, calls, says, spec

ROOT: Final = Path(__file__).parents[2]
TURN: Final = ("adapters", "cycle", "--old", "1", "--heldout", "0.3", "--epochs", "4", "--json")
BUILD: Final = (
    "adapters", "dataset", "build", "--heldout", "0.3", "--least", "4", "--conversations", "4", "--nearest", "1",
    "--old-loss", "1", "--json",
)  # fmt: skip
ROOMS: Final = (
    "Namsan Hangang Baekdu Jeju Seorak Gyeongju Busan Incheon Yeosu Daegu Mokpo Suwon Ulsan Pohang Jeonju Sokcho "
    "Andong Gimhae Tongyeong Chuncheon Gunsan Naju Iksan Asan"
).split()
BOARDS: Final = ("room only", "breakfast", "half board")
LASTING: Final = ("adapter_model.safetensors", "adapter_config.json", "curves.jsonl", "learned.jsonl", "dojang.json")


class Inn(Toys):
    """Rooms with a board, which no request names."""

    def __init__(self) -> None:
        book = spec("book", "write")
        board: JSON = {"type": "string", "enum": list(BOARDS)}
        properties: Any = book["parameters"]["properties"]
        parameters: Any = {**book["parameters"], "properties": {**properties, "board": board}}
        booking: ToolSpec = {**book, "description": "Book a room", "parameters": parameters}
        super().__init__(specs=[booking])

    def check(self, name: str, args: Any) -> Any:
        """A board is an argument here."""
        checked = super().check(name, {key: value for key, value in args.items() if key != "board"})
        return {**checked, "args": dict(args)}


@dataclass
class Told:
    """What was counted."""

    kills: int = 0
    at: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def lived(home: Path) -> None:
    """Conversations with a decision each: a room was proposed without breakfast, and booked with it."""
    desk = Desk(home, toolbox=Inn())
    for n, room in enumerate(ROOMS):
        proposed: dict[str, JSON] = {"room": room, "board": "room only"}
        desk.say(f"t{n}", f"Book the room {room} for tonight, number {n}", calls(("book", proposed)), says("Done."))
        desk.decide(f"t{n}", "edit", by=("lee", "choi")[n % 2], edited_args={"room": room, "board": "breakfast"})


def dojang(home: Path, *words: str, after_s: float | None = None) -> tuple[int, Any]:
    """The command in a process of its own, killed ``after_s`` seconds after its birth: (code, what it printed)."""
    environment = {
        **os.environ, "DOJANG_HOME": str(home), "DOJANG_USER": "kim", "DOJANG_LANGUAGE": "en", "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT), "TORCHDYNAMO_DISABLE": "1",
    }  # fmt: skip
    child = subprocess.Popen(
        [sys.executable, "-m", "dojang", *words], cwd=home, env=environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        out, err = child.communicate(timeout=after_s)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
        return -signal.SIGKILL, None
    if child.returncode not in (Exit.DONE, Exit.PAUSED, Exit.PROBLEM):
        raise SystemExit(f"{' '.join(words)}: code {child.returncode}\n{err}")
    return child.returncode, json.loads(out) if out.strip().startswith(("{", "[")) else out


def disturbed(home: Path, whole_s: float, rng: random.Random, told: Told) -> Any:
    """The turn, killed once or twice; what it said in the end."""
    before = champion(home)
    for _ in range(rng.choice((1, 1, 2))):
        code, said = dojang(home, *TURN, after_s=rng.uniform(0.0, whole_s))
        if code != -signal.SIGKILL:  # it was faster than the undisturbed one
            return said
        told.kills += 1
        told.at.append(stage(home))
        if champion(home) != before:
            told.wrong.append(f"{home.name}: killed, and the champion is {champion(home)} instead of {before}")
    return dojang(home, *TURN)[1]


def champion(home: Path) -> str:
    return str(Registry(home / "registry").aliases().get(CHAMPION, ""))


def stage(home: Path) -> str:
    """How far the killed turn had got, by what lies there."""
    if not (home / "cycle.json").exists():
        return "dataset"
    kept = json.loads((home / "cycle.json").read_text(encoding="utf-8"))
    if kept["ended"]:
        return "ended"
    return "propose" if kept["report"] else "evaluate" if kept["adapter"] else "train"


def approved(home: Path, said: Any, whole_s: float, rng: random.Random, told: Told) -> None:
    """A person approves, and is killed meanwhile; then it is taken up, and said once more."""
    code, shown = dojang(home, "thread", said["thread_id"], "--json")
    reviews = [review["id"] for review in shown["reviews"]]
    if code != Exit.DONE or len(reviews) != 1:
        told.wrong.append(f"{home.name}: {len(reviews)} reviews wait instead of one")
        return
    words = ("approve", reviews[0], "--user", "lee")
    if dojang(home, *words, after_s=rng.uniform(0.0, whole_s))[0] == -signal.SIGKILL:
        told.kills += 1
        told.at.append("approve")
    if champion(home) not in ("", said["adapter"]):
        told.wrong.append(f"{home.name}: the champion is {champion(home)}")
    for again in (words, ("resume", said["thread_id"])):
        with suppress(SystemExit):  # decided already, or nothing to resume: both are said with another code
            dojang(home, *again)
    crowned = [line for line in Registry(home / "registry").log.read() if line["set"].get(CHAMPION) == said["adapter"]]
    if champion(home) != said["adapter"] or len(crowned) != 1:
        told.wrong.append(f"{home.name}: {len(crowned)} promotions, the champion is {champion(home)}")


def same(home: Path, said: Any, other: Path, wanted: Any) -> list[str]:
    """What differs from the undisturbed turn."""
    found = [
        f"{key}: {said[key]!r}, not {wanted[key]!r}"
        for key in ("dataset", "verdict", "ended")
        if said[key] != wanted[key]
    ]
    ours, theirs = (h / "registry" / "adapters" / s["adapter"] for h, s in ((home, said), (other, wanted)))
    found += [name for name in LASTING if (ours / name).read_bytes() != (theirs / name).read_bytes()]
    counts = {
        kind: [len(list(h.glob(kind))) for h in (home, other)]
        for kind in ("threads/*", "registry/adapters/*", "datasets/*", "gates/*.json")
    }
    found += [f"{n[0]} instead of {n[1]} {kind}" for kind, n in counts.items() if n[0] != n[1]]
    candidate = Registry(home / "registry").aliases().get(CANDIDATE)
    return found + ([f"the candidate is {candidate}"] if candidate != said["adapter"] else [])


def main() -> int:
    """Kill, go on, compare; print what was found."""
    kills, seed = int(os.environ.get("KILLS", "6")), int(os.environ.get("SEED", "1"))
    told, episodes, rng = Told(), 0, random.Random(f"turning:{seed}")
    with tempfile.TemporaryDirectory(prefix="dojang-turning-") as folder:
        born, quiet = Path(folder) / "born", Path(folder) / "quiet"
        lived(born)
        dojang(born, *BUILD)  # the rules of so small a dataset, and the key of its pseudonyms
        shutil.copytree(born, quiet)
        begun = time.monotonic()
        code, wanted = dojang(quiet, *TURN)
        whole_s = time.monotonic() - begun
        if code != Exit.PAUSED:
            print(f"the undisturbed turn ended with {code}: {wanted}")
            return 1
        while told.kills < kills:
            episodes += 1
            home = Path(folder) / f"home-{episodes}"
            shutil.copytree(born, home)
            said = disturbed(home, whole_s, rng, told)
            told.wrong += [f"{home.name}: {what}" for what in same(home, said, quiet, wanted)]
            approved(home, said, 6.0, rng, told)
            shutil.rmtree(home)
    print(f"kill -9 at {told.kills} instants of {episodes} turns of {whole_s:.0f} s, seed {seed}: {', '.join(told.at)}")
    print("\n".join(told.wrong) or "the champion was never in doubt, one promotion each, adapters the same to the byte")
    return 1 if told.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
