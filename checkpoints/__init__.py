"""Sessions as files: the checkpointer, the decision log, the effect ledger, the run lock and the derived index.

One folder is one session: copy it, and you have moved the session. Imports ``state`` and nothing else of ours.

The modules, each knowing those below it and none above::

    care, pruning, importing, exporting, rotation,   what the commands do to whole threads
      erasing
    saver                                            LangGraph's interface
    decisions, ledger, prompts, chain                the other logs
    progress, leases                                 what decision records add up to; who runs an effect now
    listing, rebuilding                              many checkpoints at once
    session                                          one thread: read, put, put_writes
    packing, moving                                  the background rewriting that keeps reading fast
    memory, positions, view                          what is remembered, where records are, how they are read
    weave, tables, copies, codec                     values and checkpoints as JSON nodes, with references
    lending, messages, refs                          messages made and handed out again; what references are
    mending                                          checking, repairing, rewriting one file
    heads                                            each thread's newest checkpoint, derived
    journal                                          an append-only file of records: lock, append, fsync
    frames, folders, locks, crypto, errors           lines, paths, locks, sealing

The format is in docs/checkpoint-format.md, the choice of it in docs/adr/0002.
"""

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
from checkpoints.files.crypto import KeyRing
from checkpoints.files.journal import Journal
from checkpoints.files.locks import run_lock
from checkpoints.files.mending import Report
from checkpoints.index import Listed, Status, Summary, ThreadIndex, ThreadRow
from checkpoints.records.decisions import DecisionLog
from checkpoints.records.ledger import EffectLedger
from checkpoints.records.prompts import PromptLog
from checkpoints.saver import FileSaver
from checkpoints.upkeep.care import ThreadReport, VerifyReport, repair, stats, verify
from checkpoints.values.codec import StrictSerializer
from checkpoints.wanted import Key, Wanted

__all__ = [
    "AlreadyDecided",
    "BadKeyFile",
    "DamagedLog",
    "DecisionLog",
    "DiskFault",
    "EffectLedger",
    "FileSaver",
    "Journal",
    "Key",
    "KeyRing",
    "LedgerContradiction",
    "Listed",
    "NeededHistory",
    "NewerFormat",
    "NotAThreadFolder",
    "PlaintextRefused",
    "PromptLog",
    "Report",
    "Status",
    "StrictSerializer",
    "Summary",
    "ThreadBusy",
    "ThreadIndex",
    "ThreadReport",
    "ThreadRow",
    "UnknownType",
    "VerifyReport",
    "Wanted",
    "WrongKey",
    "repair",
    "run_lock",
    "stats",
    "verify",
]
