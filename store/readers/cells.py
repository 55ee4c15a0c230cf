"""Values of spreadsheet cells as a person sees them: by the cell's number format, not by how the number is stored.

Only what changes the reading is followed (decimals, thousands, percent, words around the figure, date or time of day);
colours, conditions and alignment are not.
"""

from __future__ import annotations

import datetime
import re
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

LITERAL = re.compile(r'"([^"]*)"|\\(.)|\[\$([^\]-]*)(?:-[^\]]*)?\]|\[[^\]]*\]|_.|\*.|([₩￦€£¥$+\-()\s/%원])')
FIGURE = re.compile(r"[#0?][#0?,]*(?:\.[#0?]*)?")


def shown(value: Any, number_format: str = "General") -> str:
    """The text of a cell; "" for an empty one."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, datetime.datetime):
        return _moment(value, number_format)
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, datetime.time):
        return value.isoformat("seconds" if value.second else "minutes")
    if isinstance(value, datetime.timedelta):
        return _duration(value)
    if isinstance(value, int | float):
        try:
            return _number(value, number_format)
        except (InvalidOperation, OverflowError, ValueError):  # too many digits, infinite, not a number
            return str(value)
    return str(value)


def _moment(value: datetime.datetime, number_format: str) -> str:
    day = value.date().isoformat()
    timed = re.search(r"[hH]|AM/PM", re.sub(r'"[^"]*"', "", number_format))
    if timed is None and (value.hour, value.minute, value.second) == (0, 0, 0):
        return day
    clock = value.strftime("%H:%M:%S" if value.second else "%H:%M")
    dated = re.search(r"[dDyY]", re.sub(r'"[^"]*"|\[[^\]]*\]', "", number_format)) or number_format == "General"
    return f"{day} {clock}" if dated else clock


def _duration(value: datetime.timedelta) -> str:
    minutes, seconds = divmod(round(value.total_seconds()), 60)
    clock = f"{minutes // 60}:{minutes % 60:02d}"
    return f"{clock}:{seconds:02d}" if seconds else clock


def _number(value: float, number_format: str) -> str:
    section = _section(value, number_format)
    figure = FIGURE.search(re.sub(r'"[^"]*"|\\.|\[[^\]]*\]', lambda match: "\0" * len(match.group()), section))
    if section in ("General", "@", "") or figure is None or "E+" in section or "?/" in section:
        return _general(value)
    pattern = figure.group()
    percent = "%" in section
    whole, _, decimals = pattern.partition(".")
    places = len(decimals)
    exact = Decimal(repr(abs(value))) * (100 if percent else 1) / 1000 ** (len(whole) - len(whole.rstrip(",")))
    amount = exact.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)  # as spreadsheets round, not as Python does
    text = f"{amount:,.{places}f}" if "," in whole.rstrip(",") else f"{amount:.{places}f}"
    optional = len(decimals) - len(decimals.rstrip("#?"))
    if optional and "." in text:
        cut = len(text) - optional
        text = (text[:cut] + text[cut:].rstrip("0")).rstrip(".")
    width = whole.count("0")
    if width > 1 and "," not in text:
        text = "0" * max(0, width - len(text.partition(".")[0])) + text
    before, after = _words(section[: figure.start()]), _words(section[figure.end() :])
    signed = value < 0 and ";" not in number_format and text.strip("0.,")
    return ("-" if signed else "") + (before + text + after).strip()


def _section(value: float, number_format: str) -> str:
    """Which part of ``positive;negative;zero`` this number is written by."""
    parts = re.split(r';(?=(?:[^"]*"[^"]*")*[^"]*$)', number_format)
    if value < 0 and len(parts) > 1:
        return parts[1]
    if value == 0 and len(parts) > 2:
        return parts[2]
    return parts[0]


def _words(part: str) -> str:
    return "".join("".join(filter(None, match)) for match in LITERAL.findall(part))


def _general(value: float) -> str:
    if isinstance(value, int):
        return str(value)
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:.11g}"
