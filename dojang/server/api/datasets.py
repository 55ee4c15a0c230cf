"""Datasets of decisions: which were built, and what is in one. They are built and exported by commands."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from pydantic import ConfigDict, Field

from adapters.dataset.folder import UnknownDataset
from dojang.flywheel.listing import dataset_of, datasets_in
from dojang.server.access.callers import workspace_of
from dojang.server.api.problems import BAD, NO_ID, Unknown
from dojang.server.models import Model
from dojang.server.programs import ProgramRoute

router = APIRouter(tags=["adapters"], route_class=ProgramRoute, responses=BAD)
_LINE: dict[str, Any] = {
    "dataset": "a0b1c2d3e4f50617", "built_at": "2026-11-22T07:00:00+00:00", "sft": 180, "dpo": 40, "kto": 210,
    "heldout": 45, "problem": "", "stale": "",
}  # fmt: skip


class DatasetLine(Model):
    """A dataset, in one line; ``problem`` where it is damaged, ``stale`` where words of it were erased."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_LINE]})

    dataset: str
    built_at: str
    sft: int = 0
    dpo: int = 0
    kto: int = 0
    heldout: int = 0
    problem: str
    stale: str


class DatasetStats(Model):
    """What is in a dataset, and what was left out; its files are unchanged."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "id": "a0b1c2d3e4f50617", "built_at": "2026-11-22T07:00:00+00:00", "decisions": 260, "threads": 190,
                    "rows": {"sft": 180, "dpo": 40, "kto": 210, "heldout": 45}, "left_out": {"bulk": 30},
                    "scrubbed": 12, "warnings": [], "signs": [], "stale": "",
                }
            ]
        },
    )  # fmt: skip

    id: str
    built_at: str
    decisions: int
    threads: int
    rows: dict[str, int] = Field(description="of each kind of file")
    left_out: dict[str, int] = Field(description="decisions that teach nothing, by why")
    scrubbed: int = Field(description="pieces of personal data that were made unreadable")
    warnings: list[str]
    signs: list[dict[str, Any]] = Field(description="in what reviewers differ; people are pseudonyms")
    stale: str


@router.get("/datasets", response_model=list[DatasetLine])
def list_datasets(request: Request) -> Any:
    """The datasets that were built, newest first."""
    rows = datasets_in(workspace_of(request).settings)
    return [{key: row[key] for key in DatasetLine.model_fields if key in row} for row in rows]


@router.get("/datasets/{dataset}", response_model=DatasetStats, responses=NO_ID)
def show_dataset(request: Request, dataset: str) -> Any:
    """What is in a dataset, by its id or the beginning of one."""
    from dojang.flywheel.listing import rows_of

    try:
        told = dataset_of(workspace_of(request).settings, dataset)
    except UnknownDataset as error:
        raise Unknown(str(error)) from None
    signs = [dict(sign) for sign in told.get("signs") or []]
    named = {**told, "rows": rows_of(told), "signs": signs}
    return {key: named[key] for key in DatasetStats.model_fields}
