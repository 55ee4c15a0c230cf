"""An append-only file of framed records: append and iterate. Knows nothing of what the records mean.

Appends are durable when they return. One writer at a time, by an OS lock on ``<name>.lock`` beside the file; the wait
for the disk is outside of the lock, so writers that queue share one fsync. Readers take no lock. A torn tail (an
append that a crash cut short) is invisible to readers and cut off by the next writer; any other wrong byte is a
DamagedLog. The first record names the format version and a random ``gen`` that changes when the file is rewritten.
With a key ring every record but the first is sealed, and a plain one is refused; without one, a sealed one is.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson

from checkpoints.errors import DamagedLog, DiskFault, NewerFormat, PlaintextRefused, UnknownType, WrongKey
from checkpoints.files.crypto import Forged, KeyRing, Place, is_sealed
from checkpoints.files.folders import FORMAT, open_file, read_at, sync_dir, sync_file, write_all
from checkpoints.files.frames import LOOSE, ROOT, Damage, Entry, Record, frame, scan
from checkpoints.files.locks import OsLock

SEALED_FORMAT = 2
"""In the header of a file whose records are sealed; programs that know nothing of it refuse the file."""


LINGER_MAX_S = 0.01
"""How long an append waits at most for another one that it could share an fsync with."""


class Tail:
    """Where a file ends, as its reader knows it."""

    def __init__(self) -> None:
        self.gen = ""  # "" until the header is known
        self.end = 0  # offset after the last whole record
        self.crc = ROOT  # of that record


class Journal:
    """One append-only file. Instances are cheap, safe to share between threads, and may be many on one path."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        kind: str = "journal",
        sync: bool = True,
        keys: KeyRing | None = None,
        thread: str = "",
    ) -> None:
        """``thread`` is the folder's name that sealed records are bound to, where it is not the one above ``path``."""
        self.path = Path(path)
        self.keys = keys
        self.thread = thread or self.path.parent.name
        self.kind = kind
        self.sync = sync
        self._mutex = threading.RLock()
        self._held = False  # the OS lock, by the thread that holds the mutex
        self._sync_mutex = threading.Lock()
        self._synced: tuple[str, int] = ("", 0)
        self._sync_done = threading.Condition()
        self._sync_s = 0.0  # how long the last fsync took
        self._company = True  # whether the last append that waited for another one was followed by it
        self._tail = Tail()
        self._stale = False  # an fsync failed: what we remember of the file may not be on the disk
        self._spare = ("", 0)  # gen and end of the file after the last spare records
        self._lock: OsLock | None = None
        self._keeps = False
        self._kept: tuple[int, tuple[int, int]] | None = None  # the open file, and which one it is

    @property
    def gen(self) -> str:
        """Which writing of the file was looked at last; "" for none."""
        return self._tail.gen

    def forget(self) -> None:
        """Look at all of the file next time."""
        self._tail.gen = ""

    # reading

    def read(self) -> list[Entry]:
        """The whole records, the header first. A missing file has none.

        Raises:
            DamagedLog: some bytes are neither a record nor a torn tail.
        """
        try:
            fd = open_file(self.path, os.O_RDONLY)
        except FileNotFoundError:
            return []
        try:
            with reading(self.path):
                return self._scan(fd, 0, ROOT)[0]
        finally:
            os.close(fd)

    def __iter__(self) -> Iterator[Record]:
        """The records in the order of writing, the header left out."""
        return (e.record for e in self.read()[1:])

    def content(self) -> bytes:
        """The file as it is; b"" where there is none."""
        try:
            fd = open_file(self.path, os.O_RDONLY)
        except FileNotFoundError:
            return b""
        try:
            with reading(self.path):
                return read_all(fd)
        finally:
            os.close(fd)

    # writing

    def append(self, record: Record) -> int:
        """Append one record; its offset. Durable on return.

        Raises:
            DiskFault: the disk is full or failing; the record is not in the file.
        """
        with self.writing() as writer:
            offset = writer.write([record])[0]
        writer.wait()
        return offset

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every other writer out, of this process and of others. Reentrant."""
        with self._mutex:
            if self._held:
                yield
                return
            if self._lock is None:
                self._lock = OsLock(self.path.with_name(self.path.name + ".lock"))
            with self._lock:
                self._held = True
                try:
                    yield
                finally:
                    self._held = False

    @contextmanager
    def writing(self) -> Iterator[Writer]:
        """Hold the write lock with the tail known and cut clean. Call ``wait()`` on the writer before acknowledging."""
        with self.locked(), contextlib.closing(Writer(self)) as writer:
            yield writer

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Leave the file and its lock's open between appends: for who appends again and again, as a run does.

        The lock is held no longer than otherwise. Each append looks whether the names still stand for these files.
        Not on Windows, which lets nobody replace a file that is open.
        """
        pid = os.getpid()
        self._keep(os.name != "nt")
        try:
            yield
        finally:
            if os.getpid() == pid:  # a forked child has its own
                self._keep(False)

    def _keep(self, keeps: bool) -> None:
        with self._mutex:
            if self._lock is None:
                self._lock = OsLock(self.path.with_name(self.path.name + ".lock"))
            self._keeps = keeps
            if keeps:
                self._lock.keep()
                return
            self._lock.drop()
            self._let_go()

    def _let_go(self) -> None:
        if self._kept is not None:
            os.close(self._kept[0])
            self._kept = None

    def _opened(self) -> int:
        """The file, made where there is none, opened for a writer, who gives it to :meth:`_closed`."""
        if self._kept is not None:
            with contextlib.suppress(OSError):
                found = os.stat(self.path, follow_symlinks=False)
                if (found.st_dev, found.st_ino) == self._kept[1]:
                    return self._kept[0]
            self._let_go()  # it was replaced, by a packing perhaps, or is gone
        fd = open_file(self.path, os.O_RDWR | os.O_CREAT)
        if self._keeps:
            found = os.fstat(fd)
            self._kept = fd, (found.st_dev, found.st_ino)
        return fd

    def _closed(self, fd: int) -> None:
        if self._kept is None or self._kept[0] != fd:
            os.close(fd)

    def refresh(self, fd: int, *, whole: bool = False) -> tuple[bool, list[Entry], int]:
        """What the open file has that this journal has not seen: (all is new, records, size). Callers serialise.

        "All is new" means that the file was rewritten, rolled back or never seen: forget what was known of it.
        ``whole``: all of the file, from its first record on, and all is new.

        Raises:
            DiskFault: the disk refused a read.
        """
        with reading(self.path):
            return self._refresh(fd, whole)

    def _refresh(self, fd: int, whole: bool) -> tuple[bool, list[Entry], int]:
        size = os.fstat(fd).st_size
        tail, self._stale = Tail() if self._stale or whole else self._tail, False
        if tail.gen and size >= tail.end and tail.gen == _gen(fd):
            if size == tail.end:
                return False, [], size
            with contextlib.suppress(DamagedLog):  # perhaps the end that we knew was rolled back: look at all of it
                entries, size = self._scan(fd, tail.end, tail.crc)
                self._advance(entries)
                return False, entries, size
        self._tail = Tail()
        start, prev = (0, ROOT) if whole else self.first(fd, size)
        entries, size = self._scan(fd, start, prev)
        if entries:
            self._tail.gen = _gen(fd)
            self._advance(entries)
        return True, entries, size

    def first(self, fd: int, size: int) -> tuple[int, str]:
        """Where a first look at the file begins: (offset, crc of the record before it)."""
        return 0, ROOT

    def _advance(self, entries: list[Entry]) -> None:
        if entries:
            self._tail.end, self._tail.crc = entries[-1].end, entries[-1].crc

    def _scan(self, fd: int, start: int, prev: str) -> tuple[list[Entry], int]:
        for attempt in range(4):
            os.lseek(fd, start, os.SEEK_SET)
            data = read_all(fd)
            try:
                entries = list(self.opened(data, start, prev, _gen(fd)))
            except Damage as e:
                if attempt == 3:
                    raise DamagedLog(self.path, e.offset, e.what) from None
                time.sleep(0.001)  # a writer may be cutting a torn tail under our eyes
                continue
            return entries, start + len(data)
        raise AssertionError("unreachable")

    # sealing

    def place(self, gen: str, offset: int, prev: str) -> Place:
        """What a sealed record at an offset is bound to."""
        return Place(self.thread, self.kind, gen, offset, prev)

    def opener(self, fd: int) -> Callable[[Record, int], Record]:
        """Opens records of an open file as ``frames.parse`` gives them; raises Damage, WrongKey, PlaintextRefused."""
        gen = _gen(fd) if self.keys is not None else ""
        return lambda record, offset: self.open(record, gen, offset, record["prev"])

    def open(self, record: Record, gen: str, offset: int, prev: str) -> Record:
        """A record as the file has it, opened. Damage, WrongKey, PlaintextRefused."""
        sealed = is_sealed(record)
        if self.keys is None:
            if sealed:
                raise WrongKey(str(record.get("key")), f"no session keys are set, so {self.path} cannot be read")
            return record
        if not sealed:
            raise PlaintextRefused(self.path)
        try:
            opened = self.keys.open(record, self.place(gen, offset, prev))
            return {**opened, LOOSE: record[LOOSE]} if LOOSE in record else opened
        except Forged:
            raise Damage(
                offset, f"a record does not open with its key {record['key']!r}: it was changed, or belongs elsewhere"
            ) from None

    def opened(self, data: bytes, start: int, prev: str, gen: str) -> Iterator[Entry]:
        """``scan``, with the header checked and every other record opened."""
        for entry in scan(data, start, prev):
            if entry.offset == 0:
                check_header(self.path, entry.record, self.kind)
                self.check_format(entry.record)
                yield entry
            else:
                yield entry._replace(record=self.open(entry.record, gen, entry.offset, prev))
            prev = entry.crc

    def check_format(self, head: Record) -> None:
        """Raise unless the keys at hand fit the file with this header."""
        sealed = head["format"] == SEALED_FORMAT
        if sealed and self.keys is None:
            raise WrongKey("?", f"no session keys are set, so {self.path} cannot be read")
        if self.keys is not None and not sealed:
            raise PlaintextRefused(self.path)

    def _sync_to(self, gen: str, end: int, *, linger: bool = False) -> None:
        """Return when the file is durable up to ``end``; writers that wait here share one fsync."""
        if not self.sync:
            return
        if linger and self._company:
            with self._sync_done:
                self._sync_done.wait_for(lambda: self._is_synced(gen, end), min(2 * self._sync_s, LINGER_MAX_S))
        self._sync(gen, end)
        if linger:
            self._company = self._tail.end > end

    def synced_to(self) -> int:
        """Up to where the file is surely on the disk. Waits for all of it where nobody in this process knows."""
        if self._synced[0] != self._tail.gen:
            self._sync(self._tail.gen, self._tail.end)
        return self._synced[1]

    def flush(self) -> bool:
        """Return when what this process wrote is on the disk, but for spare records at the end (:meth:`Writer.write`).

        Returns:
            Whether there was anything to wait for.
        """
        gen, end = self._tail.gen, self._tail.end
        if not self.sync or not gen or (gen, end) == self._spare or self._is_synced(gen, end):
            return False
        self._sync(gen, end)
        return True

    def _is_synced(self, gen: str, end: int) -> bool:
        return self._synced[0] == gen and self._synced[1] >= end

    def _sync(self, gen: str, end: int) -> None:
        with self._sync_mutex:
            if self._is_synced(gen, end):
                return
            began = time.perf_counter()
            try:
                fd = open_file(self.path, os.O_RDWR)
            except FileNotFoundError:
                return  # deleted meanwhile
            try:
                size = os.fstat(fd).st_size
                sync_file(fd)
            except OSError as e:
                self._stale = True
                raise DiskFault(
                    f"{self.path}: the disk did not confirm the last write ({e.strerror}); "
                    "it may be lost: check the disk and try again"
                ) from e
            finally:
                os.close(fd)
            self._sync_s = time.perf_counter() - began
            self._synced = (gen, size)
        with self._sync_done:
            self._sync_done.notify_all()


class Writer:
    """The end of a journal, opened for appending under its lock."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.fd = journal._opened()
        try:
            self.reset, self.news, size = journal.refresh(self.fd)
            if size > journal._tail.end:
                os.ftruncate(self.fd, journal._tail.end)
                sync_file(self.fd)
            if not journal._tail.gen:
                self._begin()
            self.written = (journal._tail.gen, journal._tail.end)
        except OSError as e:
            journal._closed(self.fd)
            raise DiskFault(f"cannot read {journal.path}: {e.strerror}; check the disk and try again") from e
        except BaseException:
            journal._closed(self.fd)
            raise

    def _begin(self) -> None:
        gen = new_gen()
        self.write([header(self.journal, gen)])
        self.journal._tail.gen = gen
        self.journal._synced = (gen, 0)
        if self.journal.sync:
            sync_dir(self.journal.path.parent)

    @property
    def records(self) -> list[Record]:
        """What the journal had not seen before, its header left out."""
        return [entry.record for entry in self.news if entry.offset]

    @property
    def end(self) -> int:
        """The offset that the next record gets."""
        return self.written[1]

    def write(self, records: Iterable[Record], *, loose_from: int | None = None, spare: bool = False) -> list[int]:
        """Append records in one go; their offsets. Not durable before ``wait()``.

        ``loose_from``: up to where the file is on the disk, when nobody will wait for this append; the records say so.
        ``spare``: a power cut may take them. :meth:`Journal.flush`, which whoever writes them has just called, has
        nothing to wait for after them.

        Raises:
            DiskFault: nothing of them is in the file.
        """
        tail = self.journal._tail
        lines, offsets, end, crc = [], [], tail.end, tail.crc
        for record in records:
            if loose_from is not None and end > loose_from and record["k"] != "mark":
                record = {**record, LOOSE: end - loose_from}
            try:
                line, crc = frame(sealed(self.journal, record, tail.gen, end, crc), crc)
            except orjson.JSONEncodeError as e:
                raise UnknownType(f"{self.journal.path}: a record is no JSON ({e}); nothing was written") from e
            lines.append(line)
            offsets.append(end)
            end += len(line)
        try:
            os.lseek(self.fd, tail.end, os.SEEK_SET)
            write_all(self.fd, b"".join(lines))
        except OSError as e:
            with contextlib.suppress(OSError):
                os.ftruncate(self.fd, tail.end)
            raise DiskFault(f"cannot write to {self.journal.path}: {e.strerror}; nothing was written") from e
        tail.end, tail.crc = end, crc
        self.written = (tail.gen, end)
        if spare:
            self.journal._spare = self.written
        return offsets

    def wait(self, *, linger: bool = False) -> None:
        """Return when everything that was written is durable.

        ``linger``: another append is likely to follow at once; wait for it about as long as an fsync takes, so that
        its fsync serves both.
        """
        self.journal._sync_to(*self.written, linger=linger)

    def close(self) -> None:
        """Close the file; the lock is not this object's."""
        self.journal._closed(self.fd)


def flush_file(path: Path) -> None:
    """Return when a file is on the disk, whoever wrote it; at once where there is none.

    Raises:
        DiskFault: the disk did not confirm it.
    """
    try:
        fd = open_file(path, os.O_RDWR)
    except FileNotFoundError:
        return
    try:
        sync_file(fd)
    except OSError as e:
        raise DiskFault(f"{path}: the disk did not confirm the last writes ({e.strerror}); check it, try again") from e
    finally:
        os.close(fd)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turns what the operating system says of a read that failed into a DiskFault."""
    try:
        yield
    except OSError as e:
        raise DiskFault(f"cannot read {path}: {e.strerror}; check the disk and try again") from e


def read_all(fd: int) -> bytes:
    """Everything from the file's position on."""
    parts = []
    while part := os.read(fd, 1 << 20):
        parts.append(part)
    return b"".join(parts)


def _gen(fd: int) -> str:
    """The file's gen, from the end of its first line; parsing is left to the first look."""
    return gen_of(read_at(fd, 256, 0))


def gen_of(data: bytes) -> str:
    """The gen of a file that begins with these bytes."""
    return data[:256].partition(b"\n")[0][-18:-2].decode("ascii", "replace")


def new_gen() -> str:
    """A gen for a file that is about to be written."""
    return secrets.token_hex(8)


def sealed(journal: Journal, record: Record, gen: str, offset: int, prev: str) -> Record:
    """The record as the file is to have it: the header, and all of a file without keys, as they are."""
    if journal.keys is None or offset == 0:
        return record
    box = journal.keys.seal(inner_of(record), journal.place(gen, offset, prev))
    return {**box, LOOSE: record[LOOSE]} if LOOSE in record else box


def inner_of(record: Record) -> Record:
    """What is sealed of a record: how it came to the disk can be read without a key."""
    return {key: value for key, value in record.items() if key != LOOSE} if LOOSE in record else record


def header(journal: Journal, gen: str) -> Record:
    """The first record of every file; ``gen`` stays last, where a reader finds it without parsing."""
    version = FORMAT if journal.keys is None else SEALED_FORMAT
    return {"k": "head", "format": version, "kind": journal.kind, "gen": gen}


def check_header(path: Path, record: Record, kind: str) -> None:
    """Raise unless this is the first record of a file that this program can read."""
    if record.get("k") != "head" or record.get("kind") != kind:
        raise DamagedLog(path, 0, f"it does not begin as a {kind} file")
    if record["format"] > SEALED_FORMAT:
        raise NewerFormat(f"{path} has format {record['format']}, this program reads up to {SEALED_FORMAT}; update it")
