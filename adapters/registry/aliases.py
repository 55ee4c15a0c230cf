"""Which adapter is champion, candidate or previous: compare-and-set under a lock, written into the log first.

A record in the log is the change; the links beside it are for other programs and follow. Killed between the two, the
next caller puts the links right, and until then everybody here is told what the log says: the champion is never in
doubt.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

from adapters.durable import FORBIDDEN, remedy, sync_dir
from adapters.errors import AdapterNotUsable
from adapters.registry import folders
from adapters.registry.folders import Entry
from adapters.registry.log import Promotion, PromotionLog
from state import Conflict, UserError

CHAMPION: Final = "champion"
CANDIDATE: Final = "candidate"
PREVIOUS: Final = "previous"
ALIASES: Final = (CHAMPION, CANDIDATE, PREVIOUS)
LOCK_S: Final = 30.0


class AliasMoved(Conflict):
    """Somebody else changed an alias first; ``found`` is what it names now."""

    def __init__(self, alias: str, found: str | None, seen: str | None) -> None:
        super().__init__(
            f"{alias} is {found or 'nothing'} by now, not {seen or 'nothing'}: somebody else was first; look again "
            "with `dojang adapters list`, nothing was changed"
        )
        self.alias, self.found = alias, found


class NoPrevious(UserError):
    """There was no champion before this one."""


class Server(Protocol):
    """Another process that serves adapters of a registry by their ids."""

    def load(self, adapter: str) -> None:
        """Let it have an adapter; what it raises is why it cannot."""
        ...

    def unload(self, adapter: str) -> None:
        """Let it forget one; raises nothing."""
        ...


class Registry:
    """All of a registry. Cheap to make; safe between threads and processes.

    ``server``: who serves its adapters, where that is another process. It is given an adapter before a name moves to
    it: where it cannot serve one, every name stays where it was.
    """

    def __init__(self, root: Path, server: Server | None = None) -> None:
        self.root, self.server = root, server
        self.adapters = root / "adapters"
        self.links = root / "aliases"
        self.log = PromotionLog(root / "promotions.jsonl")

    # -- adapters -------------------------------------------------------------------------------------------------

    def add(self, source: Path) -> Entry:
        """Take an adapter in; the same files are the same entry. See ``folders.add``."""
        return folders.entry(self.adapters, folders.add(self.adapters, source, self._locked).name)

    def entries(self) -> list[Entry]:
        """All adapters, by id."""
        return [folders.entry(self.adapters, adapter) for adapter in folders.ids(self.adapters)]

    def resolve(self, name: str) -> str:
        """The id of an adapter by its alias, id, or the beginning of one; raises AdapterNotUsable."""
        named = self.log.aliases()
        if name in ALIASES:
            if name not in named:
                raise AdapterNotUsable(f"no adapter is {name} yet; `dojang adapters list` shows what there is")
            return named[name]
        found = [adapter for adapter in folders.ids(self.adapters) if name and adapter.startswith(name)]
        if len(found) != 1:
            raise AdapterNotUsable(
                f"{len(found)} adapters of the registry begin with {name!r}; `dojang adapters list` shows all"
            )
        return found[0]

    def path(self, name: str) -> Path:
        """The folder of an adapter, for whoever serves it."""
        return self.adapters / self.resolve(name)

    def has(self, adapter: str) -> bool:
        """Whether an id is here, in full."""
        return adapter in folders.ids(self.adapters)

    def serve(self, adapter: str) -> None:
        """Let the server have an adapter, every byte of it checked before; nothing where there is no server.

        Raises:
            DamagedAdapter: its files are not those that it is named after.
            EndpointFault, EndpointRefused: the server is away, or cannot serve it.
        """
        if self.server is not None:
            folders.verify(self.adapters, adapter)
            self.server.load(adapter)

    # -- aliases --------------------------------------------------------------------------------------------------

    def aliases(self) -> dict[str, str]:
        """What each alias names, by the log."""
        return self.log.aliases()

    def nominate(self, adapter: str, *, seen: str | None, by: str, reason: str) -> Promotion:
        """Make an adapter the candidate, if the candidate is still ``seen``. Raises as :meth:`promote`."""
        return self.point({CANDIDATE: adapter}, seen={CANDIDATE: seen}, by=by, reason=reason)

    def promote(
        self, adapter: str, *, seen: str | None, by: str, reason: str, key: str = "", report: str = ""
    ) -> Promotion:
        """Make an adapter the champion, if the champion is still ``seen``; the old one becomes ``previous``.

        One record changes all three names, so that no crash leaves them half changed. ``key``: the effect's; a second
        call under it gets the record of the first and changes nothing. ``report``: what it was decided on.

        Raises:
            AliasMoved: somebody else promoted first.
            AdapterNotUsable: it is not in the registry, or was trained on another base than the champion.
            DamagedAdapter: its files are not those that it is named after.
            NotPromoted: the disk refused; the champion is who it was.
            EndpointFault, EndpointRefused: the server cannot have it; the champion is who it was.
        """
        changes: dict[str, str | None] = {CHAMPION: adapter, PREVIOUS: seen}
        if self.aliases().get(CANDIDATE) == adapter:
            changes[CANDIDATE] = None
        if seen is not None and (self.adapters / seen).is_dir():
            self._same_base(adapter, seen)
        noted = {name: value for name, value in (("key", key), ("report", report)) if value}
        return self.point(changes, seen={CHAMPION: seen}, by=by, reason=reason, **noted)

    def promoted_as(self, key: str) -> Promotion | None:
        """The promotion that an effect made under this key; None where it certainly made none."""
        return next((record for record in self.log.read() if key and record.get("key") == key), None)

    def rollback(self, *, by: str, reason: str) -> Promotion:
        """Champion and previous change places, in one record, if both are still what they were a moment ago.

        Raises:
            NoPrevious: there is nothing to go back to.
            AliasMoved, DamagedAdapter, NotPromoted, EndpointFault, EndpointRefused: as :meth:`promote`.
        """
        now = self.aliases()
        champion, previous = now.get(CHAMPION), now.get(PREVIOUS)
        if previous is None:
            raise NoPrevious(
                f"the champion is {champion or 'nothing'} and there was none before it to go back to; `dojang adapters "
                "list` shows what can be promoted instead"
            )
        changes = {CHAMPION: previous, PREVIOUS: champion}
        seen = {CHAMPION: champion, PREVIOUS: previous}
        return self.point(changes, seen=seen, by=by, reason=reason, rollback=True)

    def point(
        self,
        changes: Mapping[str, str | None],
        *,
        seen: Mapping[str, str | None],
        by: str,
        reason: str,
        **noted: str | bool,
    ) -> Promotion:
        """Let aliases name other adapters, all together or none; what ``seen`` says must still be so.

        ``noted``: more members of the record; under a ``key`` that the log has already, that record is the answer.
        """
        if not by.strip() or not reason.strip():
            raise UserError("an adapter is named by a person, and for a reason; say who and why")
        if self.promoted_as(str(noted.get("key", ""))) is None:  # outside the lock: a load takes its time
            for alias, named in changes.items():
                if named is not None and alias != PREVIOUS:
                    self.serve(named)
        with self._locked():
            now = self.log.aliases()
            self._follow(now)  # whatever a crash left undone
            if (done := self.promoted_as(str(noted.get("key", "")))) is not None:
                return done
            for alias, expected in seen.items():
                if now.get(alias) != expected:
                    raise AliasMoved(alias, now.get(alias), expected)
            for alias, adapter in changes.items():
                if adapter is not None and alias != PREVIOUS:  # a spoilt champion must not be in the way of another
                    folders.verify(self.adapters, adapter)
            at = datetime.now(UTC).isoformat(timespec="seconds")
            record = self.log.append({"at": at, "by": by, "reason": reason, "set": dict(changes), **noted})
            self._follow(self.log.aliases())
        return record

    def settle(self) -> None:
        """Put right what a crash left: links that do not follow the log, half copies."""
        if self.root.is_dir():
            with self._locked():
                self._follow(self.log.aliases())
                folders.sweep(self.adapters)

    def problems(self) -> list[str]:
        """What is wrong, one line each: changed adapters, a changed log, names of adapters that are gone."""
        found = []
        for adapter in folders.ids(self.adapters):
            try:
                folders.verify(self.adapters, adapter)
            except folders.DamagedAdapter as e:
                found.append(str(e))
        named = [self._problem(alias, adapter) for alias, adapter in self.log.aliases().items()]
        return [*found, *(problem for problem in named if problem)]

    def unused(self, *, promoted: bool = False, older_s: float = 0, spared: Collection[str] = ()) -> list[str]:
        """Adapters that nothing names and that were added so long ago; with ``promoted`` also champions of the past.

        ``spared``: those that the caller knows to be wanted, whatever names them.
        """
        named = {*self.log.aliases().values(), *spared}
        once = {a for record in self.log.read() for a in record["set"].values() if a is not None}
        kept = named if promoted else named | once
        limit = time.time() - older_s
        found = [adapter for adapter in folders.ids(self.adapters) if adapter not in kept]
        return [adapter for adapter in found if (self.adapters / adapter).stat().st_ctime <= limit]

    def gc(self, *, promoted: bool = False, older_s: float = 0, spared: Collection[str] = ()) -> dict[str, int]:
        """Delete what is unused, and what crashes left; the bytes of each."""
        self.settle()
        if not self.root.is_dir():
            return {}
        with self._locked():
            unused = self.unused(promoted=promoted, older_s=older_s, spared=spared)
            removed = {adapter: folders.remove(self.adapters, adapter) for adapter in unused}
        if self.server is not None:
            for adapter in removed:
                self.server.unload(adapter)
        return removed

    # -- inside ---------------------------------------------------------------------------------------------------

    def _problem(self, alias: str, adapter: str) -> str:
        if not (self.adapters / adapter).is_dir():
            return f"{alias} names {adapter}, which is not in the registry any more; add it again"
        if self._linked(alias) != adapter:
            return f"the link of {alias} does not follow the log; `dojang adapters gc` puts it right"
        return ""

    def _same_base(self, adapter: str, champion: str) -> None:
        new, old = (folders.entry(self.adapters, a)["base"] for a in (adapter, champion))
        if new != old:
            raise AdapterNotUsable(
                f"adapter {adapter} was trained on the base {new or 'nobody noted'}, the champion {champion} on "
                f"{old or 'nobody noted'}: it cannot take its place; train it on the champion's base"
            )

    def _linked(self, alias: str) -> str | None:
        try:
            return Path(os.readlink(self.links / alias)).name
        except OSError:
            return None

    def _follow(self, named: Mapping[str, str]) -> None:
        """Put the links right where the system lets us: the log says who is who, and ``problems`` tells the rest."""
        with contextlib.suppress(OSError):
            self._link(named)

    def _link(self, named: Mapping[str, str]) -> None:
        """Let the links follow the log: each is swapped in one step."""
        self.links.mkdir(mode=0o700, exist_ok=True)
        changed = False
        for alias in ALIASES:
            if self._linked(alias) == named.get(alias):
                continue
            changed = True
            if alias not in named:
                (self.links / alias).unlink(missing_ok=True)
                continue
            fresh = self.links / f".{alias}.{secrets.token_hex(4)}"
            os.symlink(Path("..") / "adapters" / named[alias], fresh, target_is_directory=True)
            os.replace(fresh, self.links / alias)
        for left in self.links.glob(".*"):
            left.unlink(missing_ok=True)
        if changed:
            sync_dir(self.links)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        from filelock import FileLock, Timeout

        lock = FileLock(self.root / ".lock", timeout=LOCK_S)
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock.acquire()
        except Timeout:
            raise Conflict(f"somebody else changes {self.root} right now; try again") from None
        except OSError as e:
            if e.errno not in FORBIDDEN:
                raise
            raise UserError(f"{self.root} cannot be changed ({e.strerror}): {remedy(e)}") from None
        try:
            yield
        finally:
            lock.release()


__all__ = ["ALIASES", "CANDIDATE", "CHAMPION", "PREVIOUS", "AliasMoved", "NoPrevious", "Registry", "Server"]
