"""A dataset's training rows as files of another tool, in a new folder that is there whole or not at all."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from pathlib import Path

from adapters.dataset import folder
from adapters.dataset.building import METHODS
from adapters.dataset.exports import TOOLS, methods_of, settings_of
from adapters.dataset.exports import export as lines_of
from state import PassingFault, UserError


class NotExported(PassingFault):
    """The disk refused; nothing was written."""


def export(root: Path, name: str, tool: str, out: Path) -> dict[str, int]:
    """Write the rows of every method that the dataset and the tool have: {file: lines}.

    Raises:
        UserError: no such dataset or tool, the folder exists, or there is nothing to write.
        DamagedDataset: the dataset is not what it is named after.
    """
    if tool not in TOOLS:
        raise UserError(f"there is no format {tool!r}; use one of {', '.join(TOOLS)}")
    if out.exists():
        raise UserError(f"{out} exists already; name another folder")
    dataset = root / folder.verify(root, name)["id"]
    rows = {m: list(folder.read(dataset, f"{m}.jsonl")) for m in METHODS if m in methods_of(tool)}
    found = {m: lines_of(tool, m, given) for m, given in rows.items() if given}
    if not found:
        raise UserError(f"dataset {dataset.name} has no rows that {tool} could read; nothing was written")
    aside = out.absolute().parent / f".{out.name}.{secrets.token_hex(4)}"
    try:
        aside.mkdir(parents=True)
        for method, lines in found.items():
            text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
            (aside / f"{method}.jsonl").write_text(text, encoding="utf-8")
        file, content = settings_of(tool, list(found))
        if file:
            (aside / file).write_text(content, encoding="utf-8")
        os.rename(aside, out)
    except OSError as e:
        shutil.rmtree(aside, ignore_errors=True)
        raise NotExported(f"{out} cannot be written ({e.strerror}); nothing was kept: free space and try again") from e
    return {f"{method}.jsonl": len(lines) for method, lines in found.items()}


__all__ = ["NotExported", "export"]
