"""dojang adapters …: plan, train, show, pretrain, evaluate, over the real command line. No database is needed."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from functools import partial
from pathlib import Path

import pytest

from dojang.cli.exits import Exit
from tests.adapters.tiny import save_base
from tests.adapters.training.runs import raw
from tests.dojang.conftest import Shell
from tests.dojang.workspaces import rehearsed

SMALL = ("--rank", "4", "--rate", "0.01", "--epochs", "1", "--accumulate", "1", "--seq", "128", "--device", "cpu")


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Shell:
    """A home, no database."""
    environment = {"DOJANG_HOME": str(tmp_path / "home"), "DOJANG_LANGUAGE": "en"}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return Shell(tmp_path / "home", environment, capfd, monkeypatch, rehearsed)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    import torch

    torch.set_num_threads(1)
    return str(save_base(tmp_path_factory.mktemp("base") / "tiny"))


def rows_at(path: Path, method: str = "sft", n: int = 12) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in raw(method, n)), encoding="utf-8")  # type: ignore[arg-type]
    return str(path)


# ----------------------------------------------------------------------------------------------------------- plan


def test_a_plan_is_a_table_and_a_verdict(shell: Shell) -> None:
    made = shell("adapters", "plan", "--base", "Llama-3.2-1B", "--gpu", "4GiB", "--seq", "512")
    assert made.code == Exit.DONE
    assert "Llama-3.2-1B fits: " in made.out
    assert [line.split()[0] for line in made.out.splitlines()[1:9]] == [
        "weights", "adapter", "gradients", "optimizer", "activations", "logits", "overhead", "together",
    ]  # fmt: skip
    assert "Llama 3.2 Community License" in made.err
    korean = shell("adapters", "plan", "--base", "Llama-3.2-1B", "--gpu", "4GiB", "--lang", "ko")
    assert "Llama-3.2-1B 들어감: 4.00 GiB 가운데" in korean.out


def test_what_does_not_fit_names_the_smallest_change_and_ends_with_1(shell: Shell) -> None:
    made = shell("adapters", "plan", "--base", "Llama-3.2-3B", "--gpu", "4GiB", "--batch", "4", "--json")
    assert made.code == Exit.PROBLEM
    told = made.json
    assert (told["verdict"], told["remedy"]) == ("no", ["--batch 1 --accumulate 4"])
    assert told["peak_bytes"]["total"] == sum(size for name, size in told["peak_bytes"].items() if name != "total")
    assert all(lever["saves_bytes"] > 0 for lever in told["levers"])
    followed = shell("adapters", "plan", "--base", "Llama-3.2-3B", "--gpu", "4GiB", "--batch", "1")
    assert followed.code == Exit.DONE
    hopeless = shell("adapters", "plan", "--base", "Llama-3.1-8B", "--gpu", "4GiB")
    assert "no setting makes it fit; bases that do: " in hopeless.out
    heavy = ("--no-fused-loss", "--upcast", "--no-checkpointing", "--quantization", "bf16")
    lighter = shell("adapters", "plan", "--base", "Llama-3.2-1B", "--gpu", "8GiB", *heavy)
    assert {"--fused-loss", "--no-upcast", "--checkpointing"} <= set(lighter.out.split())


def test_a_plan_reads_a_model_folder(shell: Shell, base: str) -> None:
    assert shell("adapters", "plan", "--base", base, "--json").json["base"]["width"] == 64


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--base", "gpt-5"), "no base 'gpt-5' is known"),
        (("--gpu", "big"), "'big' is no size of memory"),
        (("--quantization", "int3"), "quantization is 'int3'"),
        (("--seq", "1"), "--seq"),
        (("--gpu", "9" * 300), "is no size of memory"),
        (("--gpu", "0.0000000001"), "is no size of memory"),
        (("--base", "/gone/Llama-3.1-8B"), "no base '/gone/Llama-3.1-8B' is known"),
        (("--base", "."), "the folder '.' has no config.json"),
    ],
)
def test_plans_of_nonsense_are_mistakes(shell: Shell, words: tuple[str, ...], said: str) -> None:
    made = shell("adapters", "plan", *words)
    assert made.code == Exit.MISTAKE
    assert said in made.err
    assert len(made.err.splitlines()) == 1


# ---------------------------------------------------------------------------------------------------------- train


def test_rows_of_a_file_become_an_adapter_that_can_be_shown(shell: Shell, base: str, tmp_path: Path) -> None:
    data = rows_at(tmp_path / "rows.jsonl")
    made = shell("adapters", "train", "--base", base, "--data", data, "--out", "adapter", *SMALL, "--json")
    assert made.code == Exit.DONE, made
    assert made.json["data"]["sources"][0]["name"] == "rows.jsonl"
    counts = made.json["counts"]
    assert (counts["given"], counts["trained"] + counts["held_out"], counts["dropped_too_long"]) == (12, 12, 0)
    assert "step 3 of 3" in made.err
    shown = shell("adapters", "show", "adapter")
    assert f"{counts['trained']} rows trained on, {counts['held_out']} held out, 0 too long" in shown.out
    assert made.json["base"]["fingerprint"] in shown.out
    assert f"학습한 행 {counts['trained']}개" in shell("adapters", "show", "adapter", "--lang", "ko").out
    again = shell("adapters", "train", "--base", base, "--data", data, "--out", "adapter", *SMALL)
    assert (again.code, "exists already" in again.err) == (Exit.MISTAKE, True)
    on = shell(
        "adapters", "train", "--method", "dpo", "--base", base, "--from", "adapter", "--out", "further", *SMALL,
        "--data", rows_at(tmp_path / "pairs.jsonl", "dpo"),
    )  # fmt: skip
    assert on.code == Exit.DONE, on
    assert "the adapter is in further" in on.out


def test_the_front_desk_is_trained_from_generated_rows(shell: Shell) -> None:
    made = shell("adapters", "train", "--generated", "6", "--out", "desk", "--rank", "4", "--device", "cpu", "--json")
    assert made.code == Exit.DONE, made
    assert {source["name"]: source["rows"] for source in made.json["data"]["sources"]} == {
        "generated front desk": 6, "replayed": 3,
    }  # fmt: skip
    assert made.json["settings"]["rate"] == 1e-3
    assert {entry["licence"] for entry in made.json["licences"] if entry["what"] != "library"} == {"Apache-2.0"}


@pytest.mark.parametrize(
    ("words", "english", "korean"),
    [
        ((), "give one of --data FILE, --dataset ID and --generated N", "가운데 하나를 주십시오"),
        (("--data", "none.jsonl"), "none.jsonl cannot be read", "읽을 수 없습니다"),
        (("--data", "wrong.jsonl"), "line 1 of wrong.jsonl is no sft row: the row lacks completion", "행에 빠진 것이"),
        (("--data", "rows.jsonl", "--device", "cuda"), "no usable CUDA", "쓸 수 있는 CUDA가 없습니다"),
        (("--data", "rows.jsonl", "--load-in-4bit", "--load-in-8bit"), "both 4-bit and 8-bit", "4비트와 8비트"),
        (("--data", "rows.jsonl", "--backend", "unsloth"), "Unsloth is not installed", "설치되어 있지 않습니다"),
        (("--data", "rows.jsonl", "--replay", "0.3"), "leave --replay away", "--replay 옵션을 빼십시오"),
        (("--generated", "4", "--method", "dpo"), "generated rows are sft rows", "sft 행입니다"),
        (("--data", "rows.jsonl", "--rank", "0"), "rank is 0; it lies between 1 and 1024", "rank 값이 0입니다"),
        (("--data", "rows.jsonl", "--today", "2026-99-99"), "--today is '2026-99-99', which is no day", "날짜가 아닙"),
        (("--data", "rows.jsonl", "--today", "20261122"), "--today is '20261122', which is no day", "날짜가 아닙니다"),
        (("--data", "rows.jsonl", "--out", "rows.jsonl/a/b"), "rows.jsonl is no folder; name another", "폴더가 아닙"),
    ],
)
def test_mistakes_are_one_line_in_both_languages_and_leave_nothing(
    shell: Shell, base: str, tmp_path: Path, words: tuple[str, ...], english: str, korean: str
) -> None:
    rows_at(tmp_path / "rows.jsonl")
    (tmp_path / "wrong.jsonl").write_text('{"prompt": "a"}\n')
    before = sorted(path.name for path in tmp_path.iterdir())
    for language, said in (("en", english), ("ko", korean)):
        made = shell("adapters", "train", "--base", base, "--out", "a", *words, "--lang", language)
        assert made.code == Exit.MISTAKE
        assert said in made.err.splitlines()[-1]
        assert made.out == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_an_older_adapter_and_a_foreign_folder_are_shown_as_what_they_are(shell: Shell, tmp_path: Path) -> None:
    assert shell("adapters", "show").code == Exit.DONE
    missing = shell("adapters", "show", str(tmp_path))
    assert (missing.code, "was not trained by `dojang adapters train`" in missing.err) == (Exit.MISTAKE, True)


def test_the_adapters_that_there_are_are_listed(shell: Shell, base: str, tmp_path: Path) -> None:
    data = rows_at(tmp_path / "rows.jsonl")
    out = str(tmp_path / "home" / "models" / "desk")
    assert shell("adapters", "train", "--base", base, "--data", data, "--out", out, *SMALL).code == Exit.DONE
    shipped, desk = shell("adapters", "list", "--json").json
    assert shipped["adapter"].endswith("weights/frontdesk")
    assert (desk["adapter"], desk["method"]) == (out, "sft")
    assert desk["base"] == shell("adapters", "show", out, "--json").json["base"]["fingerprint"]
    shutil.copytree(out, tmp_path / "home" / "models" / ".next.training" / "checkpoints" / "checkpoint-3")
    assert len(shell("adapters", "list", "--json").json) == 2, "a run that has not ended has no adapter"
    assert "학습한 때" in shell("adapters", "list", "--lang", "ko").out


# ------------------------------------------------------------------------------------------- the base and its figures


def test_a_base_is_pretrained(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from adapters.serving import WEIGHTS
    from adapters.training import pretrain

    out = tmp_path / "made"
    out.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(WEIGHTS / "base" / name, out)  # building it takes half a minute
    monkeypatch.setattr(pretrain, "Plan", partial(pretrain.Plan, window=4, width=128))
    made = shell("adapters", "pretrain", "--out", "made", "--tokens", "300")
    assert made.code == Exit.DONE, made
    assert (out / "model.safetensors").exists()
    assert " of 300 tokens, loss " in made.err
    assert re.search(r"network of words: [2-5] questions, step 1 of 1, loss ", made.err), made.err
    before = (out / "likeness.safetensors").read_bytes()
    again = shell("adapters", "liken", "--base", "made", "--questions", "40", "--seed", "7")
    assert again.code == Exit.DONE, again
    assert (out / "likeness.safetensors").read_bytes() != before
    foreign = shell("adapters", "liken", "--base", str(tmp_path))
    assert (foreign.code, "pretrain` made" in foreign.err) == (Exit.MISTAKE, True)
    alone = shell("adapters", "pretrain", "--rate", "0.001", "--out", "alone")
    assert (alone.code, "with --extend" in alone.err) == (Exit.MISTAKE, True)
    more = shell("adapters", "pretrain", "--extend", "made", "--out", "more", "--tokens", "300")
    assert more.code == Exit.DONE, more
    assert (tmp_path / "more" / "model.safetensors").exists()
    both = shell("adapters", "pretrain", "--extend", "made", "--cool", "made", "--out", "both")
    assert (both.code, "two ways" in both.err) == (Exit.MISTAKE, True)
    wider = shell("adapters", "pretrain", "--extend", "made", "--out", "wider", "--width", "192", "--lang", "ko")
    assert (wider.code, "빼야 할 것: --width" in wider.err) == (Exit.MISTAKE, True)
    assert not list(tmp_path.glob("wider")), "refused before anything is made"


def test_a_base_is_not_made_where_there_can_be_no_folder(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("mine")
    for out in ("file", "file/base"):
        made = shell("adapters", "pretrain", "--out", out)
        assert (made.code, f"{out} cannot be made: {tmp_path / 'file'} is no folder" in made.err) == (
            Exit.MISTAKE,
            True,
        )
    monkeypatch.setattr(os, "access", lambda path, _: Path(path) != tmp_path)
    made = shell("adapters", "pretrain", "--out", "base", "--lang", "ko")
    assert (made.code, "쓰기 권한이 없습니다" in made.err) == (Exit.MISTAKE, True)
    assert [path.name for path in tmp_path.iterdir() if path.name != "home"] == ["file"]


def test_an_evaluation_of_nothing_is_refused(shell: Shell) -> None:
    made = shell("adapters", "evaluate", "-n", "0")
    assert (made.code, "-n 0 leaves nothing to measure" in made.err) == (Exit.MISTAKE, True)


def test_an_evaluation_prints_its_table(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    import adapters.training.evaluate  # noqa: F401

    module = sys.modules["adapters.training.evaluate"]
    monkeypatch.setattr(module, "evaluate", partial(module.evaluate, names=["tool result told"]))
    made = shell("adapters", "evaluate", "-n", "2")
    assert made.code == Exit.DONE, made
    assert "| tool result told | " in made.out
