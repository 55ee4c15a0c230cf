"""Every notebook runs from its first cell to its last, its Korean twin has the same code, and no output is stored."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest
from jupyter_client.manager import KernelManager

from scripts import notebook_twins

ROOT = Path(__file__).parents[2]
ENGLISH = sorted((ROOT / "notebooks").glob("*.ipynb"))
KOREAN = [ROOT / "notebooks" / "ko" / path.name for path in ENGLISH]
BY_TURNS = [KOREAN[n] if n % 2 else path for n, path in enumerate(ENGLISH)]
HANGUL = re.compile("[가-힣]")
ALONE = "%reset -f\nimport gc; gc.collect()"
"""Before each notebook: one kernel runs several, because its imports cost more than most of them."""


def opened(path: Path) -> Any:
    return nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)  # type: ignore[no-untyped-call]


def named(path: Path) -> str:
    return str(path.relative_to(ROOT / "notebooks"))


@pytest.mark.parametrize("path", ENGLISH + KOREAN, ids=named)
def test_no_output_is_stored(path: Path) -> None:
    cells = opened(path).cells
    assert [cell.id for cell in cells if cell.cell_type == "code" and (cell.outputs or cell.execution_count)] == []


@pytest.mark.parametrize(("path", "twin"), list(zip(ENGLISH, KOREAN, strict=True)), ids=named)
def test_twins_have_the_same_code_and_texts_of_their_own(path: Path, twin: Path) -> None:
    ours, theirs = opened(path).cells, opened(twin).cells
    assert [(cell.id, cell.cell_type) for cell in theirs] == [(cell.id, cell.cell_type) for cell in ours]
    for one, other in zip(ours, theirs, strict=True):
        if one.cell_type == "code":
            assert other.source == one.source.replace(notebook_twins.ENGLISH, notebook_twins.KOREAN), one.id
        else:
            assert len(re.findall(r"^#+ ", other.source, re.MULTILINE)) == len(
                re.findall(r"^#+ ", one.source, re.MULTILINE)
            )
            assert HANGUL.search(other.source), one.id
            assert not one.source.isascii() or other.source != one.source
            links = [re.findall(r"\]\(([^)]+)\)", cell.source) for cell in (one, other)]
            assert links[0] == links[1], one.id
    assert notebook_twins.ENGLISH in ours[1].source


def test_the_code_is_carried_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    monkeypatch.setattr(notebook_twins, "NOTEBOOKS", tmp_path / "notebooks")
    path = tmp_path / "notebooks" / ENGLISH[0].name
    before, twin = path.read_bytes(), tmp_path / "notebooks" / "ko" / path.name
    assert notebook_twins.main() == 0
    assert path.read_bytes() == before
    changed = json.loads(before)
    changed["cells"][1] |= {"execution_count": 3}
    changed["cells"][1]["source"].append("\nprint('news')")
    path.write_text(json.dumps(changed), encoding="utf-8")
    assert notebook_twins.main() == 0
    assert "print('news')" in opened(twin).cells[1].source
    assert notebook_twins.KOREAN in opened(twin).cells[1].source
    assert opened(path).cells[1].execution_count is None


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KernelManager]:
    """One kernel for the notebooks that this process is given."""
    folder = tmp_path_factory.mktemp("kernel")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IPYTHONDIR", str(folder / "ipython"))
        patch.setenv("JUPYTER_RUNTIME_DIR", str(folder / "runtime"))
        patch.setenv("OMP_NUM_THREADS", "1")
        for name in [name for name in os.environ if name.startswith("DOJANG_")]:
            patch.delenv(name)
        patch.setenv("DOJANG_EMBEDDING", "none")  # but where a notebook says so: the model takes seconds to load
        manager = KernelManager(kernel_name="python3")
        manager.start_kernel(cwd=str(ROOT / "notebooks"))
    try:
        yield manager
    finally:
        manager.shutdown_kernel(now=True)


@pytest.mark.slow
@pytest.mark.timeout(900)  # on a machine that others use a cell may take minutes
@pytest.mark.parametrize("path", BY_TURNS, ids=named)
@pytest.mark.filterwarnings("default")  # of the notebook client's own libraries
def test_it_runs_to_its_end(path: Path, kernel: KernelManager) -> None:
    notebook = opened(path)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(ALONE))  # type: ignore[no-untyped-call]
    client = nbclient.NotebookClient(notebook, km=kernel, timeout=600)
    try:
        client.execute()
    finally:
        if client.kc is not None:
            client.kc.stop_channels()
