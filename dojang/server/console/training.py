"""What adapters are made of: one dataset of decisions, whether training fits a card, and answers side by side."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from adapters.dataset import folder as datasets
from adapters.dataset.folder import UnknownDataset
from adapters.training.plan import GIB, Run, bytes_of, planned
from adapters.training.shapes import KNOWN, shape_at
from dojang.flywheel.listing import dataset_of, rows_of
from dojang.flywheel.stale import datasets_of
from dojang.glossary import COSTS, FITS, MOMENTS, PARTS, REASONS, WARNINGS
from dojang.server.console.adapters import Unknown
from dojang.server.console.charts import Chart, bars
from dojang.server.console.desk import AtDesk, Desk, Form
from dojang.server.console.jobs import jobs_of
from dojang.server.console.terms import term
from dojang.side_by_side import LONGEST, compare
from dojang.vocabulary import SAID
from state import DojangError, UserError

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
COMPARE: Final = "compare"
TONES: Final = {"approve": "good", "edit": "three", "reject": "bad", "answer": "two"}
METHODS: Final = ("sft", "dpo", "kto")
QUANTIZATIONS: Final = ("nf4", "int8", "bf16", "fp32")
EMBEDDED: Final = "embedded"


@router.get("/datasets/{dataset}")
def dataset(desk: AtDesk, dataset: str) -> Response:
    """Rows that came of decisions, what was left out and why, how the decisions are balanced, what is held out."""
    settings = desk.workspace.settings
    try:
        told = dataset_of(settings, dataset)
    except UnknownDataset as error:
        raise Unknown(str(error)) from None
    folder = datasets.named(datasets_of(settings), told["id"])
    sides = {"train": desk.say("training"), "heldout": desk.say("held out")}
    balance = {
        (sides[side].unescape() if side in sides else side, kind): n
        for (side, kind), n in _balance(datasets.read(folder, "provenance.jsonl")).items()
    }
    good = Counter(bool(row.get("label")) for row in datasets.read(folder, "kto.jsonl"))
    left_out = [(term(desk.say, REASONS, why), count) for why, count in told["left_out"].items()]
    context: dict[str, Any] = {
        "told": told,
        "rows": rows_of(told),
        "left_out": left_out,
        "left_picture": bars([(why, [("four", n)]) for why, n in left_out], desk.say("Left out, by why").unescape()),
        "balance": balance,
        "balance_picture": _balanced(desk, balance),
        "kto": (good[True], good[False]),
        "warnings": [term(desk.say, WARNINGS, one) for one in told["warnings"]],
        "words": {kind: desk.say(SAID[kind]).unescape() if kind in SAID else kind for _, kind in balance},
    }
    return desk.page("adapters/dataset.html", section="adapters", **context)


def _balance(rows: Any) -> dict[tuple[str, str], int]:
    """Decisions by (side, what was said)."""
    return dict(sorted(Counter((str(row.get("side", "")), str(row.get("decision", ""))) for row in rows).items()))


def _balanced(desk: Desk, balance: dict[tuple[str, str], int]) -> Chart:
    legend = [(tone, desk.say(SAID[kind]).unescape()) for kind, tone in TONES.items() if kind in SAID]
    rows = [
        (side, [(TONES.get(kind, "four"), n) for (where, kind), n in balance.items() if where == side])
        for side in sorted({side for side, _ in balance})
    ]
    return bars(rows, desk.say("Decisions by side and by what was said").unescape(), legend)


@router.get("/adapters/plan")
def plan(
    desk: AtDesk,
    base: Annotated[str, Query(max_length=80)] = EMBEDDED,
    gpu: Annotated[str, Query(max_length=20)] = "8GiB",
    method: Annotated[str, Query(max_length=10)] = "sft",
    seq: Annotated[int, Query(ge=8, le=1_000_000)] = 1_024,
    batch: Annotated[int, Query(ge=1, le=4_096)] = 1,
    rank: Annotated[int, Query(ge=1, le=4_096)] = 16,
    quantization: Annotated[str, Query(max_length=10)] = "nf4",
) -> Response:
    """Whether training fits a card, said before anything is loaded."""
    asked = {"base": base, "gpu": gpu, "method": method, "seq": seq, "batch": batch, "rank": rank,
             "quantization": quantization}  # fmt: skip
    bases = [EMBEDDED, *sorted(KNOWN)]
    context: dict[str, Any] = {
        "asked": asked, "bases": bases, "methods": METHODS, "quantizations": QUANTIZATIONS, "made": None, "error": "",
    }  # fmt: skip
    try:
        if base not in bases:  # a folder of the server's disk is for its commands
            raise UserError(f"no base {base!r} is known; choose one of the list")
        run = Run(method=method, seq=seq, batch=batch, rank=rank, quantization=quantization, paged=True)
        made = planned(shape_at(base), run, bytes_of(gpu))
    except DojangError as error:
        return desk.page(
            "adapters/plan.html", section="adapters", status=400, **context | {"error": desk.say.told(str(error))}
        )
    parts = [(term(desk.say, PARTS, name), size / GIB) for name, size in made.peak.parts()]
    told = desk.say("Memory at the peak, in GiB").unescape()
    context |= {
        "made": made,
        "parts": [(name, f"{size:.2f}") for name, size in parts],
        "total": f"{made.peak.total / GIB:.2f}",
        "card": f"{made.gpu / GIB:.2f}",
        "verdict": term(desk.say, FITS, made.verdict),
        "moment": term(desk.say, MOMENTS, made.peak.moment),
        "picture": bars([(name, [("one", round(size, 2))]) for name, size in parts], told),
        "levers": [
            (x.change, f"{x.saves / GIB:.2f}", term(desk.say, FITS, x.verdict), term(desk.say, COSTS, x.name))
            for x in made.levers
        ],
    }
    return desk.page("adapters/plan.html", section="adapters", **context)


@router.get("/adapters/compare")
def ask(desk: AtDesk) -> Response:
    """A box for one question to base, champion and candidate."""
    return _compared(desk)


def _compared(desk: Desk, *, status: int = 200, error: str = "", question: str = "", job: Any = None) -> HTMLResponse:
    context: dict[str, Any] = {"question": question, "job": job, "error": desk.say.told(error), "longest": LONGEST}
    return desk.page("adapters/compare.html", section="adapters", status=status, **context)


@router.post("/adapters/compare")
def begin(desk: AtDesk, form: Form) -> Response:
    """Ask them, behind the page: nothing is recorded, and nothing they propose is carried out."""
    question, workspace = form.get("question", "").replace("\r\n", "\n").strip(), desk.workspace
    if not question or len(question) > LONGEST:
        error = f"a question has between 1 and {LONGEST:,} characters; write another one"
        return _compared(desk, status=400, error=error, question=question)

    def task(tell: Any) -> Any:
        return question, compare(workspace.parts, workspace.speaking.voices, question, tell)

    try:
        job = jobs_of(desk.request).begin(COMPARE, workspace.user, desk.now, task)
    except DojangError as refused:
        return _compared(desk, status=503, error=str(refused), question=question)
    return RedirectResponse(f"/adapters/compare/{job.id}", status_code=303)


@router.get("/adapters/compare/{job_id}")
def compared(desk: AtDesk, job_id: str) -> Response:
    """What each of them said, once they have."""
    job = jobs_of(desk.request).get(job_id, COMPARE, desk.workspace.user)
    question = job.result[0] if job.result else ""
    return _compared(desk, question=question, job=job)
