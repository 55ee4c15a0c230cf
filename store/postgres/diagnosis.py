"""What is wrong with a data directory, and what to do about it: before a start, and from the words of one that failed.

Knows the layout of a PostgreSQL data directory and the sentences of its log; starts nothing.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from state import DojangError, PassingFault, UserError

NEEDED_BYTES = 200 * 2**20  # a fresh data directory has 40 MB, the write-ahead log grows to some files of 16 MB
VITAL = ("PG_VERSION", "global/pg_control", "pg_wal", "base", "postgresql.conf")

# What the log says (a pattern), whether it passes by itself, and what happened and what helps
SAID: tuple[tuple[str, bool, str], ...] = (
    (
        r"No space left on device|could not (?:write|extend|fsync)[^\n]*: (?:No space|Disk quota)",
        True,
        "the disk of {data} is full: free some space there (nothing that was stored is lost) and try again",
    ),
    (
        r"has wrong ownership|must be started by the user that owns",
        False,
        "{data} belongs to another user ({owner}): run Dojang as that user, or give the folder to this one: {chown}",
    ),
    (
        r"has invalid permissions",
        False,
        "others may look into {data}, which PostgreSQL refuses: chmod -R go-rwx {data}",
    ),
    (
        r"Permission denied",
        False,
        "PostgreSQL may not read its own files in {data}, which belong to {owner}: "
        "run Dojang as that user, or give the folder to this one: {chown}",
    ),
    (
        r"database files are incompatible|was initialized by PostgreSQL version",
        False,
        "{data} was made by another version or build of PostgreSQL: restore a backup (`dojang store restore`), or move "
        "{data} away and read the documents in again",
    ),
    (
        r"could not (?:locate a valid checkpoint|read from file|open file \"(?:global|pg_wal|pg_xact|base))|"
        r"invalid checkpoint|could not locate required checkpoint|incorrect checksum in control file|"
        r"invalid (?:page|magic|record)|could not access status of transaction|PANIC",
        False,
        "{data} is damaged: move it away (keep it: nothing is repaired silently), then `dojang store restore` a backup "
        "or read the documents in again",
    ),
    (
        r"could not (?:create|map|resize) (?:anonymous )?shared memory|could not create semaphores|out of memory",
        True,
        "the system gives PostgreSQL no shared memory: close other programs, or in a container raise its limit",
    ),
    (
        r"Unix-domain socket path .* is too long",
        False,
        "the path of the socket is too long: set DOJANG_HOME to a shorter one",
    ),
    (
        r"could not bind|could not create (?:Unix|any TCP/IP) socket|Address already in use",
        True,
        "the place where PostgreSQL listens is taken: stop the other program, or try again",
    ),
    (
        r"invalid locale|invalid value for parameter \"lc_|locale .* (?:not|could not)",
        False,
        "a locale that {data} needs is not installed on this machine: install it, or restore a backup here",
    ),
    (
        r"initdb: error: (?:directory|could not (?:create|access))",
        False,
        "the folder {home} cannot be used: name an empty one that this user may write, with DOJANG_HOME",
    ),
)


def check_before_start(data: Path, major: str) -> None:
    """Look at an existing data directory. UserError when it is another version's, not ours, or no whole one."""
    try:
        missing = [name for name in VITAL if not (data / name).exists()]
        version = (data / "PG_VERSION").read_text(errors="replace").strip() if "PG_VERSION" not in missing else ""
    except PermissionError:
        raise UserError(_filled("{data} belongs to another user ({owner}): " + _OTHER_USER, data)) from None
    if version and version != major:
        raise UserError(
            f"{data} was made by PostgreSQL {version}, this is {major}: restore a backup made by that version "
            f"(`dojang store restore`), or move the folder away and read the documents in again"
        )
    if missing:
        raise UserError(
            f"{data} is no whole data directory of PostgreSQL ({missing[0]} is missing): move it away (keep it), then "
            f"`dojang store restore` a backup or read the documents in again"
        )


def check_space(folder: Path) -> None:
    """PassingFault when there is too little room for a server to start on."""
    free = shutil.disk_usage(folder).free
    if free < NEEDED_BYTES:
        raise PassingFault(
            f"the disk of {folder} is full ({free // 2**20} MB free, {NEEDED_BYTES // 2**20} MB are needed): "
            f"free some space and try again"
        )


def explained(words: str, data: Path, log: Path) -> DojangError | None:
    """The error for what a failed start or initdb wrote; None where it says nothing that is known."""
    for pattern, passes, told in SAID:
        if re.search(pattern, words):
            message = _filled(told, data) + f" (see {log})"
            return PassingFault(message) if passes else UserError(message)
    return None


_OTHER_USER = "run Dojang as that user, or give the folder to this one: {chown}"


def _filled(told: str, data: Path) -> str:
    owner, mine = _owner_of(data), os.geteuid() if os.geteuid() != 0 else 65534
    chown = f"sudo chown -R {mine} {data}"
    return told.format(data=data, home=data.parent, owner=owner, chown=chown)


def _owner_of(data: Path) -> str:
    try:
        facts = data.stat()
    except OSError:
        return "unknown"
    try:
        import pwd

        name = pwd.getpwuid(facts.st_uid).pw_name
    except (ImportError, KeyError):
        name = "no name"
    return f"user id {facts.st_uid}, {name}"
