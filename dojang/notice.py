"""Tells somebody outside that something needs attention: one command of the settings, JSON on its stdin.

The record of what is told is made before, in the logs; a command that fails is logged and changes nothing.
"""

from __future__ import annotations

import json
import logging
import shlex
import subprocess
from typing import Any

log = logging.getLogger(__name__)

TIMEOUT_S = 10


class Notice:
    """The hook. ``command`` is split like a shell does, and run without one; "" tells nobody."""

    def __init__(self, command: str) -> None:
        self.command = command

    def tell(self, event: str, **facts: Any) -> bool:
        """Whether the command took it: it ended with 0 within ten seconds."""
        if not self.command:
            return False
        document = json.dumps({"event": event, **facts}, ensure_ascii=False)
        try:
            done = subprocess.run(
                shlex.split(self.command),
                input=document,
                text=True,
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
