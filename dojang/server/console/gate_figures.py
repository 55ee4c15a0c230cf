"""What a promotion rests on: the report of the evaluation gate, in the words of the commands. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dojang.gate_report import Table, compared, reasons_of, tables_of, verdict_of
from dojang.language import catalogue
from dojang.server.wording import Say

if TYPE_CHECKING:
    from adapters.gate.report import Report


@dataclass(frozen=True)
class GateReport:
    """What a promotion rests on."""

    id: str
    verdict: str
    passed: bool
    compared: str
    tables: list[Table]
    reasons: list[str]


def gate_report(told: Report, say: Say) -> GateReport:
    """The report of the gate in the words of the commands."""
    gettext = catalogue("cli", say.language).gettext
    return GateReport(
        id=told["id"],
        verdict=verdict_of(gettext, told),
        passed=told["verdict"] == "passed",
        compared=compared(gettext, told),
        tables=tables_of(gettext, told),
        reasons=[text for text, _ in reasons_of(gettext, told)],
    )
