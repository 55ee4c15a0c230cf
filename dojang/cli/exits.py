"""Exit codes: what a script learns from a command without reading its output."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dojang.results import RunResult


class Exit(IntEnum):
    """One number for each way a command can end."""

    DONE = 0
    PROBLEM = 1  # doctor found one; demo did not reach its end
    MISTAKE = 2  # the caller's: unknown id, bad arguments, bad settings; nothing was changed
    PAUSED = 3  # a review waits for a person
    CONFLICT = 4  # somebody was first, the page was stale, or another run holds the thread
    FAULT = 5  # something outside failed; the same call may work later
    BROKEN = 70  # our records contradict themselves, or a bug
    INTERRUPTED = 130  # Ctrl-C


def exit_of_error(error: BaseException) -> Exit:
    """The code of an error that ended a command."""
    from state import Conflict, PassingFault, UserError

    if isinstance(error, Conflict):
        return Exit.CONFLICT
    if isinstance(error, UserError):
        return Exit.MISTAKE
    if isinstance(error, PassingFault | OSError):
        return Exit.FAULT
    return Exit.BROKEN


def exit_of_run(run: RunResult) -> Exit:
    """The code of a run that came back."""
    return {"done": Exit.DONE, "paused": Exit.PAUSED, "busy": Exit.CONFLICT}[run.status]
