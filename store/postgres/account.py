"""Under which account the server's programs run.

An ordinary user runs them as himself. PostgreSQL refuses to run as root, so root runs them as ``nobody``. Where a
parent directory keeps ``nobody`` out (``/root``, pytest's temporary folders), nothing is chmod'ed: the program is
started with the capability to pass through directories, and where that cannot be had the error names the directory.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from state import PassingFault, UserError

NOBODY = 65534
CAPABILITIES = ("dac_read_search", "dac_override")  # the first one reads only; containers often have just the second


def clean_environment() -> dict[str, str]:
    """The caller's environment without what would change the server's language or libpq's target.

    An ``LC_ALL`` that is not installed makes initdb fail, so every locale setting goes.
    """
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "LC_")) and k not in ("LANG", "LANGUAGE")}
    return kept | {"LC_ALL": "C"}


@dataclass(frozen=True)
class Account:
    """How to start a program that must not be root. ``uid`` is None for "as myself"."""

    uid: int | None = None
    gid: int | None = None
    prefix: tuple[str, ...] = ()

    def run(self, command: Sequence[str], *, timeout_s: float) -> subprocess.CompletedProcess[str]:
        """Run to its end, in ``/`` and detached from the terminal, with output as text; PassingFault when it hangs."""
        identity: Mapping[str, int | list[int]] = {}
        if self.uid is not None and self.gid is not None and not self.prefix:
            identity = {"user": self.uid, "group": self.gid, "extra_groups": []}
        try:
            done: subprocess.CompletedProcess[str] = subprocess.run(
                [*self.prefix, *command],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                env=clean_environment(),
                cwd="/",
                timeout=timeout_s,
                check=False,
                start_new_session=True,
                **identity,  # type: ignore[call-overload]
            )
        except subprocess.TimeoutExpired:
            raise PassingFault(f"{Path(command[0]).name} did not end within {timeout_s:g} s: try again") from None
        return done

    def own(self, path: Path, mode: int) -> None:
        """Make ``path`` this account's own."""
        path.chmod(mode)
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)


def account_for(program: Path, directory: Path, owner: tuple[int, int] | None = None) -> Account:
    """The account that can run ``program`` on files in ``directory``; UserError naming what blocks if none can.

    ``owner``: user and group id that root is to take, where the data are somebody's already.
    """
    if os.geteuid() != 0:
        return Account()
    uid, gid = owner if owner is not None and owner[0] != 0 else (NOBODY, NOBODY)
    plain = Account(uid, gid)
    if plain.run(["test", "-x", str(program)], timeout_s=10).returncode != 0:
        raise _blocked(program)  # PostgreSQL looks for itself with access(2), which ignores capabilities
    setpriv = shutil.which("setpriv")
    ids = (f"--reuid={uid}", f"--regid={gid}", "--clear-groups")
    lifted = [
        Account(uid, gid, (str(setpriv), *ids, f"--inh-caps=+{cap}", f"--ambient-caps=+{cap}"))
        for cap in (CAPABILITIES if setpriv else ())
    ]
    for account in (plain, *lifted):
        if account.run(["stat", str(directory)], timeout_s=10).returncode == 0:
            return account
    raise _blocked(directory)


def _blocked(path: Path) -> UserError:
    wall = _blocking(path)
    return UserError(
        f"the embedded PostgreSQL cannot run as root, and user id {NOBODY} cannot pass {wall} to reach {path}: "
        f"move it to another place, run as an ordinary user, or allow passage with: chmod o+x {wall}"
    )


def _blocking(path: Path) -> Path:
    for directory in reversed(path.parents):
        facts = directory.stat()
        bit = stat.S_IXUSR if facts.st_uid == NOBODY else stat.S_IXGRP if facts.st_gid == NOBODY else stat.S_IXOTH
        if not facts.st_mode & bit:
            return directory
    return path
