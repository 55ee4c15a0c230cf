"""The runs that this process carries out just now."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection, Iterator


class Here(Collection[str]):
    """Ids of runs. Thread-safe. One that was given back may begin anew before who had it is done with it: it counts."""

    def __init__(self) -> None:
        self._runs: Counter[str] = Counter()
        self._lock = threading.Lock()

    def add(self, run_id: str) -> None:
        """A thread takes it up."""
        with self._lock:
            self._runs[run_id] += 1

    def discard(self, run_id: str) -> None:
        """That thread is done with it."""
        with self._lock:
            self._runs[run_id] -= 1
            if self._runs[run_id] <= 0:
                del self._runs[run_id]

    def __contains__(self, run_id: object) -> bool:
        return run_id in self._runs

    def __iter__(self) -> Iterator[str]:
        with self._lock:
            return iter(list(self._runs))

    def __len__(self) -> int:
        return len(self._runs)
