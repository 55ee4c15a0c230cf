"""Numbers that nobody counts as they change: asked of the files when Prometheus comes, at most every few seconds."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Final

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from dojang.parts import Parts
from dojang.server.work import Work
from state import DojangError

log = logging.getLogger(__name__)

KEPT_S: Final = 5.0


class Standing(Collector):
    """Runs that wait and open reviews."""

    def __init__(self, parts: Parts, work: Work) -> None:
        self.parts = parts
        self.work = work
        self._lock = threading.Lock()
        self._found: tuple[float, list[GaugeMetricFamily]] = (-KEPT_S, [])

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Nothing: what there is, is looked up only when it is asked for."""
        return iter(())

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """What stands now. What cannot be read is left out: a missing number is seen, a wrong one is not."""
        with self._lock:
            at, found = self._found
            if time.monotonic() - at >= KEPT_S:
                found = [*self._read(self._queue), *self._read(self._reviews)]
                self._found = (time.monotonic(), found)
        yield from found

    def _read(self, look: Callable[[], list[GaugeMetricFamily]]) -> list[GaugeMetricFamily]:
        try:
            return look()
        except (DojangError, OSError, sqlite3.Error) as error:
            log.warning("what stands cannot be counted: %s", error)
            return []

    def _queue(self) -> list[GaugeMetricFamily]:
        waiting, running, oldest = self.work.rows.standing()
        runs = GaugeMetricFamily("dojang_queue_runs", "Accepted runs that are not over.", labels=["status"])
        runs.add_metric(["pending"], waiting)
        runs.add_metric(["running"], running)
        since = GaugeMetricFamily("dojang_queue_oldest_seconds", "How long the oldest of them waits.")
        since.add_metric([], _age_s(oldest))
        workers = GaugeMetricFamily("dojang_worker_processes", "Processes that carry runs out.")
        workers.add_metric([], not self.work.ailing() if self.work.shared is None else self.work.shared.rows.workers())
        return [runs, since, workers]

    def _reviews(self) -> list[GaugeMetricFamily]:
        self.parts.index.refresh()
        standing = self.parts.index.standing()
        labels = ["kind", "tier"]
        count = GaugeMetricFamily("dojang_open_reviews", "Reviews that wait for a person.", labels=labels)
        age = GaugeMetricFamily("dojang_open_review_oldest_seconds", "How long the oldest waits.", labels=labels)
        for kind, tier, number, oldest in standing:
            count.add_metric([kind, str(tier)], number)
            age.add_metric([kind, str(tier)], _age_s(oldest))
        return [count, age]


def _age_s(since: str) -> float:
    return max(0.0, (datetime.now(UTC) - datetime.fromisoformat(since)).total_seconds()) if since else 0.0
