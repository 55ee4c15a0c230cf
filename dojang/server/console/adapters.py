"""Adapters: who is champion, how each was trained, what the gate found; promoted by a review, or taken back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from adapters.errors import AdapterNotUsable
from adapters.gate.report import DamagedReport, Report, UnknownReport, read_report, reports
from adapters.registry.folders import manifest_of
from dojang.flywheel.listing import about, adapters_of, curve_of, datasets_in
from dojang.flywheel.promoting import propose, roll_back
from dojang.flywheel.stale import gates_of
from dojang.flywheel.voices import registry_of
from dojang.gate_report import METRICS, SLICES, VERDICTS
from dojang.glossary import ALIASES
from dojang.server.access.roles import OVERSEE, STEER
from dojang.server.console.addresses import review_href
from dojang.server.console.charts import Chart, curves, intervals
from dojang.server.console.desk import AtDesk, Desk, Form
from dojang.server.console.gate_figures import gate_report
from dojang.server.console.terms import term
from dojang.settings import Settings
from dojang.workspace import UnknownReview
from state import Conflict, UserError

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
LESS_IS_BETTER: Final = frozenset({"distance", "repeated", "seconds"})
RECORDS: Final = 50
"""Records of the promotions log on the page."""
POINTS: Final = 60
"""Points of a curve in its table."""


class Unknown(UnknownReview):
    """There is no such adapter, report or dataset."""


@router.get("/adapters")
def adapters(desk: AtDesk) -> Response:
    """Champion, candidate and previous; adapters, datasets, reports, and who was promoted when and why."""
    return overview(desk)


def overview(desk: Desk, *, status: int = 200, error: str = "", reason: str = "") -> HTMLResponse:
    """The page of all adapters."""
    settings = desk.workspace.settings
    registry = registry_of(settings)
    named = registry.aliases()
    rows = [{**one, "names": _aliases(desk, one["aliases"])} for one in adapters_of(settings)]
    context: dict[str, Any] = {
        "crown": [(term(desk.say, ALIASES, alias), named.get(alias, "")) for alias in ALIASES],
        "rows": [{**one, "title": one["adapter"] if one["registered"] else Path(one["adapter"]).name} for one in rows],
        "datasets": datasets_in(settings),
        "reports": [_line(desk, path.stem) for path in reports(gates_of(settings))][::-1],
        "log": [_record(desk, dict(record)) for record in reversed(registry.log.read()[-RECORDS:])],
        "oversees": desk.caller is not None and desk.caller.may(OVERSEE),
        "can_roll_back": bool(named.get("previous")),
        "reason": reason,
        "error": desk.say.told(error),
    }
    return desk.page("adapters/adapters.html", section="adapters", status=status, **context)


def _aliases(desk: Desk, aliases: list[str]) -> list[str]:
    return [term(desk.say, ALIASES, alias) for alias in aliases]


def _line(desk: Desk, report: str) -> dict[str, Any]:
    try:
        told: Mapping[str, Any] = read_report(gates_of(desk.workspace.settings), report)
    except DamagedReport as error:
        return {"id": report, "problem": desk.say.told(str(error)), "at": ""}
    keys = ("id", "verdict", "candidate", "against", "dataset", "at")
    line = {key: told[key] for key in keys}
    return {**line, "problem": "", "word": term(desk.say, VERDICTS, told["verdict"])}


def _record(desk: Desk, record: dict[str, Any]) -> dict[str, Any]:
    named = [(term(desk.say, ALIASES, alias), adapter or "–") for alias, adapter in record["set"].items()]
    return {**record, "report": record.get("report", ""), "rollback": record.get("rollback", False), "named": named}


@router.get("/adapters/reports/{report_id}")
def report(desk: AtDesk, report_id: str) -> Response:
    """What the gate found: figures, slices, baselines, the verdict and why; with it, a promotion can be proposed."""
    return _report_page(desk, _report(desk.workspace.settings, report_id))


def _report_page(desk: Desk, told: Report, *, status: int = 200, error: str = "", reason: str = "") -> HTMLResponse:
    named = registry_of(desk.workspace.settings).aliases()
    steers = desk.caller is not None and desk.caller.may(STEER)
    context: dict[str, Any] = {
        "told": told,
        "gate": gate_report(told, desk.say),
        "picture": _differences(desk, told),
        "slices": _sliced(desk, told),
        "may_propose": steers and told["verdict"] == "passed" and named.get("champion", "") == told["against"],
        "is_champion": named.get("champion", "") == told["candidate"],
        "reason": reason,
        "error": desk.say.told(error),
    }
    return desk.page("adapters/report.html", section="adapters", status=status, **context)


def _differences(desk: Desk, told: Report) -> Chart | None:
    shown = [(name, told["figures"][name]) for name in METRICS if name in told["figures"] and name != "seconds"]
    rows = []
    for name, f in shown:
        sign = -1 if name in LESS_IS_BETTER else 1
        low, high = (f["low"], f["high"]) if sign > 0 else (_turned(f["high"]), _turned(f["low"]))
        value = f["difference"] if sign > 0 else _turned(f["difference"])
        rows.append((term(desk.say, METRICS, name), low, value, high))
    what = desk.say("Differences, candidate less the other, with their intervals; to the right is better").unescape()
    return intervals(rows, what) if rows else None


def _turned(value: float | None) -> float | None:
    return None if value is None else -value


def _sliced(desk: Desk, told: Report) -> Chart | None:
    rows = []
    for name, figures in told["slices"].items():
        if "match" in figures:
            kind, _, value = name.partition(":")
            f = figures["match"]
            rows.append((f"{term(desk.say, SLICES, kind)} {value} ({f['n']})", f["low"], f["difference"], f["high"]))
    what = desk.say("Does what was decided, by slice: differences with their intervals").unescape()
    return intervals(rows, what) if rows else None


@router.post("/adapters/promotions")
def promote(desk: AtDesk, form: Form) -> Response:
    """Propose a promotion: opens a review of the top tier, and goes there."""
    told = _report(desk.workspace.settings, form.get("report", ""))
    reason = form.get("reason", "").strip()
    if not reason:
        return _report_page(desk, told, status=400, error="a promotion is proposed for a reason; write one")
    try:
        run = propose(desk.workspace, told["candidate"], told["id"], reason)
    except UserError as refused:
        status = 409 if isinstance(refused, Conflict) else 400
        return _report_page(desk, told, status=status, error=str(refused), reason=reason)
    return RedirectResponse(review_href(run.reviews[0]["id"]) if run.reviews else "/", status_code=303)


@router.post("/adapters/rollback")
def rollback(desk: AtDesk, form: Form) -> Response:
    """Make the champion before this one champion again, for a reason, at once."""
    reason = form.get("reason", "").strip()
    if not reason:
        return overview(desk, status=400, error="a champion is taken back for a reason; write one")
    try:
        roll_back(desk.workspace.parts, reason, by=desk.workspace.user)
    except UserError as refused:
        status = 409 if isinstance(refused, Conflict) else 400
        return overview(desk, status=status, error=str(refused), reason=reason)
    return RedirectResponse("/adapters", status_code=303)


@router.get("/adapters/{adapter}")
def adapter(desk: AtDesk, adapter: str) -> Response:
    """An adapter of the registry, by its id, the beginning of one, or an alias: what it was trained on, and how."""
    settings = desk.workspace.settings
    registry = registry_of(settings)
    try:
        found = registry.resolve(adapter)
    except AdapterNotUsable as error:
        raise Unknown(str(error)) from None
    folder = registry.adapters / found
    told = manifest_of(folder)
    points = curve_of(folder) or list(told.get("history") or [])
    aliases = [alias for alias, named in registry.aliases().items() if named == found]
    mine = [line for path in reports(gates_of(settings)) if (line := _line(desk, path.stem)).get("candidate") == found]
    context: dict[str, Any] = {
        "id": found,
        "row": about(settings, folder),
        "aliases": _aliases(desk, aliases),
        "told": told,
        "facts": _facts(told),
        "picture": _curve(desk, points),
        "points": [p for p in points if "loss" in p or "eval_loss" in p][-POINTS:],
        "reports": mine[::-1],
        "plan": _plan_query(told),
    }
    return desk.page("adapters/adapter.html", section="adapters", **context)


def _facts(told: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The figures of a manifest that an older or foreign one may lack."""
    counts, loss, base = told.get("counts") or {}, told.get("loss") or {}, told.get("base") or {}
    sources = (told.get("data") or {}).get("sources") or []
    facts = [
        ("method", told.get("method")), ("base", f"{base.get('name', '')} {base.get('fingerprint', '')}".strip()),
        ("trained", counts.get("trained")), ("held_out", counts.get("held_out")),
        ("dropped", counts.get("dropped_too_long")),
        ("tokens", counts.get("tokens")), ("steps", told.get("steps")), ("kept", told.get("kept_step")),
        ("last_loss", loss.get("last")), ("held_out_loss", loss.get("held_out")), ("device", told.get("device")),
        ("memory", (told.get("peak_memory_bytes") or {}).get("resident")), ("at", told.get("trained_at")),
        ("datasets", ", ".join(s.get("dataset") or s.get("name", "") for s in sources)),
    ]  # fmt: skip
    return [(name, f"{value:.4g}" if isinstance(value, float) else str(value)) for name, value in facts if value]


def _curve(desk: Desk, points: list[dict[str, Any]]) -> Chart | None:
    found = []
    for tone, key, name in (("one", "loss", desk.say("training")), ("two", "eval_loss", desk.say("held out"))):
        pairs = [(float(p["step"]), float(p[key])) for p in points if key in p and "step" in p]
        found.append((tone, name.unescape(), pairs))
    if not any(pairs for _, _, pairs in found):
        return None
    return curves(found, desk.say("Loss over training steps").unescape())


def _plan_query(told: Mapping[str, Any]) -> str:
    from urllib.parse import urlencode

    settings = told.get("settings") or {}
    asked = {key: settings[key] for key in ("batch", "rank", "quantization") if settings.get(key)}
    return urlencode({**asked, "method": told["method"]} if told.get("method") else asked)


def _report(settings: Settings, report_id: str) -> Report:
    try:
        return read_report(gates_of(settings), report_id)
    except UnknownReport as error:
        raise Unknown(str(error)) from None
