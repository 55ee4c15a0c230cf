"""checkpoints make-key, rotate-key, encrypt: what the session files are sealed with. Starts no database."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from dojang.cli.exits import Exit
from dojang.cli.invocation import Invocation, invocation
from dojang.home import check_home

if TYPE_CHECKING:
    from checkpoints.files.crypto import KeyRing

Step = Callable[["KeyRing", str], int]


def make_key(context: typer.Context) -> int:
    """Make the key file that DOJANG_SESSION_KEYS names, locked by DOJANG_SESSION_PASSPHRASE where that is set."""
    from checkpoints.files.crypto import KeyRing
    from state import UserError

    call = invocation(context)
    path, passphrase = call.settings.session_keys, call.settings.session_passphrase
    if path is None:
        raise UserError("no key file is named; set DOJANG_SESSION_KEYS to the path of the new one")
    ring = KeyRing.create(path, passphrase=passphrase.get_secret_value() if passphrase else None)
    call.terminal.document({"key_id": ring.active, "file": str(path)})
    said = call.terminal.gettext("key {id} is in {path}; without that file the sessions cannot be read: keep a copy")
    call.terminal.line(said.format(id=ring.active, path=path))
    return Exit.DONE


def rotate_key(
    context: typer.Context,
    again: Annotated[
        bool, typer.Option("--again", help="Make no new key: finish a rotation that was cut short.")
    ] = False,
) -> int:
    """Seal with a new key from now on, and seal anew what is there. Code 70 when a conversation cannot be opened."""
    from checkpoints.upkeep.rotation import reseal

    call = invocation(context)
    ring = _ring(call)
    if not again:
        ring.rotate()
    step = lambda keys, thread: reseal(call.settings.threads, keys, thread)  # noqa: E731
    return _every_thread(call, ring, step, plain=False)


def encrypt(context: typer.Context) -> int:
    """Seal conversations that were written without a key, as they are now. Code 70 when one cannot be read."""
    from checkpoints.upkeep.rotation import encrypt as encrypt_thread

    call = invocation(context)
    ring = _ring(call)
    step = lambda keys, thread: encrypt_thread(call.settings.threads, keys, thread)  # noqa: E731
    code = _every_thread(call, ring, step, plain=True)
    for name in ("index.sqlite", "index.sqlite-wal", "index.sqlite-shm"):  # derived; it repeats titles and reviews
        (call.settings.home / name).unlink(missing_ok=True)
    return code


def _ring(call: Invocation) -> KeyRing:
    from dojang.sessions import load_session_keys
    from state import UserError

    check_home(call.settings.home)
    call.only_files()
    ring = load_session_keys(call.settings)
    if ring is None:
        said = "no session keys are set; name their file in DOJANG_SESSION_KEYS and make it with"
        raise UserError(f"{said} `dojang checkpoints make-key`")
    return ring


def _every_thread(call: Invocation, ring: KeyRing, step: Step, *, plain: bool) -> int:
    """Take the step in each conversation and in what the server accepted; what fails is told and stops no other.

    ``plain``: also what was never sealed.
    """
    from checkpoints.files.folders import ThreadFolders
    from dojang.server.work.upkeep import reseal_runs
    from state import DojangError

    _ = call.terminal.gettext
    files, problems = 0, []
    with call.terminal.working(_("sealing")) as tell:
        say = now_and_then(tell)
        for folder in ThreadFolders(call.settings.threads).folders():
            try:
                thread = ThreadFolders(folder.parent).thread_id(folder)
                files += step(ring, thread)
                say(thread)
            except FileNotFoundError:
                continue  # deleted meanwhile
            except DojangError as e:
                problems.append(str(e))
        rows = 0
        try:
            rows = reseal_runs(call.settings.home / "runs.sqlite", ring, plain=plain)
        except DojangError as e:
            problems.append(str(e))
    call.terminal.document({"key_id": ring.active, "files": files, "runs": rows, "problems": problems})
    call.terminal.line(_("key {id} seals; {files} files were sealed anew").format(id=ring.active, files=files))
    for problem in problems:
        call.terminal.line(call.terminal.told(problem), style="bold red")
    return Exit.BROKEN if problems else Exit.DONE


def now_and_then(tell: Callable[[str], None]) -> Callable[[str], None]:
    """``tell``, at most once a second, so that quick work says nothing."""
    last = time.monotonic()

    def told(news: str) -> None:
        nonlocal last
        if time.monotonic() - last >= 1:
            last = time.monotonic()
            tell(news)

    return told
