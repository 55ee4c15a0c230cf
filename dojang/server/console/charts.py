"""Charts as numbers: lines over steps, intervals beside zero, stacked bars.

``templates/frame/_chart.html`` draws them as SVG. Each says itself in words (``told``), and the page has a table with
the same figures under it. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

WIDE: Final = 640
LEFT: Final = 46
TICKS: Final = 4
ROW: Final = 22
NAMES: Final = 190
"""Units for the names at the left of bars and intervals."""


@dataclass(frozen=True)
class Text:
    """A text at a place; ``anchor`` is SVG's."""

    x: float
    y: float
    text: str
    anchor: str = "start"


@dataclass(frozen=True)
class Rect:
    """A bar; ``tone`` is a class of ``places.css``, ``told`` what it says when pointed at."""

    x: float
    y: float
    width: float
    height: float
    tone: str
    told: str = ""


@dataclass(frozen=True)
class Chart:
    """One picture, in units of its own."""

    told: str
    height: float
    width: float = WIDE
    lines: list[tuple[float, float, float, float, str]] = field(default_factory=list)  # x1, y1, x2, y2, class
    curves: list[tuple[str, str]] = field(default_factory=list)  # points, class
    dots: list[tuple[float, float, str]] = field(default_factory=list)
    rects: list[Rect] = field(default_factory=list)
    texts: list[Text] = field(default_factory=list)
    legend: list[tuple[str, str]] = field(default_factory=list)  # class, name


def curves(
    series: Sequence[tuple[str, str, Sequence[tuple[float, float]]]], told: str, *, height: float = 220
) -> Chart:
    """Lines of (class, name, points). At least one point in one of them."""
    chart = Chart(told, height)
    every = [point for _, _, points in series for point in points]
    (x0, x1), (y0, y1) = _span([x for x, _ in every]), _span([y for _, y in every])
    bottom, top = height - 24, 10

    def across(x: float) -> float:
        return round(LEFT + (x - x0) / (x1 - x0) * (WIDE - LEFT - 10), 1)

    def up(y: float) -> float:
        return round(bottom - (y - y0) / (y1 - y0) * (bottom - top), 1)

    for i in range(TICKS + 1):
        y = y0 + (y1 - y0) * i / TICKS
        chart.lines.append((LEFT, up(y), WIDE - 10, up(y), "grid"))
        chart.texts.append(Text(LEFT - 6, up(y) + 4, f"{y:.2f}", "end"))
        x = x0 + (x1 - x0) * i / TICKS
        chart.texts.append(Text(across(x), height - 6, f"{x:,.0f}", "middle"))
    for tone, name, points in series:
        if points:
            chart.curves.append((" ".join(f"{across(x)},{up(y)}" for x, y in points), tone))
            chart.legend.append((tone, name))
            if len(points) < 40:
                chart.dots.extend((across(x), up(y), tone) for x, y in points)
    return chart


def intervals(rows: Sequence[tuple[str, float | None, float | None, float | None]], told: str) -> Chart:
    """Differences (name, low, value, high) beside zero; None where nothing can be said."""
    chart = Chart(told, len(rows) * ROW + 30)
    numbers = [n for _, *three in rows for n in three if n is not None]
    low, high = _span([0.0, *numbers])

    def across(value: float) -> float:
        return round(NAMES + (value - low) / (high - low) * (WIDE - NAMES - 20), 1)

    chart.lines.append((across(0), 2, across(0), len(rows) * ROW + 8, "zero"))
    for mark in sorted({low, 0.0, high}):
        chart.texts.append(Text(across(mark), len(rows) * ROW + 24, f"{mark:+.2f}" if mark else "0", "middle"))
    for n, (name, least, value, most) in enumerate(rows):
        y = n * ROW + ROW / 2 + 2
        chart.texts.append(Text(NAMES - 10, y + 4, _short(name), "end"))
        if value is None:
            continue
        tone = "none" if least is None or most is None else "good" if least > 0 else "bad" if most < 0 else "none"
        if least is not None and most is not None:
            chart.lines.append((across(least), y, across(most), y, f"reach {tone}"))
        chart.dots.append((across(value), y, tone))
    return chart


def bars(
    rows: Sequence[tuple[str, Sequence[tuple[str, float]]]], told: str, legend: Sequence[tuple[str, str]] = ()
) -> Chart:
    """Stacked bars of (name, [(class, amount)]), all on one scale; amounts are not negative."""
    chart = Chart(told, len(rows) * ROW + 8, legend=list(legend))
    most = max((sum(amount for _, amount in parts) for _, parts in rows), default=0) or 1
    names = dict(legend)
    for n, (name, parts) in enumerate(rows):
        y, x = n * ROW + 4, float(NAMES)
        chart.texts.append(Text(NAMES - 10, y + 13, _short(name), "end"))
        for tone, amount in parts:
            width = round(amount / most * (WIDE - NAMES - 60), 1)
            if width:
                chart.rects.append(Rect(round(x, 1), y + 2, width, ROW - 8, tone, f"{names.get(tone, '')} {amount:g}"))
            x += width
        chart.texts.append(Text(round(x + 6, 1), y + 13, f"{sum(amount for _, amount in parts):,g}"))
    return chart


def _span(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values, default=0.0), max(values, default=1.0)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _short(name: str) -> str:
    return name if len(name) <= 26 else name[:25] + "…"
