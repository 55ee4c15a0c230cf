"""The leaves that this package adds to the error tree of ``state``.

::

    UserError       UnknownType, NotAThreadFolder, NewerFormat, NeededHistory, BadKeyFile, WrongKey, PlaintextRefused
    └── Conflict    AlreadyDecided, Claimed, TooLateToUndo, ThreadBusy, EffectRunning
    PassingFault    DiskFault, SessionsAway
    BrokenInvariant DamagedLog, DamagedRecords, LedgerContradiction
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from state import BrokenInvariant, Claim, Conflict, Decision, PassingFault, UserError


class UnknownType(UserError):
    """A value whose type is not on the allow-list; nothing was written."""


class NotAThreadFolder(UserError):
    """A path under the threads directory is a link or no directory."""


class NewerFormat(UserError):
    """The file was written by a later version of this program."""


class NeededHistory(UserError):
    """Deleting these checkpoints would silently change what the remaining ones rebuild."""


class BadKeyFile(UserError):
    """A file of session keys is missing, spoilt, open to others, or its passphrase is wrong."""


class WrongKey(UserError):
    """A record is sealed with a key that is not at hand; ``key_id`` names it."""

    def __init__(self, key_id: str, why: str) -> None:
        super().__init__(
            f"session records are sealed with key {key_id!r} and {why}; "
            "set DOJANG_SESSION_KEYS to the key file that has it"
        )
        self.key_id = key_id


class PlaintextRefused(UserError):
    """A session file is not sealed although keys are set."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} is not encrypted, and session keys are set; "
            "if you trust it as it is, run `dojang checkpoints encrypt`"
        )
        self.path = path


class AlreadyDecided(Conflict):
    """Another decision won; ``winner`` is the stored one."""

    def __init__(self, thread_id: str, winner: Decision) -> None:
        super().__init__(
            f"review {winner['review_id']!r} of thread {thread_id!r} was already decided: "
            f"{winner['type']} by {winner['by']!r} at {winner['at']}; reload it to see the outcome"
        )
        self.thread_id = thread_id
        self.winner = winner


class Claimed(Conflict):
    """Somebody else has reserved the review; ``claim`` says who and until when."""

    def __init__(self, review_id: str, claim: Claim) -> None:
        super().__init__(
            f"{claim['by']} has claimed review {review_id} until {claim['until']}; wait until then, or ask "
            f"{claim['by']} to decide it or to give it back with `dojang claim {review_id} --give-back`"
        )
        self.claim = claim


class TooLateToUndo(Conflict):
    """The decision is carried out already, or is about to be."""


class EffectRunning(Conflict):
    """A living process is carrying out the effect right now."""


class ThreadBusy(Conflict):
    """Another run holds the thread; ``owner``, ``pid`` and ``since`` say who (empty or 0 where unknown)."""

    def __init__(self, thread_id: str, *, owner: str, pid: int, since: str) -> None:
        super().__init__(
            f"thread {thread_id!r} is busy: a run by {owner or 'an unknown owner'} (pid {pid or '?'}) "
            f"has held it since {since or 'a moment ago'}; wait for it or cancel it"
        )
        self.thread_id = thread_id
        self.owner = owner
        self.pid = pid
        self.since = since


class DiskFault(PassingFault):
    """The operating system refused a read, a write or an fsync; what was not acknowledged may be lost."""


class SessionsAway(PassingFault):
    """The database that holds the sessions does not answer, or broke off; what was not acknowledged is not there."""

    retry_after_s: Final = 2


class DamagedLog(BrokenInvariant):
    """Bytes on disk are not what was written; ``path`` and ``offset`` (bytes) say where."""

    def __init__(self, path: Path, offset: int, what: str) -> None:
        super().__init__(
            f"{path} is damaged at byte {offset}: {what}; run `dojang checkpoints verify`, "
            "then `dojang checkpoints repair` (it keeps the damaged file beside the repaired one)"
        )
        self.path = path
        self.offset = offset


class DamagedRecords(BrokenInvariant):
    """Rows of the database are not what was written; ``path`` names the log, ``record`` the number of the first."""

    def __init__(self, path: Path, record: int, what: str) -> None:
        super().__init__(
            f"{path} is damaged: {what}; nothing was changed: look at `dojang audit verify`, and restore the database "
            "from a backup"
        )
        self.path = path
        self.record = record


class LedgerContradiction(BrokenInvariant):
    """One effect was reported to have ended in two ways."""
