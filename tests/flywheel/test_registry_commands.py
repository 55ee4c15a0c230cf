"""dojang adapters add, list, show, diff, verify, gc, and an adapter of decisions from the session to the registry."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import pytest

from adapters.prompt import CHAT_TEMPLATE, EOT
from adapters.serving import base_fingerprint
from adapters.training.material import Wanted, gathered
from adapters.training.recipe import Recipe
from adapters.training.run import Base
from dojang.cli.exits import Exit
from tests.adapters.tiny import lora
from tests.dojang.conftest import Shell
from tests.flywheel.test_dataset_commands import built, lived, shell

__all__ = ["lived", "shell"]  # fixtures


def test_adapters_are_taken_in_compared_checked_and_deleted(shell: Shell, tmp_path: Path) -> None:
    first, second = (str(lora(tmp_path / f"a{n}", n, base=("b", "b")[n] * 16)) for n in range(2))
    one = shell("adapters", "add", first, "--json").json["id"]
    refused = shell("adapters", "add", second, "--candidate")
    assert (refused.code, "write it with --reason" in refused.err) == (Exit.MISTAKE, True)
    two = shell("adapters", "add", second, "--candidate", "--reason", "better", "--json").json["id"]
    listed = {row["adapter"]: row for row in shell("adapters", "list", "--json").json}
    assert (listed[one]["aliases"], listed[two]["aliases"]) == ([], ["candidate"])
    assert "후보" in shell("adapters", "list", "--lang", "ko").out
    assert "1 rows trained on" not in shell("adapters", "list").out
    differ = shell("adapters", "diff", one, "candidate", "--json")
    assert (differ.code, {row["key"] for row in differ.json}) == (Exit.PROBLEM, {"counts.trained", "weights"})
    same = shell("adapters", "diff", one, first)
    assert (same.code, "they are the same" in same.out) == (Exit.DONE, True)
    checked = shell("adapters", "verify")
    assert (checked.code, checked.out) == (Exit.DONE, "2 adapters, 1 promotions, 0 problems\n")
    assert shell("adapters", "gc").err.strip() == "there is nothing to delete"
    assert f"would be deleted: {one}" in shell("adapters", "gc", "--older-than", "0", "--dry-run").out
    assert shell("adapters", "gc", "--older-than", "0", "--json").json["adapters"] == [one]
    unknown = shell("adapters", "show", "champion")
    assert (unknown.code, "no adapter is champion yet" in unknown.err) == (Exit.MISTAKE, True)
    spoilt = shell.home / "registry" / "adapters" / two / "manifest.json"
    spoilt.chmod(0o600)
    spoilt.write_text("{}", encoding="utf-8")
    broken = shell("adapters", "verify", "--lang", "ko")
    assert (broken.code, "바뀌었거나 없습니다" in broken.out) == (Exit.BROKEN, True)


def test_an_adapter_of_another_base_is_taken_in_and_it_is_said(shell: Shell, tmp_path: Path) -> None:
    served = base_fingerprint("embedded")
    said = shell("adapters", "add", str(lora(tmp_path / "theirs", 1, base="b" * 16)))
    assert said.code == Exit.DONE
    assert f"of the base {'b' * 16}, and {served} is served" in " ".join(said.err.split())
    assert "기반 모델" in shell("adapters", "add", str(tmp_path / "theirs"), "--lang", "ko").err
    ours = shell("adapters", "add", str(lora(tmp_path / "ours", 2, base=served)))
    assert (ours.code, ours.err) == (Exit.DONE, "")


@pytest.mark.parametrize("written", ['{"bro', "[1]", '{"data": [], "base": "x"}', '{"method": ["sft"], "steps": null}'])
def test_one_strange_manifest_ends_no_command_that_is_about_all(shell: Shell, tmp_path: Path, written: str) -> None:
    source = lora(tmp_path / "strange", 1)
    (source / "manifest.json").write_text(written, encoding="utf-8")
    refused = shell("adapters", "add", str(source))
    assert (refused.code, "take the file away" in refused.err) == (Exit.MISTAKE, True)
    kept = shell("adapters", "add", str(lora(tmp_path / "whole", 2)), "--json").json["id"]
    spoilt = shell("adapters", "add", str(lora(tmp_path / "spoilt", 3)), "--json").json["id"]
    place = shell.home / "registry" / "adapters" / spoilt / "manifest.json"
    place.chmod(0o600)
    place.write_text(written, encoding="utf-8")
    shutil.copytree(source, shell.home / "models" / "made")
    listed = {row["adapter"]: row for row in shell("adapters", "list", "--json").json}
    made = listed[str(shell.home / "models" / "made")]
    assert (listed[kept]["rows"], listed[kept]["problem"]) == (2, "")
    for row in (listed[spoilt], made):
        assert "manifest.json is not as training writes it" in row["problem"]
    table = shell("adapters", "list", "--lang", "ko")
    assert (table.code, table.out.count("손상"), table.err.count("파일을 없애십시오")) == (Exit.DONE, 2, 2)
    checked = shell("adapters", "verify")
    assert (checked.code, "2 adapters, 0 promotions, 1 problems" in checked.out) == (Exit.BROKEN, True)
    shown = shell("adapters", "show", str(source))
    assert shown.code == (Exit.DONE if '": ' in written else Exit.MISTAKE)
    assert "bug" not in shown.err
    assert shell("adapters", "add", str(tmp_path / "spoilt")).code == Exit.DONE
    assert shell("adapters", "verify").code == Exit.DONE


@pytest.mark.usefixtures("lived")
def test_an_adapter_of_decisions_names_its_dataset_and_is_marked_when_words_of_it_are_erased(
    shell: Shell, tmp_path: Path
) -> None:
    told = built(shell)
    folder = Path(told["folder"])
    base = Base(folder, "tiny", {}, "b" * 16, SimpleNamespace(chat_template=CHAT_TEMPLATE, eos_token=EOT), reading=True)
    rows, [source] = gathered(base, Recipe(), Wanted(folder))
    counted = (source.dataset, source.rows, source.unsayable, len(rows))
    assert counted == (told["dataset"], 4, 2, 4)  # nobody spoke of a suite
    assert source.sha256 == told["files"]["sft.jsonl"]["sha256"]
    lora(tmp_path / "adapter", 1, data={"sources": [asdict(source)]})
    adapter = shell("adapters", "add", "adapter", "--json").json
    assert adapter["datasets"] == [told["dataset"]]
    further = lora(tmp_path / "further", 2, start=adapter["fingerprint"])
    shutil.rmtree("adapter")
    assert "stale" not in shell("adapters", "list").out
    shell("audit", "erase", "--person", "choi", "--reason", "asked for it")
    [row] = [row for row in shell("adapters", "list", "--json").json if row["registered"]]
    assert row["stale"].startswith(f"dataset {told['dataset']}: asked for it")
    assert "stale" in shell("adapters", "list").out
    assert shell("adapters", "add", str(further)).code == Exit.DONE
    assert sum(bool(row["stale"]) for row in shell("adapters", "list", "--json").json) == 2  # what went on from it, too
