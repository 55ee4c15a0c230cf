"""The guards of the house: who may import whom, whose packages these are, and what goes into the wheel."""

from __future__ import annotations

import ast
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from dojang.origin import MODULES, TOP_LEVEL, ForeignPackage, check_origin

ROOT = Path(__file__).parents[1]


def test_every_top_level_name_resolves_to_this_checkout() -> None:
    check_origin()


@pytest.mark.parametrize("name", [n for n in TOP_LEVEL if n not in MODULES])
def test_a_foreign_package_of_the_same_name_stops_the_start(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text("")
    with pytest.raises(ForeignPackage) as caught:
        check_origin([str(tmp_path), str(ROOT)])
    assert caught.value.name == name
    assert "uninstall" in str(caught.value)


def test_a_missing_package_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(ForeignPackage, match="nowhere"):
        check_origin([str(tmp_path)])


def test_layers_hold() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_state_imports_nothing_of_ours_and_does_no_io() -> None:
    tree = ast.parse((ROOT / "state.py").read_text(encoding="utf-8"))
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [a.name for a in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported <= {"__future__", "collections", "typing", "unicodedata", "langchain_core", "langgraph"}
    called = {n.func.id for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
    assert not called & {"open", "print", "exec", "eval"}


def test_settings_alone_read_the_environment() -> None:
    readers = {
        str(path.relative_to(ROOT))
        for name in TOP_LEVEL
        for path in ([ROOT / f"{name}.py"] if name in MODULES else sorted((ROOT / name).rglob("*.py")))
        if any(_reads_a_variable(node) for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    }
    # The language of an error about settings, and whether to show a traceback, are needed before there are settings.
    assert readers <= {"dojang/settings.py", "dojang/cli/invocation.py", "dojang/__main__.py"}


def _reads_a_variable(node: ast.AST) -> bool:
    """``os.environ["X"]``, ``os.environ.get("X")`` or ``os.getenv("X")``; handing the whole on to a child is none."""
    if isinstance(node, ast.Subscript):
        return isinstance(node.ctx, ast.Load) and ast.unparse(node.value) == "os.environ"
    return isinstance(node, ast.Call) and ast.unparse(node.func) in ("os.environ.get", "os.getenv")


def test_the_wheel_holds_the_packages_and_nothing_else(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = archive.read(next(n for n in names if n.endswith("METADATA"))).decode()
    tops = {n.split("/")[0] for n in names if ".dist-info/" not in n}
    assert tops == {f"{n}.py" if n in MODULES else n for n in TOP_LEVEL}
    assert "Classifier: Private :: Do Not Upload" in metadata
    assert "dojang/sample/policy.toml" in names
    assert any(n.startswith("dojang/sample/documents/ko/") for n in names)


def test_no_module_holds_the_name_of_a_drawer() -> None:
    drawers = {"utils.py", "helpers.py", "common.py", "misc.py", "manager.py"}
    found = [p for name in TOP_LEVEL if name not in MODULES for p in (ROOT / name).rglob("*.py") if p.name in drawers]
    assert found == []
