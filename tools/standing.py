"""Standing approvals: a named person allows a bounded set of calls for a bounded time, in advance. Judges no policy.

They are kept in one append-only file of JSON lines (``allow``, ``use``, ``revoke``), written under an operating-system
lock and fsynced before anybody acts on them, or elsewhere (``Lines``). A torn last line was never acknowledged and
counts for nothing; damage anywhere else means that no approval holds until a person has looked.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from filelock import FileLock, Timeout

from state import JSON, BrokenInvariant, Conflict, Language, PassingFault, UserError
from tools.expressions import cel
from tools.rules import read_condition

HIGHEST_STANDING_TIER = 2
"""A verdict of a higher tier is never given in advance."""
LONGEST = timedelta(days=90)
MOST_USES = 1000
LONGEST_REASON = 500
LOCK_WAIT_S = 10.0
_TOOL = re.compile(r"[A-Za-z_][\w.-]{0,127}")


class BrokenStanding(BrokenInvariant):
    """The file of standing approvals is damaged; none of them holds."""


class UnknownStanding(UserError):
    """There is no standing approval with this id."""


@dataclass(frozen=True)
class StandingApproval:
    """What one person allowed. Times are ISO 8601 with a zone; ``not_before`` inclusive, ``expires_at`` exclusive."""

    id: str
    by: str
    tool: str
    condition: str
    max_uses: int
    not_before: str
    expires_at: str
    created_at: str
    irreversible: bool = False
    reason: str = ""
    revoked_at: str = ""
    revoked_by: str = ""
    uses: int = 0

    def status(self, now: datetime) -> str:
        """``active``, or why it does not hold: revoked, expired, used up, not yet."""
        if self.revoked_at:
            return "revoked"
        if now >= datetime.fromisoformat(self.expires_at):
            return "expired"
        if self.uses >= self.max_uses:
            return "used up"
        return "active" if now >= datetime.fromisoformat(self.not_before) else "not yet"

    def covers(self, subject: Mapping[str, JSON]) -> bool:
        """Whether the call is one of those allowed; a condition that cannot be evaluated allows nothing."""
        if subject["tool"] != self.tool:
            return False
        undoable = subject["effect_class"] == "write" and subject["reversible"] is True
        if not undoable and not (self.irreversible and subject["effect_class"] in ("write", "irreversible")):
            return False
        try:
            return cel.compile(self.condition).execute({"args": subject["args"]}) is True
        except Exception:  # the evaluator raises what it likes
            return False

    def told(self, language: Language) -> str:
        """The reason that a verdict gives, in one sentence."""
        until = self.expires_at[:16].replace("T", " ")
        if language == "ko":
            return f"{self.by} 님이 미리 승인했습니다({self.id}, {until} UTC까지, {self.max_uses}회 한도)."
        return f"{self.by} allowed this in advance ({self.id}, until {until} UTC, at most {self.max_uses} times)."


class _Folded(NamedTuple):
    """The file's records, put together."""

    approvals: dict[str, StandingApproval]
    used: dict[str, str]  # approval by the key of the call that it was used for


class Lines(Protocol):
    """Where the records are kept, one JSON object each, oldest first."""

    name: str
    """What errors call it."""

    def read(self) -> Iterable[bytes]:
        """All whole ones. PassingFault where they cannot be read now."""
        ...

    def locked(self) -> AbstractContextManager[object]:
        """Keep every other writer out. PassingFault where that takes too long."""
        ...

    def append(self, line: bytes) -> None:
        """Durable at the end of :meth:`locked`. PassingFault."""
        ...


class Standing:
    """The approvals. Safe for many threads and processes.

    Args:
        where: the file, made with its lock when something is first allowed; or where else they are kept.
        now: the clock, with a time zone.
    """

    def __init__(self, where: Path | Lines, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._lines = FileLines(where) if isinstance(where, Path) else where
        self._now = now

    # -- reading --------------------------------------------------------------------------------------------------

    def all(self) -> list[StandingApproval]:
        """Every approval ever given, oldest first, with its uses.

        Raises:
            BrokenStanding: a line other than a torn last one cannot be read.
        """
        return list(self._folded().approvals.values())

    def get(self, approval_id: str) -> StandingApproval:
        """One approval; raises UnknownStanding."""
        for approval in self.all():
            if approval.id == approval_id:
                return approval
        raise UnknownStanding(f"there is no standing approval {approval_id!r}; `dojang policy standing` lists them")

    def covering(self, subject: Mapping[str, JSON]) -> StandingApproval | None:
        """The active approval that covers a call and ends first; None where there is none or the file is damaged."""
        try:
            now = self._now()
            found = [a for a in self.all() if a.status(now) == "active" and a.covers(subject)]
        except (BrokenInvariant, PassingFault):
            return None
        return min(found, key=lambda a: (a.expires_at, a.created_at, a.id), default=None)

    def counted(self, subject: Mapping[str, JSON]) -> StandingApproval | None:
        """The approval of which a use was counted for this very call (its ``key``); None where that has ended since."""
        key = subject.get("key")
        if not key:
            return None
        try:
            found, now = self._folded(), self._now()
        except (BrokenInvariant, PassingFault):
            return None
        approval = found.approvals.get(found.used.get(str(key), ""))
        stands = approval is not None and approval.status(now) in ("active", "used up") and approval.covers(subject)
        return approval if stands else None

    # -- writing --------------------------------------------------------------------------------------------------

    def allow(
        self,
        *,
        by: str,
        tool: str,
        condition: str,
        max_uses: int,
        lasts: timedelta,
        not_before: datetime | None = None,
        irreversible: bool = False,
        reason: str = "",
    ) -> StandingApproval:
        """Allow calls of ``tool`` for which ``condition`` (CEL over ``args``) is true; durable on return.

        Raises:
            UserError: a field out of bounds, named.
        """
        now = self._now()
        start = not_before or now
        if not by.strip():
            raise UserError("a standing approval needs the name of the person who gives it")
        if not _TOOL.fullmatch(tool):
            raise UserError(f"tool {tool!r}: name one tool exactly; a standing approval takes no pattern")
        if isinstance(max_uses, bool) or not 1 <= max_uses <= MOST_USES:
            raise UserError(f"max_uses must be a whole number from 1 to {MOST_USES}, not {max_uses!r}")
        if not timedelta(0) < lasts <= LONGEST:
            raise UserError(f"a standing approval lasts from 1 second to {LONGEST.days} days, not {lasts}")
        if start.tzinfo is None:
            raise UserError("not_before has no time zone; write it like 2026-11-22T09:00+09:00")
        try:
            source = read_condition(condition, ("args",))
        except ValueError as error:
            raise UserError(f"the condition {str(error).replace('a subject', 'a standing approval')}") from None
        made = StandingApproval(
            id=f"sa_{secrets.token_hex(5)}",
            by=by.strip(),
            tool=tool,
            condition=source,
            max_uses=max_uses,
            not_before=_utc(start),
            expires_at=_utc(start + lasts),
            created_at=_utc(now),
            irreversible=irreversible,
            reason=" ".join(reason.split()),
        )
        if len(made.reason) > LONGEST_REASON:
            raise UserError(f"the reason has {len(made.reason)} characters; write at most {LONGEST_REASON}")
        given = {k: v for k, v in asdict(made).items() if k not in ("revoked_at", "revoked_by", "uses")}
        if not made.reason:
            del given["reason"]  # as versions before wrote it
        with self._lines.locked():
            self.all()
            self._append({"op": "allow", **given})
        return made

    def use(self, approval_id: str, subject_id: str, tool: str, *, key: str = "") -> StandingApproval | None:
        """Count one use, durably; None where it does not hold any more or the use could not be written.

        ``key``: the very call that it is used for, see :meth:`counted`.
        """
        try:
            with self._lines.locked():
                now = self._now()
                approval = self.get(approval_id)
                if approval.status(now) != "active" or approval.tool != tool:
                    return None
                used = {"op": "use", "id": approval_id, "at": _utc(now), "subject": subject_id, "tool": tool}
                self._append(used | ({"key": key} if key else {}))
                return replace(approval, uses=approval.uses + 1)
        except (BrokenInvariant, PassingFault, UserError, OSError):
            return None

    def revoke(self, approval_id: str, *, by: str) -> StandingApproval:
        """End an approval now. Revoking again by the same person changes nothing.

        Raises:
            UnknownStanding, Conflict (somebody else revoked it first).
        """
        with self._lines.locked():
            approval = self.get(approval_id)
            if approval.revoked_at:
                if approval.revoked_by != by:
                    raise Conflict(f"standing approval {approval_id} was revoked by {approval.revoked_by} already")
                return approval
            at = _utc(self._now())
            self._append({"op": "revoke", "id": approval_id, "at": at, "by": by})
            return replace(approval, revoked_at=at, revoked_by=by)

    # -- the records ----------------------------------------------------------------------------------------------

    def _folded(self) -> _Folded:
        found = _Folded({}, {})
        for number, line in enumerate(self._lines.read(), start=1):
            self._take(found, line, number)
        return found

    def _take(self, found: _Folded, line: bytes, number: int) -> None:
        try:
            record: dict[str, Any] = json.loads(line)
            op, approvals = record.pop("op"), found.approvals
            if op == "allow":
                approval = _read(record)
                if approval.id in approvals:
                    raise ValueError(f"{approval.id} is there twice")
                approvals[approval.id] = approval
                return
            approval = approvals[record["id"]]
            if op == "use":
                approvals[approval.id] = replace(approval, uses=approval.uses + 1)
                if record.get("key"):
                    found.used[str(record["key"])] = approval.id
            elif op == "revoke":
                approvals[approval.id] = replace(approval, revoked_at=str(record["at"]), revoked_by=str(record["by"]))
            else:
                raise ValueError(f"{op!r} is no kind of record")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            name = self._lines.name
            raise BrokenStanding(
                f"{name}:{number}: cannot be read ({type(error).__name__}: {str(error)[:120]}); no standing "
                "approval holds; keep the file, and start another"
            ) from error

    def _append(self, record: Mapping[str, JSON]) -> None:
        self._lines.append(json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode("utf-8"))


class FileLines:
    """One append-only file."""

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, path.name

    def read(self) -> list[bytes]:
        """All but a torn last line."""
        try:
            return self.path.read_bytes().split(b"\n")[:-1]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise PassingFault(f"{self.name} cannot be read ({error.strerror}); nothing is allowed") from error

    def locked(self) -> FileLock:
        """A lock beside it."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return _Lock(str(self.path.with_suffix(".lock")), timeout=LOCK_WAIT_S, mode=0o600)

    def append(self, line: bytes) -> None:
        """One line, fsynced; a torn tail of an earlier crash is cut off first. Call it under the lock."""
        fresh = not self.path.exists()
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
            with os.fdopen(descriptor, "r+b") as file:
                whole = file.read().rfind(b"\n") + 1
                file.seek(whole)
                file.truncate()
                file.write(line + b"\n")
                file.flush()
                os.fsync(file.fileno())
            if fresh and os.name == "posix":
                _sync_folder(self.path.parent)
        except OSError as error:
            raise PassingFault(f"{self.name} cannot be written ({error.strerror}); nothing was allowed") from error


class _Lock(FileLock):
    """The lock, whose time-out is one of our errors."""

    def acquire(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().acquire(*args, **kwargs)
        except Timeout as error:
            raise PassingFault(f"another process holds {Path(self.lock_file).name}; try again") from error


def _read(record: Mapping[str, Any]) -> StandingApproval:
    known = {field.name: field.type for field in fields(StandingApproval)}
    if set(record) - set(known):
        raise ValueError(f"unknown field {min(set(record) - set(known))!r}")
    approval = StandingApproval(**record)
    texts = (approval.id, approval.by, approval.tool, approval.condition)
    if not all(isinstance(text, str) and text for text in texts) or not isinstance(approval.irreversible, bool):
        raise ValueError("a field has the wrong type")
    if not isinstance(approval.reason, str):
        raise ValueError("reason is no text")
    if not isinstance(approval.max_uses, int) or isinstance(approval.max_uses, bool):
        raise ValueError("max_uses is no whole number")
    for moment in (approval.not_before, approval.expires_at):
        if datetime.fromisoformat(moment).tzinfo is None:
            raise ValueError(f"{moment} has no time zone")
    return approval


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


__all__ = ["BrokenStanding", "Lines", "Standing", "StandingApproval", "UnknownStanding"]
