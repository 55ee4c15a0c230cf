"""Standing approvals whose giving, use and end are in the audit chain of the home. Joins two parts that do not meet."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.standing import Standing, StandingApproval

if TYPE_CHECKING:
    from checkpoints.audit.trail import AuditLog


class NotedStanding(Standing):
    """As :class:`tools.standing.Standing`. A use that cannot be noted is none: the call is asked about."""

    def __init__(self, path: Path, audit: AuditLog, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        super().__init__(path, now)
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
