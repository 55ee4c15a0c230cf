"""Audit: who saw what, decided what and when; narrowed by the address, checked by a job, exported as a stream."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from checkpoints.audit.chain import AuditRecord
from checkpoints.audit.check import verify_audit
from dojang.audited import Sought, last_moment, newest, place_of
from dojang.glossary import EVENTS, LEVELS
from dojang.runs import UnknownThread
from dojang.server.access.roles import ADMINISTER
from dojang.server.api.audit import exported
from dojang.server.api.paging import cursor_of, key_of
from dojang.server.console.addresses import review_href, thread_href
from dojang.server.console.desk import AtDesk, Desk
from dojang.server.console.jobs import jobs_of
from dojang.server.console.terms import term
from state import UserError

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
ROWS: Final = 100
VERIFY: Final = "verify"
FINDINGS: Final = 200
"""Findings of a check on the page; the first one that breaks is always the first."""


@dataclass(frozen=True)
class Asked:
    """To what the address narrows the chain."""

    thread: Annotated[str, Query(max_length=500)] = ""
    actor: Annotated[str, Query(max_length=200)] = ""
    event: Annotated[str, Query(max_length=100)] = ""
    subject: Annotated[str, Query(max_length=500)] = ""
    since: Annotated[str, Query(max_length=40)] = ""
    until: Annotated[str, Query(max_length=40)] = ""

    @property
    def sought(self) -> Sought:
        """As the chains are asked. Raises UserError for what is no time."""
        return Sought(
            self.thread.strip() or None, self.actor.strip(), self.event, self.subject.strip(),
            _time(self.since), _time(last_moment(self.until)),
        )  # fmt: skip

    def query(self, **more: str) -> str:
        """The same, as the query of an address."""
        names = ("thread", "actor", "event", "subject", "since", "until")
        asked = {name: getattr(self, name) for name in names if getattr(self, name)}
        return urlencode(asked | {key: value for key, value in more.items() if value})


@dataclass(frozen=True)
class Line:
    """One record as the page shows it."""

    record: AuditRecord
    event: str
    facts: str
    subject_href: str
    thread_href: str


Looked = Annotated[Asked, Depends()]
Cursor = Annotated[str, Query(max_length=4096)]


def _time(text: str) -> datetime | None:
    if not text.strip():
        return None
    try:
        return datetime.fromisoformat(text.strip()).astimezone()
    except (ValueError, OverflowError):
        raise UserError(f"{text[:40]!r} is no day or time; write it like 2026-11-22 or 2026-11-22T09:00") from None


@router.get("/audit")
def audit(desk: AtDesk, asked: Looked, cursor: Cursor = "") -> Response:
    """What was noted, newest first."""
    error, status, page, more = "", 200, [], ""
    try:
        key = key_of(desk.request, cursor, str, str, int)
        page = newest(desk.workspace.parts.audit, asked.sought, ROWS + 1, tuple(key) if key is not None else None)
        if len(page) > ROWS:
            more = asked.query(cursor=cursor_of(desk.request, place_of(page[ROWS - 1])))
    except UserError as refused:
        error, status = str(refused), 404 if isinstance(refused, UnknownThread) else 400
    context: dict[str, Any] = {
        "lines": [_line(desk, row) for row in page[:ROWS]],
        "more": more,
        "asked": asked,
        "query": asked.query(),
        "chips": _chips(desk, asked),
        "events": [(event, term(desk.say, EVENTS, event)) for event in EVENTS],
        "exports": desk.caller is not None and desk.caller.may(ADMINISTER),
        "error": desk.say.told(error),
    }
    return desk.page("audit/audit.html", section="audit", status=status, **context)


def _line(desk: Desk, record: AuditRecord) -> Line:
    subject = record["subject"]
    return Line(
        record,
        term(desk.say, EVENTS, record["event"]),
        told_of(record["facts"]),
        review_href(subject) if subject.startswith("rv_") else "",
        thread_href(record["thread_id"]) if record["thread_id"] else "",
    )


def told_of(facts: Mapping[str, Any]) -> str:
    """The facts in one line, in the order in which they were noted."""
    told = ", ".join(
        f"{name} {_short(value)}" for name, value in facts.items() if value not in ("", None) and name != "at"
    )
    one = " ".join(told.split())
    return one if len(one) <= 200 else one[:199] + "…"


def _short(value: Any) -> str:
    """A fact as people read it; digests by their beginning: all of them stand in an export."""
    if isinstance(value, list):
        return " ".join(map(str, value))
    text = str(value)
    return f"{text[:16]}…" if len(text) > 32 and " " not in text else text


def _chips(desk: Desk, asked: Asked) -> list[tuple[str, str]]:
    """What the list is narrowed to, each with the address of the list without it."""
    shown = {"event": term(desk.say, EVENTS, asked.event)}
    names = ("thread", "actor", "event", "subject", "since", "until")
    return [
        (shown.get(name) or getattr(asked, name), "/audit?" + replace(asked, **{name: ""}).query())
        for name in names
        if getattr(asked, name)
    ]


@router.get("/audit/verify")
def verified(desk: AtDesk) -> Response:
    """What the last check of this person found, or how far it is."""
    job = jobs_of(desk.request).last(VERIFY, desk.workspace.user)
    report = job.result if job is not None else None
    findings = []
    if report is not None:
        ordered = sorted(report["findings"], key=lambda one: one["level"] != "problem")
        findings = [
            (one, term(desk.say, LEVELS, one["level"]), desk.say.told(one["what"])) for one in ordered[:FINDINGS]
        ]
    home = [end for end in report["ends"] if end["thread_id"] is None] if report is not None else []
    context: dict[str, Any] = {"job": job, "report": report, "findings": findings, "end": home[0] if home else None}
    return desk.page("audit/verify.html", section="audit", **context)


@router.post("/audit/verify")
def verify(desk: AtDesk) -> Response:
    """Check every chain, behind the page."""
    workspace = desk.workspace
    running = jobs_of(desk.request).last(VERIFY, workspace.user)
    if running is None or running.over:
        home, backend = workspace.settings.home, workspace.parts.backend
        jobs_of(desk.request).begin(VERIFY, workspace.user, desk.now, lambda tell: verify_audit(home, backend=backend))
    return RedirectResponse("/audit/verify", status_code=303)


@router.get("/audit/export")
def export(
    desk: AtDesk, asked: Looked, form: Annotated[Literal["jsonl", "csv"], Query(alias="format")] = "jsonl"
) -> Response:
    """The records, oldest first, line by line. That they were exported is noted before."""
    return exported(desk.workspace, asked.sought, form)
