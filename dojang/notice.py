"""Tells somebody outside that something needs attention: one command of the settings, JSON on its stdin.

What is to be told is in the session's outbox first (:mod:`checkpoints.records.notices`) and sent from there, at least
once: until the command has ended with 0, and again after a crash. The ``id`` in the document is the same each time.
"""

from __future__ import annotations

import json
import logging
import shlex
import subprocess
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from state import JSON

if TYPE_CHECKING:
    from checkpoints.records.notices import NoticeLog

log = logging.getLogger(__name__)

TIMEOUT_S = 10


class Notice:
    """The hook.

    Args:
        command: split like a shell does, and run without one; "" tells nobody.
        outbox: opens the outbox, when there is first something to tell.
    """

    def __init__(self, command: str, outbox: Callable[[], NoticeLog]) -> None:
        self.command = command
        self._outbox = outbox

    @cached_property
    def _log(self) -> NoticeLog:
        return self._outbox()

    def put(self, thread_id: str, notice_id: str, event: str, facts: Mapping[str, JSON]) -> None:
        """Write down what is to be told, durable on return; the same id again changes nothing."""
        if self.command:
            self._log.put(thread_id, notice_id, event, {"thread_id": thread_id, **facts})

    def send(self) -> list[str]:
        """Send whatever is open, of all threads; the ids that were taken.

        Stops at the first that is not taken: the next look tries again. Nothing is sent while another process sends.
        """
        taken: list[str] = []
        if not self.command or not (waiting := self._log.threads()):
            return taken
        with self._log.sending() as mine:
            for thread_id in waiting if mine else []:
                for notice in self._log.open(thread_id):
                    if not self._run({"id": notice["id"], "event": notice["event"], **notice["facts"]}):
                        return taken
                    self._log.told(thread_id, notice["id"])
                    taken.append(notice["id"])
                self._log.settle(thread_id)
        return taken

    def _run(self, document: dict[str, Any]) -> bool:
        """Whether the command took it: it ended with 0 within ten seconds."""
        event = document["event"]
        try:
            done = subprocess.run(
                shlex.split(self.command),
                input=json.dumps(document, ensure_ascii=False),
                text=True,
                encoding="utf-8",
                errors="surrogatepass",
                timeout=TIMEOUT_S,
                capture_output=True,
                check=False,
            )
        except (OSError, ValueError, subprocess.TimeoutExpired) as error:
            log.warning("DOJANG_NOTIFY %r did not take %s: %s", self.command, event, error)
            return False
        if done.returncode:
            log.warning("DOJANG_NOTIFY %r ended with code %d for %s", self.command, done.returncode, event)
        return done.returncode == 0
