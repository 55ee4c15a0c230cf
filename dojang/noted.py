"""Standing approvals whose giving, use and end are in the audit chain of the home. Joins two parts that do not meet."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from state import BrokenInvariant
from tools.standing import BrokenStanding, FileLines, Lines, Standing, StandingApproval

if TYPE_CHECKING:
    from checkpoints.audit.trail import AuditLog
    from checkpoints.backend import Backend

KIND: Final = "standing"
FILE: Final = "standing.jsonl"


def now_utc() -> datetime:
    """The machine's time."""
    return datetime.now(UTC)


def noted_standing(
    home: Path, backend: Backend, audit: AuditLog, now: Callable[[], datetime] = now_utc
) -> NotedStanding:
    """The standing approvals of a workspace."""
    return NotedStanding(lines_of(home, backend), audit, now)


def lines_of(home: Path, backend: Backend) -> Lines:
    """Where they are kept: a file of the home, or where the sessions lie if those are elsewhere."""
    from checkpoints.files.backend import FileBackend

    return FileLines(home / FILE) if isinstance(backend, FileBackend) else SharedLines(backend)


class SharedLines:
    """Standing approvals as a log of the home, for all its machines; satisfies ``tools.standing.Lines``."""

    name = KIND

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def read(self) -> list[bytes]:
        """All records. BrokenStanding where one was changed."""
        try:
            found = self._backend.log(None, KIND).records()
        except BrokenInvariant as damaged:
            raise BrokenStanding(str(damaged)) from damaged
        return [orjson.dumps(record["line"]) for record in found]

    def locked(self) -> AbstractContextManager[object]:
        """One transaction."""
        return self._backend.together(KIND)

    def append(self, line: bytes) -> None:
        """Stands when what is locked ends well."""
        with self._backend.log(None, KIND).writing() as writer:
            writer.write([{"k": KIND, "line": orjson.loads(line)}])
            writer.wait()


class NotedStanding(Standing):
    """As :class:`tools.standing.Standing`. A use that cannot be noted is none: the call is asked about."""

    def __init__(self, where: Path | Lines, audit: AuditLog, now: Callable[[], datetime] = now_utc) -> None:
        super().__init__(where, now)
        self.audit = audit

    def allow(self, **bounds: Any) -> StandingApproval:
        """Give an approval, noted before anybody can use it through this process."""
        made = super().allow(**bounds)
        facts: dict[str, Any] = {
            "tool": made.tool, "condition": made.condition, "max_uses": made.max_uses, "not_before": made.not_before,
            "expires_at": made.expires_at, "irreversible": made.irreversible,
        }  # fmt: skip
        self.audit.note(None, "standing.allowed", made.by, made.id, facts)
        return made

    def use(self, approval_id: str, subject_id: str, tool: str, *, key: str = "") -> StandingApproval | None:
        """Count one use and note it."""
        used = super().use(approval_id, subject_id, tool, key=key)
        if used is not None:
            facts: dict[str, Any] = {"tool": tool, "subject": subject_id, **({"effect": key} if key else {})}
            self.audit.note(None, "standing.used", used.by, used.id, facts)
        return used

    def revoke(self, approval_id: str, *, by: str) -> StandingApproval:
        """End an approval and note it."""
        ended = super().revoke(approval_id, by=by)
        self.audit.note(None, "standing.revoked", by, ended.id, {"tool": ended.tool}, once=True)
        return ended
