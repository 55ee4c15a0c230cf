"""``python -m tests.bfcl``: what the checking of arguments says to every call of the benchmark, by file."""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path

from tests.bfcl.calls import WITH_CALLS, mutations, rows

KINDS = ("missing", "wrong type", "not in the enum", "unknown argument", "unknown name")


def main() -> int:
    """Print the table and every false refusal; the exit code."""
    data = Path(os.environ.get("DOJANG_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
    refused: list[str] = []
    print("| file | calls | pass | changed by the reading | " + " | ".join(f"{kind}: refused" for kind in KINDS) + " |")
    print("|" + "---|" * (len(KINDS) + 4))
    for name in WITH_CALLS:
        tried: Counter[str] = Counter()
        passed: Counter[str] = Counter()
        for row in rows(data, name):
            box = row.toolbox()
            for tool, args in row.calls:
                checked = box.check(tool, args)
                tried["call"] += 1
                if checked["problems"] or checked["missing"]:
                    refused.append(f"{row.id} {tool}: {checked['problems']} missing {checked['missing']}")
                    continue
                passed["call"] += 1
                passed["changed"] += any(checked["args"][key] != value for key, value in args.items())
                for kind, wrong, given in mutations(box, tool, args):
                    tried[kind] += 1
                    answer = box.check(wrong, given)
                    passed[kind] += bool(answer["problems"] or answer["missing"])
        cells = " | ".join(f"{passed[kind]}/{tried[kind]}" for kind in KINDS)
        print(f"| {name} | {tried['call']} | {passed['call']} | {passed['changed']} | {cells} |")
    print("\n".join(["", f"{len(refused)} right calls refused:", *refused]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
