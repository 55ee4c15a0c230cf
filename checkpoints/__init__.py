"""Sessions as files: the checkpointer, the decision log, the effect ledger, the run lock and the derived index.

One folder is one session: copy it, and you have moved the session. Imports ``state`` and nothing else of ours.
"""

from checkpoints.care import ThreadReport, VerifyReport, repair, stats, verify
from checkpoints.codec import StrictSerializer
from checkpoints.crypto import KeyRing
from checkpoints.decisions import DecisionLog
from checkpoints.errors import (
    AlreadyDecided,
    BadKeyFile,
    DamagedLog,
    DiskFault,
    LedgerContradiction,
    NeededHistory,
    NewerFormat,
    NotAThreadFolder,
    PlaintextRefused,
    ThreadBusy,
    UnknownType,
    WrongKey,
)
from checkpoints.index import Summary, ThreadIndex, ThreadRow
from checkpoints.journal import Journal
from checkpoints.ledger import EffectLedger
from checkpoints.locks import run_lock
from checkpoints.mending import Report
from checkpoints.saver import FileSaver

__all__ = [
    "AlreadyDecided",
    "BadKeyFile",
    "DamagedLog",
    "DecisionLog",
    "DiskFault",
    "EffectLedger",
    "FileSaver",
    "Journal",
    "KeyRing",
    "LedgerContradiction",
    "NeededHistory",
    "NewerFormat",
    "NotAThreadFolder",
    "PlaintextRefused",
    "Report",
    "StrictSerializer",
    "Summary",
    "ThreadBusy",
    "ThreadIndex",
    "ThreadReport",
    "ThreadRow",
    "UnknownType",
    "VerifyReport",
    "WrongKey",
    "repair",
    "run_lock",
    "stats",
    "verify",
]
