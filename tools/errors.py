"""The errors of tools, as leaves of the tree in `state`.

::

    UserError
    └── ToolFailed        the tool looked and refused: certainly nothing was changed
    PassingFault
    ├── ToolsAway         the tools' database does not answer: a change of it happened whole, or not at all
    ├── OutcomeUnknown    an effect outside our database broke off: it may or may not have happened
    └── ToolChanged       the tool is another one than a moment ago: nothing was run
"""

from __future__ import annotations

from typing import Final

from state import PassingFault, UserError


class ToolFailed(UserError):
    """The tool refused or failed before it changed anything; the message is one sentence for a person."""


class ToolsAway(PassingFault):
    """The tools' database does not answer, or broke off; under the same key the same call may be made again."""

    retry_after_s: Final = 2


class OutcomeUnknown(PassingFault):
    """A tool without a transaction broke off in the middle. Never repeat it unasked: a person must look."""


class ToolChanged(PassingFault):
    """Between the last look and the call the tool became another one; nothing was run, and the gate looks again."""
