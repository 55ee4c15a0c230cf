"""The threads that deliver: one delivery at a time each, again with growing pauses, until it is taken or given up."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

from tenacity import RetryCallState, Retrying, stop_after_attempt, wait_exponential, wait_random

from dojang.server.hooks.outbox import Delivery, Outbox
from dojang.server.hooks.posting import NotDelivered, Poster

log = logging.getLogger(__name__)

ATTEMPTS: Final = 8
POLICY: Final = Retrying(
    wait=wait_exponential(multiplier=2, exp_base=4, max=3600) + wait_random(0, 2), stop=stop_after_attempt(ATTEMPTS)
)
"""2 s, 8 s, … an hour: given up after some two hours. The pauses lie in the row, so a restart does not begin anew."""
MOST_BYTES: Final = 1024 * 1024
LOOK_S: Final = 2.0
THREADS: Final = 2

Build = Callable[[str], dict[str, Any] | None]
Note = Callable[[Delivery, str, str, int], None]


class Teller:
    """Delivers what the outbox has.

    Args:
        outbox: the rows.
        poster: how one is posted; None: without a secret nothing is, and rows wait.
        build: what to tell of a run that ended without anybody keeping it (one that was cancelled before it began).
        note: told (delivery, state, host, attempts) when one is delivered or given up.
    """

    def __init__(self, outbox: Outbox, poster: Poster | None, build: Build, note: Note) -> None:
        self.outbox, self.poster, self.build, self.note = outbox, poster, build, note
        self._woken, self._ending = threading.Event(), False
        self._threads = [
            threading.Thread(target=self._serve, name=f"dojang-webhooks-{n}", daemon=True) for n in range(THREADS)
        ]

    def start(self) -> None:
        """Begin to deliver."""
        if self.poster is not None:
            self.outbox.reap()
            for thread in self._threads:
                thread.start()

    def wake(self) -> None:
        """A run has ended."""
        self._woken.set()

    def end(self, wait_s: float) -> bool:
        """Let what is on its way come to its end, and the rest go out at the next start; whether nobody works now."""
        self._ending = True
        self._woken.set()
        until = time.monotonic() + wait_s
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _serve(self) -> None:
        while not self._ending:
            try:
                if self.one():
                    continue
            except Exception:
                log.exception("a webhook's thread stumbled; it goes on")
            self._woken.wait(LOOK_S)
            if not self._ending:
                self._woken.clear()

    def one(self) -> bool:
        """Try the next one that is due; whether there was one."""
        assert self.poster is not None
        due = self.outbox.take()
        if due is None:
            return False
        payload = due.payload or self.build(due.run_id)
        if payload is None:
            self._over(due, "failed", "the run was deleted before it was told")
            return True
        try:
            self.poster.post(due.url, due.delivery, body_of(payload))
        except NotDelivered as failed:
            self._failed(due, failed)
        else:
            self._over(due, "delivered", "")
        return True

    def _failed(self, due: Delivery, failed: NotDelivered) -> None:
        state = RetryCallState(POLICY, None, (), {})
        state.attempt_number = due.attempts
        if failed.last or POLICY.stop(state):
            self._over(due, "failed", str(failed))
        else:
            self.outbox.again(due.run_id, str(failed), POLICY.wait(state))

    def _over(self, due: Delivery, state: str, why: str) -> None:
        host = urlsplit(due.url).hostname or ""
        if state == "failed":
            log.warning("webhook %s of run %s to %s is given up: %s", due.delivery, due.run_id, host, why)
        self.note(due, state, host, due.attempts)
        self.outbox.done(due.run_id, "failed" if state == "failed" else "delivered", why)


def body_of(payload: dict[str, Any]) -> bytes:
    """The JSON that is sent; without the values where they are too many."""
    body = json.dumps(payload, ensure_ascii=False).encode(errors="replace")
    return body if len(body) <= MOST_BYTES else body_of({**payload, "values": None, "values_left_out": True})
