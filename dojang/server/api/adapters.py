"""Adapters: which there are, who is champion, what the gate said; a promotion is proposed, a rollback is done at once.

Nothing is trained over HTTP: that takes a machine for hours, and is for whoever sits at it.
"""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter, Request
from pydantic import ConfigDict, Field

from adapters.errors import AdapterNotUsable
from adapters.gate.report import DamagedReport, UnknownReport, read_report, reports
from adapters.registry.folders import manifest_of
from dojang.flywheel.listing import about, adapters_of, curve_of
from dojang.flywheel.promoting import propose, roll_back
from dojang.flywheel.stale import gates_of
from dojang.flywheel.voices import registry_of
from dojang.server.access.callers import workspace_of
from dojang.server.api.paging import Cursor, Limit, Page, Word, key_of, page_of
from dojang.server.api.problems import BAD, NO_ID, Unknown, problems
from dojang.server.models import Model, RunModel
from dojang.server.programs import ProgramRoute
from dojang.settings import Settings

router = APIRouter(tags=["adapters"], route_class=ProgramRoute, responses=BAD)
_ADAPTER: dict[str, Any] = {
    "adapter": "3f9c0b7d12aa45e1", "base": "b1be4713a2bfe2c1", "method": "sft", "rows": 220,
    "at": "2026-11-22T08:00:00+00:00", "stale": "", "registered": True, "aliases": ["champion"], "problem": "",
}  # fmt: skip
_PROMOTION: dict[str, Any] = {
    "n": 2, "at": "2026-11-22T09:00:00+00:00", "by": "hana", "reason": "passed the gate", "report": "5d0c77aa01b2c3d4",
    "set": {"champion": "3f9c0b7d12aa45e1", "previous": None, "candidate": None}, "rollback": False,
}  # fmt: skip
_FIGURE: dict[str, Any] = {
    "candidate": 0.9, "against": 0.4, "difference": 0.5, "low": 0.31, "high": 0.68, "n": 40,
}  # fmt: skip
_REPORT: dict[str, Any] = {
    "id": "5d0c77aa01b2c3d4", "verdict": "passed", "reasons": [], "candidate": "3f9c0b7d12aa45e1", "against": "",
    "dataset": "a0b1c2d3e4f50617", "rules": {}, "figures": {"match": _FIGURE}, "slices": {}, "baselines": {},
    "at": "2026-11-22T08:30:00+00:00",
}  # fmt: skip


class AdapterModel(Model):
    """An adapter, in one line."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_ADAPTER]})

    adapter: str = Field(description="its id in the registry; else where it lies")
    base: str | None = Field(description="fingerprint of the base")
    method: str | None
    rows: int | None
    at: str | None = Field(description="when it was trained")
    stale: str = Field(description="why it should not serve any more; empty: it may")
    registered: bool
    aliases: list[str]
    problem: str = Field(description="what of it cannot be read; empty: all can")


class AliasesModel(Model):
    """Which adapter each alias names."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"champion": "3f9c0b7d12aa45e1"}]})

    champion: str = ""
    candidate: str = ""
    previous: str = ""


class AdapterCard(Model):
    """An adapter, and how it was made."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"adapter": _ADAPTER, "manifest": {"method": "sft"}, "reports": []}]},
    )

    adapter: AdapterModel
    manifest: dict[str, Any] = Field(description="as training wrote it; empty where it was trained elsewhere")
    reports: list[str] = Field(description="ids of the gate's reports on it")


class CurveModel(Model):
    """How training went."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"points": [{"step": 10, "loss": 1.2, "learning_rate": 2e-4}]}]}
    )

    points: list[dict[str, float | int | str | None]]


class ReportLine(Model):
    """A report of the gate, in one line; ``problem`` where it is damaged."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "id": "5d0c77aa01b2c3d4", "verdict": "passed", "candidate": "3f9c0b7d12aa45e1", "against": "",
                    "dataset": "a0b1c2d3e4f50617", "at": "2026-11-22T08:30:00+00:00", "problem": "",
                }
            ]
        },
    )  # fmt: skip

    id: str
    verdict: str
    candidate: str
    against: str
    dataset: str
    at: str
    problem: str


class ReportModel(Model):
    """A report of the gate, checked by its hash."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_REPORT]})

    id: str
    verdict: Literal["passed", "failed", "cannot_tell"]
    reasons: list[dict[str, Any]]
    candidate: str
    against: str
    dataset: str
    rules: dict[str, Any]
    figures: dict[str, dict[str, float | int | None]]
    slices: dict[str, dict[str, dict[str, float | int | None]]]
    baselines: dict[str, dict[str, dict[str, float | int | None]]]
    at: str


class PromotionModel(Model):
    """One record of the promotions log."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_PROMOTION]})

    n: int
    at: str
    by: str
    reason: str
    report: str = ""
    set: dict[str, str | None]
    rollback: bool = False


class PromotionIn(Model):
    """What is proposed, on which report, and why."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"adapter": "candidate", "report": "5d0c77aa01b2c3d4", "reason": "it asks for dates as we want it"}
            ]
        },
    )

    adapter: Word = Field(min_length=1, max_length=200)
    report: Word = Field(min_length=1, max_length=200)
    reason: Word = Field(min_length=1, max_length=2_000)


class RollbackIn(Model):
    """Why the champion before is to be the champion again."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"reason": "it books the wrong rooms"}]})

    reason: Word = Field(min_length=1, max_length=2_000)


@router.get("/adapters", response_model=list[AdapterModel])
def list_adapters(request: Request) -> Any:
    """The adapters of the registry, the shipped one, and those that were trained in this home."""
    return adapters_of(_settings(request))


@router.get("/adapters/aliases", response_model=AliasesModel)
def show_aliases(request: Request) -> Any:
    """Who is champion, candidate, previous."""
    return registry_of(_settings(request)).aliases()


@router.get("/adapters/promotions", response_model=Page[PromotionModel])
def list_promotions(request: Request, limit: Limit = 100, cursor: Cursor = "") -> Any:
    """What was ever promoted, rolled back or made the candidate, newest first."""
    key = key_of(request, cursor, int)
    log = registry_of(_settings(request)).log.read()
    rows = [dict(record) for record in reversed(log) if key is None or record["n"] < key[0]]
    page = page_of(request, rows[: limit + 1], limit, lambda row: [row["n"]])
    return {**page, "items": [_promotion(row) for row in page["items"]]}


@router.post(
    "/adapters/promotions",
    status_code=202,
    response_model=RunModel,
    responses=problems(s404="there is no such adapter or report", s409="the champion is another one by now"),
)
def propose_promotion(request: Request, body: PromotionIn) -> Any:
    """Ask a person to make an adapter the champion: opens a review of the top tier, with the report."""
    settings = _settings(request)
    _resolved(settings, body.adapter)
    _report(settings, body.report)
    return propose(workspace_of(request), body.adapter, body.report, body.reason).as_json()


@router.post(
    "/adapters/rollback", response_model=PromotionModel, responses=problems(s409="somebody else was first; look again")
)
def roll_back_champion(request: Request, body: RollbackIn) -> Any:
    """Make the champion before this one champion again, at once and without a review."""
    workspace = workspace_of(request)
    return _promotion(dict(roll_back(workspace.parts, body.reason, by=workspace.user)))


@router.get("/adapters/reports", response_model=list[ReportLine])
def list_reports(request: Request) -> Any:
    """What the gate has found, newest first."""
    root = gates_of(_settings(request))
    found = []
    for path in reports(root):
        try:
            told: dict[str, Any] = {**read_report(root, path.stem), "problem": ""}
        except DamagedReport as error:
            told = {"id": path.stem, "problem": str(error)}
        found.append({key: told.get(key, "") for key in ReportLine.model_fields})
    return sorted(found, key=lambda row: row["at"], reverse=True)


@router.get("/adapters/reports/{report_id}", response_model=ReportModel, responses=NO_ID)
def show_report(request: Request, report_id: str) -> Any:
    """A report: figures with their intervals, slices, baselines, the verdict and its reasons."""
    return _report(_settings(request), report_id)


@router.get("/adapters/{adapter}", response_model=AdapterCard, responses=NO_ID)
def show_adapter(request: Request, adapter: str) -> Any:
    """An adapter of the registry, by its id, the beginning of one, or an alias."""
    settings = _settings(request)
    registry, found = registry_of(settings), _resolved(settings, adapter)
    folder = registry.adapters / found
    aliases = [alias for alias, named in registry.aliases().items() if named == found]
    mine = [line["id"] for line in list_reports(request) if line["candidate"] == found]
    line = {**about(settings, folder), "adapter": found, "registered": True, "aliases": aliases}
    return {"adapter": line, "manifest": manifest_of(folder), "reports": mine}


@router.get("/adapters/{adapter}/curve", response_model=CurveModel, responses=NO_ID)
def show_curve(request: Request, adapter: str) -> Any:
    """The losses of its training; empty where nobody kept them."""
    settings = _settings(request)
    return {"points": curve_of(registry_of(settings).adapters / _resolved(settings, adapter))}


def _settings(request: Request) -> Settings:
    return workspace_of(request).settings


def _resolved(settings: Settings, adapter: str) -> str:
    try:
        return registry_of(settings).resolve(adapter)
    except AdapterNotUsable as error:
        raise Unknown(str(error)) from None


def _report(settings: Settings, report: str) -> Any:
    try:
        return read_report(gates_of(settings), report)
    except UnknownReport as error:
        raise Unknown(str(error)) from None


def _promotion(record: dict[str, Any]) -> dict[str, Any]:
    return {key: record[key] for key in PromotionModel.model_fields if key in record}
