"""The flywheel's proof in a table, a picture and claims."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from flywheel_run import SHIPPED, Run


def table(found: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [
        "| adapter | match | difference [95 %] | tables: English / Korean | repeated | old | difference [95 %] |",
        "|" + "---|" * 7,
    ]
    for name, f in found.items():
        rows.append(
            f"| {name} | {100 * f['match']:.1f} % of {f['match_gain'].n} | {f['match_gain']} | {100 * f['en']:.0f} / "
            f"{100 * f['ko']:.0f} % | {100 * f['repeated']:.0f} % of {f['rejected']} | {100 * f['old']:.1f} % of "
            f"{f['old_gain'].n} | {f['old_gain']} |"
        )
    return "\n".join(rows)


def draw(run: Run, found: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Match, repeats and the old domain over the number of decisions, as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(1, 1, 1)
    steps = [0, *run.decisions]
    told = [found[SHIPPED if n == 0 else str(n)] for n in steps]
    match = [100 * f["match"] for f in told]
    low = [100 * (told[0]["match"] + f["match_gain"].low) for f in told]
    high = [100 * (told[0]["match"] + f["match_gain"].high) for f in told]
    axes.fill_between(steps, low, high, alpha=0.18, color="tab:blue", linewidth=0)
    axes.plot(steps, match, marker="o", color="tab:blue", label="held-out calls right (95 % of the difference)")
    axes.plot(steps, [100 * f["repeated"] for f in told], marker="s", color="tab:red", label="wrong proposals repeated")
    # Not all were asked all of it: the difference is by the items that both were asked.
    old = [100 * (told[0]["old"] + f["old_gain"].value) for f in told]
    axes.plot(steps, old, marker="^", color="tab:gray", label="old domain right")
    axes.set_xlabel("decisions of the simulated operator")
    axes.set_ylabel("%")
    axes.set_xticks(steps)
    axes.set_ylim(-2, 102)
    axes.grid(alpha=0.3)
    axes.legend(loc="best", fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png", dpi=100, metadata={"Software": None})


def claims(found: Mapping[str, Mapping[str, Any]], main: str) -> Iterator[tuple[str, bool]]:
    f = found[main]
    yield f"match after {main} decisions rises, interval above zero: {f['match_gain']}", f["match_gain"].low > 0
    yield f"repeats at least halve: {100 * f['repeated']:.0f} % of {f['rejected']}", f["repeated"] <= 0.5
    yield f"the old domain loses at most 2 points: {f['old_gain']}", f["old_gain"].value >= -0.02
    if "shuffled" in found:
        bad = found["shuffled"]
        yield f"shuffled labels are no gain like that: {bad['match_gain']}", bad["match_gain"].low <= 0


def seconds(decided: Sequence[Mapping[str, Any]]) -> str:
    spent = sorted(line["seconds"] for line in decided)
    kinds: dict[str, int] = {}
    for line in decided:
        kinds[line["type"] or "nothing proposed"] = kinds.get(line["type"] or "nothing proposed", 0) + 1
    told = ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items()))
    return f"{len(decided)} requests ({told}); median {spent[len(spent) // 2]:.2f} s from message to end"
