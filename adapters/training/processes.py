"""One training run in several processes of this machine: a card each, or some of its cores.

    together(work, 2, cuda=False, meet=folder / "meeting", told=print)

Each process is begun anew (``spawn``), finds the others through a file, and has what accelerate looks for (``RANK``,
``WORLD_SIZE``, …), so that a Trainer made in it shares batches and gradients with those of the others: over NCCL on
CUDA, else over gloo, on the loopback interface alone. Nothing listens for other machines. The first process tells how
it goes, and what it makes is what comes back. Whatever ends one of them ends all, and they end with whoever began them,
however that one is killed. Knows nothing of training; imports torch in the processes only.
"""

from __future__ import annotations

import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing import connection, get_context
from pathlib import Path
from typing import Any, Final

from state import BrokenInvariant, DojangError, PassingFault

Progress = Callable[[dict[str, float]], None]
START: Final = "spawn"
MEET_S: Final = 1_800.0
"""How long one waits for the others: the first of them writes checkpoints alone."""
LAST_S: Final = 10.0
SETTLE_S: Final = 2.0


class RunBrokeOff(PassingFault):
    """A process of a run was ended from outside."""


@dataclass(frozen=True)
class Place:
    """Which process of how many this is, and on which device it works."""

    number: int = 0
    count: int = 1
    device: str = "cpu"

    @property
    def first(self) -> bool:
        """Whether this one tells and writes."""
        return self.number == 0


Work = Callable[[Place, Progress | None], Any]


def together(work: Work, count: int, *, cuda: bool, meet: Path, told: Progress | None, start: str = START) -> Any:
    """Do ``work`` in ``count`` processes; what it gives back in the first of them.

    Args:
        work: Called in each process with its place, and in the first with whom to tell; picklable, as is its result.
        count: Two or more.
        cuda: Whether process n works on card n; else on this machine's cores, shared out evenly.
        meet: A file for them to find each other by; it is made and removed.
        told: Called here with whatever the first tells.
        start: How a process is begun, as ``multiprocessing`` names it.

    Raises:
        DojangError: What one of them raised.
        RunBrokeOff: One was killed.
        BrokenInvariant: One failed for a reason that nobody foresaw; its traceback is in the message.
    """
    context: Any = get_context(start)
    meet.unlink(missing_ok=True)
    threads = max(1, _threads() // count)
    ends, processes = [], []
    try:
        for number in range(count):
            ours, theirs = context.Pipe()
            place = Place(number, count, f"cuda:{number}" if cuda else "cpu")
            process = context.Process(target=_begin, args=(work, place, meet, threads, theirs, ours), daemon=True)
            process.start()
            theirs.close()
            ends.append(ours)
            processes.append(process)
        return _followed(processes, ends, told)
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.join()
            process.close()
        for end in ends:
            end.close()
        meet.unlink(missing_ok=True)


def _followed(processes: list[Any], ends: list[Any], told: Progress | None) -> Any:
    """Pass on what is told until all have ended well; raises for the first that has not."""
    made: Any = None
    running = dict(enumerate(ends))
    while running:
        heard = connection.wait(list(running.values()))
        for number in [number for number, end in running.items() if end in heard]:
            try:
                kind, what = running[number].recv()
            except (EOFError, OSError):  # it is gone, and has said nothing
                processes[number].join(LAST_S)
                raise _broke_off(number, processes[number]) from None
            if kind == "told" and told is not None:
                told(what)
            elif kind == "made":
                made = what if number == 0 else made
                del running[number]
            elif kind == "raised":
                raise what
            elif kind == "failed":
                raise _killed(processes) or BrokenInvariant(f"process {number} of the training failed: {what}")
    return made


def _killed(processes: list[Any]) -> RunBrokeOff | None:
    """Where one was killed, the others fail with lost connections, and may be heard first."""
    connection.wait([process.sentinel for process in processes], SETTLE_S)
    found = [(number, process) for number, process in enumerate(processes) if (process.exitcode or 0) < 0]
    return _broke_off(*found[0]) if found else None


def _broke_off(number: int, process: Any) -> RunBrokeOff:
    return RunBrokeOff(
        f"process {number} of the training was ended (exit code {process.exitcode}), as it is where memory runs out; "
        "start the same command again: it goes on from its newest checkpoint"
    )


def _threads() -> int:
    torch = sys.modules.get("torch")
    return int(torch.get_num_threads()) if torch is not None else os.cpu_count() or 1


# ------------------------------------------------------------------------------------------------- in each process


def _begin(work: Work, place: Place, meet: Path, threads: int, end: Any, theirs: Any) -> None:
    """What a process does. An error goes to whoever began it, and not to the terminal."""
    theirs.close()  # where the process was forked, it would keep its own line open
    threading.Thread(target=_until_hung_up, args=(end,), daemon=True).start()
    try:
        with _meeting(place, meet, threads):
            made = work(place, (lambda news: end.send(("told", news))) if place.first else None)
        end.send(("made", made))
    except DojangError as error:
        end.send(("raised", error))
    except KeyboardInterrupt:
        os._exit(130)  # the terminal interrupts all of them; whoever began them says so
    except BaseException:
        end.send(("failed", traceback.format_exc()))


def _until_hung_up(end: Any) -> None:
    """Nothing is ever sent to a process: its line ends when whoever began it does, and then it must."""
    connection.wait([end])
    os._exit(1)


@contextmanager
def _meeting(place: Place, meet: Path, threads: int) -> Iterator[None]:
    cuda = place.device.startswith("cuda")
    loopback = "lo0" if sys.platform == "darwin" else "lo"
    os.environ |= {
        "RANK": str(place.number), "LOCAL_RANK": str(place.number), "WORLD_SIZE": str(place.count),
        "LOCAL_WORLD_SIZE": str(place.count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1",  # asked for, not used
        "OMP_NUM_THREADS": str(threads), "GLOO_SOCKET_IFNAME": loopback, "NCCL_SOCKET_IFNAME": loopback,
    }  # fmt: skip
    import torch
    from torch import distributed

    torch.set_num_threads(threads)
    if cuda:
        torch.cuda.set_device(place.number)
    store: Any = distributed.FileStore(str(meet), place.count)  # type: ignore[attr-defined]
    distributed.init_process_group(
        "nccl" if cuda else "gloo", store=store, rank=place.number, world_size=place.count,
        timeout=timedelta(seconds=MEET_S),
    )  # fmt: skip
    yield
    distributed.destroy_process_group()


__all__ = ["Place", "Progress", "RunBrokeOff", "Work", "together"]
