"""Writing a thread's checkpoints anew: into the same log without some of them, or into another thread's.

Goes through ``Session`` record by record, values decoded and encoded again. Readers never wait.
"""

from __future__ import annotations

import errno
import secrets
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from checkpoints.errors import DiskFault
from checkpoints.files.crypto import KeyRing
from checkpoints.files.stamps import replace_log
from checkpoints.log.memory import decoded
from checkpoints.log.positions import Key
from checkpoints.log.session import Session, pending
from checkpoints.log.view import View
from checkpoints.values.codec import Decoder
from state import DojangError


def rebuild(session: Session, keep: Callable[[Key], bool]) -> None:
    """Rewrite the log with the checkpoints that ``keep`` wants, and their writes."""
    with session.log.locked():
        if session.log.path.exists():
            _rewrite(session, keep)


def _rewrite(session: Session, keep: Callable[[Key], bool], skip: Collection[int] = ()) -> None:
    with replacement(session, session.log.keys) as fresh, session.view(whole=True) as view:
        if view is None:
            raise FileNotFoundError(errno.ENOENT, "it was deleted", str(session.log.path))
        _replay(session, view, fresh, keep, skip)


def drop_broken(session: Session) -> list[str]:
    """Rewrite the log without the checkpoints and writes that cannot be read; which those were, one line each."""
    with session.log.locked():
        with session.view(whole=True) as view:
            if view is None:
                return []
            where, gone, said = session.where, set[int](), list[str]()
            for ns, cps in where.cps.items():
                for cp, at in cps.items():
                    if not _readable(lambda at=at: decoded(view, view.tables(at))):  # type: ignore[misc]
                        gone.add(at)
                        said.append(f"checkpoint {cp!r}" + (f" of namespace {ns!r}" if ns else ""))
            for (_, cp), offsets in where.writes.items():
                for at in offsets:
                    if not _readable(lambda at=at: pending(view, [at])):  # type: ignore[misc]
                        gone.add(at)
                        said.append(f"a task's writes at checkpoint {cp!r}")
            broken = {(ns, cp) for ns, cps in where.cps.items() for cp, at in cps.items() if at in gone}
        _rewrite(session, lambda key: key not in broken, gone)
        return said


def _readable(read: Callable[[], object]) -> bool:
    try:
        read()
    except (DojangError, KeyError, IndexError, TypeError, ValueError):
        return False
    return True


@contextmanager
def replacement(session: Session, keys: KeyRing | None) -> Iterator[Session]:
    """An empty log beside the session's, which takes its place when the block ends well. Call it under the lock.

    Neither file may be open any more by then: Windows does not rename over a file that somebody has open.

    Raises:
        DiskFault: nothing was changed.
    """
    folder = session.folder
    for left_over in folder.glob(".rebuild-*"):  # by a writer that was killed; we hold the lock
        shutil.rmtree(left_over, ignore_errors=True)
    temp = folder / f".rebuild-{secrets.token_hex(4)}"
    temp.mkdir(mode=0o700)
    try:
        fresh = Session(temp, sync=False, keys=keys, thread=session.log.thread)
        fresh.packer.off = True
        yield fresh
        fresh.seal()
        replace_log(fresh.log.path, session.log.path)
    except OSError as e:
        raise DiskFault(f"cannot rewrite {session.log.path}: {e.strerror}; nothing was changed") from e
    finally:
        shutil.rmtree(temp, ignore_errors=True)


def copy(source: Session, target: Session, upto: str = "") -> None:
    """Append every checkpoint and write to another thread's log; ``upto``: those that led to a checkpoint, and it."""
    with source.view(whole=True) as view:
        if view is None:
            return
        if not upto:
            _replay(source, view, target, lambda key: True)
            return
        way = _way(source, view, upto)
        writes = source.where.writes
        later = {at for (ns, cp), found in writes.items() if ns or cp == upto or cp not in way for at in found}
        _replay(source, view, target, lambda key: not key[0] and key[1] in way, later)


def _way(source: Session, view: View, checkpoint_id: str) -> set[str]:
    """The ids of the checkpoints that led to one of the graph itself, and its own."""
    way: set[str] = set()
    known, at = source.where.cps.get("", {}), checkpoint_id
    while at in known and at not in way:
        way.add(at)
        at = view.tables(known[at]).up or ""
    return way


def _replay(
    source: Session, view: View, target: Session, keep: Callable[[Key], bool], skip: Collection[int] = ()
) -> None:
    where = source.where
    current = {at for found in where.cps.values() for at in found.values()}
    early = {at for (ns, cp), offsets in where.writes.items() if cp not in where.cps.get(ns, {}) for at in offsets}
    decode = Decoder(view).decode
    for at in sorted(current.union(*where.writes.values()).difference(skip)):
        record = view.record(at)
        ns = record.get("ns", "")
        if at in current and keep((ns, record["id"])):
            tables = view.tables(at)
            meta = {k: decode(v) for k, v in tables.meta.items()}
            checkpoint = tables.checkpoint(source.values(view, tables))
            target.put(ns, tables.up, checkpoint, meta, checkpoint["channel_versions"])
        elif at not in current and (at in early or keep((ns, record["cp"]))):
            writes = [(idx, channel, decode(node, at)) for idx, channel, node in record["w"]]
            target.put_writes(ns, record["cp"], writes, record["task"], record.get("path", ""))
