"""Ruled tables of a PDF page, from its lines: where columns and rows end. Knows lines and cells, no document."""

from __future__ import annotations

import bisect
import ctypes
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

THIN = 3.0  # points; a filled box that is thinner is a line
NEAR = 3.0  # points; lines that are nearer are one
SHORTEST = 4.0  # points; what is shorter is no line of a table
MOST_OBJECTS = 20_000  # a drawing, not a table

Segment = tuple[float, float, float, float]
"""``(x0, y0, x1, y1)`` in points, x0 <= x1, y0 <= y1; horizontal or vertical."""


@dataclass
class Grid:
    """A table: the places of its lines, from left to right and from top to bottom, and the texts of its cells."""

    xs: list[float]
    ys: list[float]  # descending: PDF counts upwards
    cells: dict[tuple[int, int], list[str]] = field(default_factory=dict)
    _last: dict[tuple[int, int], int] = field(default_factory=dict)

    def cell_at(self, x: float, y: float) -> tuple[int, int] | None:
        """Row and column of a point; None outside."""
        if not (self.xs[0] <= x <= self.xs[-1] and self.ys[-1] <= y <= self.ys[0]):
            return None
        column = min(bisect.bisect_right(self.xs, x), len(self.xs) - 1) - 1
        row = sum(y < line for line in self.ys[1:-1])
        return row, column

    def put(self, cell: tuple[int, int], character: str, index: int) -> None:
        """Put a letter into a cell; between letters that do not follow each other a space is put."""
        known = self.cells.setdefault(cell, [])
        if known and self._last[cell] != index - 1:
            known.append(" ")
        known.append(character)
        self._last[cell] = index

    @property
    def rows(self) -> list[list[str]]:
        """The texts, row by row."""
        columns = range(len(self.xs) - 1)
        return [
            [" ".join("".join(self.cells.get((row, column), [])).split()) for column in columns]
            for row in range(len(self.ys) - 1)
        ]


def grids_of(page: Any) -> list[Grid]:
    """The ruled tables of a page with at least two columns and two rows."""
    segments = list(itertools.islice(_segments(page), MOST_OBJECTS))
    across = [one for one in segments if one[3] - one[1] <= one[2] - one[0]]
    upright = [one for one in segments if one[3] - one[1] > one[2] - one[0]]
    if len(across) < 3 or len(upright) < 3:
        return []
    found = []
    for group in _connected(across, upright):
        xs = _places(x for x, y0, x1, y1 in group if y1 - y0 > x1 - x)
        ys = _places(y for x0, y, x1, y1 in group if y1 - y <= x1 - x0)
        if len(xs) >= 3 and len(ys) >= 3:
            found.append(Grid(xs, ys[::-1]))
    return found


def _segments(page: Any) -> Iterator[Segment]:
    """Straight horizontal and vertical lines, drawn or as thin boxes, in the page's own points."""
    from pypdfium2 import raw

    for item in page.get_objects(filter=[raw.FPDF_PAGEOBJ_PATH], max_depth=3):
        matrix = item.get_matrix()
        points: list[tuple[float, float]] = []
        x, y = ctypes.c_float(), ctypes.c_float()
        for number in range(min(raw.FPDFPath_CountSegments(item), 2_000)):
            segment = raw.FPDFPath_GetPathSegment(item, number)
            raw.FPDFPathSegment_GetPoint(segment, ctypes.byref(x), ctypes.byref(y))
            point = matrix.on_point(x.value, y.value)
            if raw.FPDFPathSegment_GetType(segment) == raw.FPDF_SEGMENT_MOVETO:
                yield from _straight(points)
                points = []
            points.append(point)
            if raw.FPDFPathSegment_GetClose(segment) and points:
                points.append(points[0])
        yield from _straight(points)


def _straight(points: list[tuple[float, float]]) -> Iterator[Segment]:
    """Lines of one outline; the four sides of a thin box are one line."""
    if len(points) >= 4:
        left, right = min(x for x, _ in points), max(x for x, _ in points)
        low, high = min(y for _, y in points), max(y for _, y in points)
        if min(right - left, high - low) <= THIN:
            points = [(left, low), (right, low)] if right - left > high - low else [(left, low), (left, high)]
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        if max(abs(x1 - x0), abs(y1 - y0)) < SHORTEST:
            continue
        if abs(y1 - y0) <= 0.5 or abs(x1 - x0) <= 0.5:
            yield min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)


def _connected(across: list[Segment], upright: list[Segment]) -> list[list[Segment]]:
    """Lines that touch each other, directly or through others, together."""
    lines = [*across, *upright]
    parent = list(range(len(lines)))

    def root(one: int) -> int:
        while parent[one] != one:
            parent[one] = parent[parent[one]]
            one = parent[one]
        return one

    by_x = sorted(range(len(across), len(lines)), key=lambda one: lines[one][0])
    places = [lines[one][0] for one in by_x]
    for number, (x0, y, x1, _) in enumerate(across):
        first = bisect.bisect_left(places, x0 - NEAR)
        for one in by_x[first : bisect.bisect_right(places, x1 + NEAR)]:
            if lines[one][1] - NEAR <= y <= lines[one][3] + NEAR:
                parent[root(one)] = root(number)
    groups: dict[int, list[Segment]] = {}
    for number, line in enumerate(lines):
        groups.setdefault(root(number), []).append(line)
    return list(groups.values())


def _places(values: Iterator[float]) -> list[float]:
    """Ascending, those that are near each other as one."""
    found: list[float] = []
    for value in sorted(values):
        if not found or value - found[-1] > NEAR:
            found.append(value)
    return found
