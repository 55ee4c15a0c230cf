"""Training runs on the tiny base: whole or not there, resumed after a kill, equal to the byte, refused in one line."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import warnings
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

from adapters.errors import AdapterNotUsable, ModelNotUsable
from adapters.local.loading import load_local, read_note
from adapters.training import curves, fits, learned
from adapters.training import run as runs_module
from adapters.training.manifest import read_manifest
from adapters.training.recipe import Recipe, one_quantization
from adapters.training.run import newest_checkpoint, open_base, staging_of
from state import Conflict, UserError
from tests.adapters.families import save_llama3, save_polyglot
from tests.adapters.tiny import save_adapter, save_base
from tests.adapters.training.runs import SMALL, raw, run

ROOT = Path(__file__).parents[3]
LASTING = (
    "adapter_model.safetensors", "adapter_config.json", "dojang.json", "curves.jsonl", "curves.png", "learned.jsonl",
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def trained(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained") / "adapter"
    run(base, out)
    return out


def lasting(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in LASTING}


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_same_seed_makes_the_same_adapter_to_the_byte(base: Path, trained: Path, tmp_path: Path) -> None:
    run(base, tmp_path / "again")
    assert lasting(tmp_path / "again") == lasting(trained)
    run(base, tmp_path / "other", replace(SMALL, seed=1))
    assert lasting(tmp_path / "other")["adapter_model.safetensors"] != lasting(trained)["adapter_model.safetensors"]


def test_a_killed_run_goes_on_to_the_same_adapter(base: Path, trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "adapter"
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.adapters.training.runs", str(base), str(out), "7"],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT), "TORCHDYNAMO_DISABLE": "1", "OMP_NUM_THREADS": "1"},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stdout.readline() == "here\n"
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdin.close()
    child.stdout.close()
    assert not out.exists()
    checkpoints = staging_of(out) / "checkpoints"
    newest = newest_checkpoint(checkpoints)
    assert newest is not None
    torn = checkpoints / "checkpoint-99"  # a kill while a checkpoint is written leaves one without its last file
    shutil.copytree(newest, torn)
    (torn / "trainer_state.json").write_text('{"epoch": 1.')
    told = run(base, out)
    assert told["resumed_from_step"] == int(newest.name.rsplit("-", 1)[1]) == 6
    assert lasting(out) == lasting(trained)
    assert left(tmp_path) == ["adapter"]


def interrupted(base: Path, out: Path, recipe: Recipe, step: int, **given: Any) -> None:
    """A run that ends when a loss is told at that step or later."""

    def stop(news: dict[str, float]) -> None:
        if news["step"] >= step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(base, out, recipe, told=stop, **given)


@pytest.mark.parametrize("method", ["sft", "dpo"])
def test_a_run_that_stopped_in_its_second_pass_goes_on_to_the_same_adapter(
    base: Path, tmp_path: Path, method: Any
) -> None:
    recipe = replace(SMALL, method=method, heldout=0.2)
    told = run(base, tmp_path / "whole", recipe)
    assert told["steps"] == 10, "five a pass"
    interrupted(base, tmp_path / "parts", recipe, 7)
    assert run(base, tmp_path / "parts", recipe)["resumed_from_step"] == 6
    assert lasting(tmp_path / "parts") == lasting(tmp_path / "whole")


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


@pytest.fixture(scope="module")
def halfway(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that was interrupted after two checkpoints."""
    out = tmp_path_factory.mktemp("halfway") / "adapter"
    interrupted(base, out, SMALL, 5)
    return staging_of(out)


def checkpoints_of(halfway: Path, out: Path) -> list[Path]:
    """A copy of it for a run of one's own, the newest checkpoint first."""
    copied = shutil.copytree(halfway, staging_of(out))
    for noted in copied.glob("checkpoints/*/trainer_state.json"):  # where the best lies stands there with its path
        noted.write_text(noted.read_text(encoding="utf-8").replace(str(halfway), str(copied)), encoding="utf-8")
    return [copied / "checkpoints" / f"checkpoint-{step}" for step in (4, 2)]


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth"])
def test_a_run_goes_on_from_the_newest_checkpoint_that_can_be_read(halfway: Path, tmp_path: Path, name: str) -> None:
    newest, older = checkpoints_of(halfway, tmp_path / "a")
    cut(newest / name)
    assert newest_checkpoint(newest.parent) == older
    assert not newest.exists()


def test_a_run_whose_newest_checkpoint_is_damaged_ends_with_the_same_adapter(
    base: Path, trained: Path, halfway: Path, tmp_path: Path
) -> None:
    newest, _ = checkpoints_of(halfway, tmp_path / "a")
    damaged = bytearray((newest / "optimizer.pt").read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (newest / "optimizer.pt").write_bytes(damaged)
    assert run(base, tmp_path / "a")["resumed_from_step"] == 2
    assert lasting(tmp_path / "a") == lasting(trained)


def test_a_run_none_of_whose_checkpoints_can_be_read_says_so_and_keeps_them(
    base: Path, halfway: Path, tmp_path: Path
) -> None:
    newest, older = checkpoints_of(halfway, tmp_path / "a")
    (newest / "optimizer.pt").unlink()
    cut(older / "scheduler.pt")
    with pytest.raises(UserError, match=r"checkpoint-4 is damaged \(optimizer\.pt: .*; begin anew with --fresh"):
        run(base, tmp_path / "a")
    assert newest.exists()
    assert older.exists()


def test_a_run_whose_best_checkpoint_is_damaged_does_not_go_on_to_lose_it(halfway: Path, tmp_path: Path) -> None:
    newest, older = checkpoints_of(halfway, tmp_path / "a")
    state = json.loads((newest / "trainer_state.json").read_text(encoding="utf-8"))
    (newest / "trainer_state.json").write_text(json.dumps(state | {"best_model_checkpoint": str(older)}))
    assert newest_checkpoint(newest.parent) == newest
    cut(older / "adapter_model.safetensors")
    with pytest.raises(UserError, match=r"checkpoint-4 is damaged \(adapter_model\.safetensors: "):
        newest_checkpoint(newest.parent)


def test_a_run_that_was_interrupted_began_when_it_was_first_begun(base: Path, tmp_path: Path) -> None:
    recipe = replace(SMALL, epochs=1)
    interrupted(base, tmp_path / "a", recipe, 3)
    noted = staging_of(tmp_path / "a") / "run.json"
    told = json.loads(noted.read_text(encoding="utf-8"))
    assert abs(datetime.now(UTC) - datetime.fromisoformat(told["begun_at"])) < timedelta(minutes=5)
    begun = datetime.fromisoformat("2026-11-20T08:00:00.000+00:00")
    noted.write_text(json.dumps(told | {"begun_at": begun.isoformat()}), encoding="utf-8")
    made = run(base, tmp_path / "a", recipe)
    assert (made["begun_at"], made["resumed_from_step"]) == ("2026-11-20T08:00:00.000+00:00", 2)
    ended = datetime.fromisoformat(made["trained_at"])
    assert made["duration_s"] == pytest.approx((ended - begun).total_seconds(), abs=1.5)


def test_a_run_that_did_not_note_when_it_began_began_when_it_was_noted(base: Path, tmp_path: Path) -> None:
    recipe = replace(SMALL, epochs=1)
    interrupted(base, tmp_path / "a", recipe, 3)
    noted = staging_of(tmp_path / "a") / "run.json"
    told = json.loads(noted.read_text(encoding="utf-8"))
    del told["begun_at"]
    noted.write_text(json.dumps(told), encoding="utf-8")
    begun = datetime(2026, 11, 20, 8, tzinfo=UTC)
    os.utime(noted, (begun.timestamp(), begun.timestamp()))
    assert run(base, tmp_path / "a", recipe)["begun_at"] == "2026-11-20T08:00:00.000+00:00"


def test_what_was_trained_speaks_and_says_where_it_comes_from(base: Path, trained: Path) -> None:
    told = read_manifest(trained)
    assert told["base"]["fingerprint"] == load_local(base, adapters={"a": trained}, device="cpu").fingerprint
    assert told["counts"]["trained"] + told["counts"]["held_out"] == told["counts"]["given"] == 24
    assert told["counts"]["held_out"] > 0
    assert set(told["versions"]) >= {"torch", "transformers", "trl", "peft", "bitsandbytes"}
    assert told["loss"]["last"] < told["loss"]["first"] * 0.5
    assert told["peak_memory_bytes"]["resident"] > 0
    assert {entry["what"] for entry in told["licences"]} == {"base", "data", "library"}
    points = curves.read_lines(trained / curves.LINES)
    assert [p["step"] for p in points if "eval_loss" in p] == list(range(2, told["steps"] + 1, 2))
    assert min(p["eval_loss"] for p in points if "eval_loss" in p) == told["loss"]["held_out"]
    assert (trained / curves.PICTURE).read_bytes().startswith(b"\x89PNG")
    knows = learned.read(trained)
    assert (len(knows.prompts), len(knows.requests), knows.whole) == (24, 24, True)
    assert str(base.parent) not in "".join(f.read_text() for f in trained.glob("*.json*"))


def test_a_run_that_gets_no_better_stops_early_and_keeps_the_best(base: Path, tmp_path: Path) -> None:
    told = run(base, tmp_path / "a", replace(SMALL, rate=0.5, epochs=20, patience=2, warmup=0))
    assert told["steps"] < 100
    points = curves.read_lines(tmp_path / "a" / curves.LINES)
    best = min((p for p in points if "eval_loss" in p), key=lambda p: p["eval_loss"])
    assert told["kept_step"] == best["step"] < told["steps"]


@pytest.mark.parametrize(
    "recipe",
    [replace(SMALL, rate=0.5, epochs=20, patience=2, warmup=0), replace(SMALL, epochs=0.7, heldout=0.0)],
    ids=["patience", "steps"],
)
def test_a_run_that_was_killed_after_its_last_step_ends_without_another(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recipe: Recipe
) -> None:
    told = run(base, tmp_path / "whole", recipe)
    with monkeypatch.context() as killed:
        killed.setattr(runs_module, "_put_together", lambda *given: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run(base, tmp_path / "parts", recipe)
    again = run(base, tmp_path / "parts", recipe)
    assert again["resumed_from_step"] == again["steps"] == told["steps"]
    assert again["kept_step"] == told["kept_step"]
    assert lasting(tmp_path / "parts") == lasting(tmp_path / "whole")


@pytest.mark.parametrize("method", ["dpo", "kto"])
def test_preferences_train_from_the_base_and_from_an_adapter(
    base: Path, trained: Path, tmp_path: Path, method: Any
) -> None:
    recipe = replace(SMALL, method=method)
    run(base, tmp_path / "from-base", recipe)
    told = run(base, tmp_path / "from-adapter", recipe, start=trained)
    assert told["start"] is not None
    first = curves.read_lines(tmp_path / "from-adapter" / curves.LINES)[0]
    assert first["rewards/margins"] == 0, "at first the model is its own reference"
    assert left(tmp_path / "from-adapter") == sorted([*LASTING, "manifest.json"])
    adapters = {"sft": trained, "base": tmp_path / "from-base", "adapter": tmp_path / "from-adapter"}
    local = load_local(base, adapters=adapters, device="cpu")
    ids = local.tokenizer("Book a room", return_tensors="pt").input_ids
    logits = {}
    for name in adapters:
        local.model.set_adapter(name)
        with torch.no_grad():
            logits[name] = local.model(input_ids=ids).logits
    assert not torch.equal(logits["sft"], logits["adapter"])
    assert not torch.equal(logits["base"], logits["adapter"])


def test_preferences_resume_beside_their_frozen_reference(base: Path, trained: Path, tmp_path: Path) -> None:
    recipe = replace(SMALL, method="dpo")
    run(base, tmp_path / "whole", recipe, start=trained)

    def stop(news: dict[str, float]) -> None:
        if news["step"] >= 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(base, tmp_path / "parts", recipe, start=trained, told=stop)
    assert run(base, tmp_path / "parts", recipe, start=trained)["resumed_from_step"] == 6
    assert lasting(tmp_path / "parts") == lasting(tmp_path / "whole")


def test_few_rows_are_trained_without_a_kl_term_and_many_with_it(base: Path, tmp_path: Path) -> None:
    recipe = replace(SMALL, method="kto", epochs=0.2)
    assert run(base, tmp_path / "few", recipe)["kto_loss"] == "apo_zero_unpaired"
    many = run(base, tmp_path / "many", replace(recipe, heldout=0.0, seed=2), rows=65)
    assert many["kto_loss"] == "kto"
    assert many["counts"]["dropped_odd"] == 1, "the last would be its own neighbour"
    assert run(base, tmp_path / "one", replace(recipe, batch=1), rows=65)["kto_loss"] == "apo_zero_unpaired"


def test_a_run_of_few_steps_has_a_loss(base: Path, tmp_path: Path) -> None:
    told = run(base, tmp_path / "a", replace(SMALL, epochs=0.5, heldout=0.0, every=100))
    assert told["steps"] == 3
    assert told["loss"]["last"] > 0


# -------------------------------------------------------------------------------------------------------- refused


def refused(base: Path, out: Path, said: str, kind: type[Exception] = UserError, **changes: Any) -> None:
    """One line, and nothing left."""
    out.parent.mkdir(exist_ok=True)
    before = left(out.parent)
    start = changes.pop("start", None)
    rows = changes.pop("rows", 24)
    with pytest.raises(kind, match=said) as caught:
        run(base, out, replace(SMALL, **changes), start=start, rows=rows)
    assert "\n" not in str(caught.value)
    assert left(out.parent) == before


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"method": "kto", "batch": 1, "kto_loss": "kto"}, "batch must be 2 or more"),
        ({"rank": 0}, "rank is 0; it lies between 1 and 1024"),
        ({"heldout": 0.9}, "heldout is 0.9"),
        ({"device": "cuda"}, "no usable CUDA"),
        ({"optimizer": "paged8"}, "lives in CUDA memory"),
        ({"seq": 8}, "no row fits into 8 tokens"),
        ({"seq": 4_096}, "reads 2048 tokens at most"),
        ({"quantization": "int3"}, "unknown quantization"),
        ({"backend": "unsloth"}, "Unsloth is not installed"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(base: Path, tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    assert not torch.cuda.is_available(), "these tests say what happens without CUDA"
    refused(base, tmp_path / "here" / "adapter", said, **changes)


def test_four_and_eight_bits_at_once_are_refused() -> None:
    with pytest.raises(UserError, match="both 4-bit and 8-bit"):
        one_quantization(None, four=True, eight=True)
    with pytest.raises(UserError, match=r"two quantizations were asked for \(nf4, bf16\)"):
        one_quantization("bf16", four=True)
    assert one_quantization(None) == one_quantization("nf4", four=True) == "nf4"
    assert one_quantization("bf16") == "bf16"


def test_too_little_memory_or_disk_is_said_before_anything_is_loaded(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[object] = []
    monkeypatch.setattr(runs_module, "_loaded", lambda *given: loads.append(given))
    monkeypatch.setattr(fits, "free_bytes", lambda device: 2**20)
    refused(base, tmp_path / "here" / "adapter", r"needs about 0\.\d GiB of memory, and 0\.0 GiB are free")
    monkeypatch.setattr(fits, "free_bytes", lambda device: 2**40)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=2**20))
    refused(base, tmp_path / "here" / "adapter", "checkpoints and adapter need")
    assert loads == []


def test_a_base_or_start_that_does_not_belong_is_refused(base: Path, trained: Path, tmp_path: Path) -> None:
    foreign = save_base(tmp_path / "foreign", seed=5)
    refused(foreign, tmp_path / "x" / "a", "was trained on the base with fingerprint", AdapterNotUsable, start=trained)
    weights = foreign / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    refused(foreign, tmp_path / "x" / "a", "is damaged", ModelNotUsable)
    refused(tmp_path / "none", tmp_path / "x" / "a", "no model folder", ModelNotUsable)


def test_an_adapter_is_never_overwritten(base: Path, trained: Path) -> None:
    before = lasting(trained)
    with pytest.raises(UserError, match="exists already"):
        run(base, trained)
    assert lasting(trained) == before


def test_a_failure_leaves_no_adapter_and_another_run_does_not_go_on_with_it(base: Path, tmp_path: Path) -> None:
    def stop(news: dict[str, float]) -> None:
        if news["step"] >= 5:
            raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        run(base, tmp_path / "a", told=stop)
    assert left(tmp_path) == [".a.training"]
    with pytest.raises(UserError, match=r"unfinished run of something else \(rate 0.01 instead of 0.001\)"):
        run(base, tmp_path / "a", replace(SMALL, rate=1e-3))
    assert run(base, tmp_path / "a")["resumed_from_step"] == 4


def test_a_run_whose_note_was_torn_begins_anew(base: Path, tmp_path: Path) -> None:
    folder = staging_of(tmp_path / "a")
    folder.mkdir()
    (folder / "run.json").write_text('{"base": "8e')
    assert run(base, tmp_path / "a", replace(SMALL, epochs=0.2))["resumed_from_step"] == 0
    assert left(tmp_path) == ["a"]


def test_two_processes_do_not_train_to_one_place(base: Path, tmp_path: Path) -> None:
    def again(news: dict[str, float]) -> None:
        if news["step"] == 0:
            with pytest.raises(Conflict, match="another process trains"):
                run(base, tmp_path / "a")

    run(base, tmp_path / "a", replace(SMALL, epochs=0.2), told=again)
    assert left(tmp_path) == ["a"]


# -------------------------------------------------------------------------------------------------------- unsloth


def stand_in(base: Path, told: dict[str, Any]) -> ModuleType:
    """A module that takes what Unsloth is given and hands out the tiny base with LoRA on it."""
    from adapters.training.trainers import lora

    class FastLanguageModel:
        @staticmethod
        def from_pretrained(**given: Any) -> tuple[Any, Any]:
            told["load"] = given
            local = load_local(base, quantization="nf4", device="cpu")
            return local.model, local.tokenizer

        @staticmethod
        def get_peft_model(model: Any, **given: Any) -> Any:
            from peft import get_peft_model

            told["wrap"] = given
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # peft 0.21 with transformers 5
                return get_peft_model(model, lora(Recipe(rank=given["r"], alpha=given["lora_alpha"])))

    module = ModuleType("unsloth")
    module.FastLanguageModel = FastLanguageModel  # type: ignore[attr-defined]
    return module


def test_unsloth_is_told_what_the_recipe_says(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[str, Any] = {}
    monkeypatch.setitem(sys.modules, "unsloth", stand_in(base, told))
    made = run(base, tmp_path / "a", replace(SMALL, backend="unsloth", epochs=0.3))
    assert made["versions"]["unsloth"] == "not installed"
    assert told["load"] == {
        "model_name": str(base), "max_seq_length": 128, "dtype": torch.bfloat16, "load_in_4bit": True,
        "load_in_8bit": False, "local_files_only": True,
    }  # fmt: skip
    assert (told["wrap"]["r"], told["wrap"]["lora_alpha"], told["wrap"]["random_state"]) == (4, 8, 0)
    assert told["wrap"]["use_gradient_checkpointing"] == "unsloth"
    assert set(told["wrap"]["target_modules"]) == {
        "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj",
    }  # fmt: skip


def test_rank_alpha_and_dropout_are_those_of_the_adapter_that_a_run_goes_on_from(base: Path, tmp_path: Path) -> None:
    run(base, tmp_path / "start", replace(SMALL, rank=2, alpha=6, dropout=0.1, epochs=0.3))
    told = run(base, tmp_path / "a", replace(SMALL, rank=8, alpha=8, epochs=0.3), start=tmp_path / "start")
    made = json.loads((tmp_path / "a" / "adapter_config.json").read_text(encoding="utf-8"))
    assert (made["r"], made["lora_alpha"], made["lora_dropout"]) == (2, 6, 0.1)
    for settings in (told["settings"], read_note(tmp_path / "a")["settings"]):
        assert (settings["rank"], settings["alpha"], settings["dropout"]) == (2, 6, 0.1)


def test_a_foreign_adapter_may_be_a_start_where_its_shapes_fit(base: Path, tmp_path: Path) -> None:
    start = save_adapter(base, tmp_path / "start", seed=3, marked=False)
    told = run(base, tmp_path / "a", replace(SMALL, epochs=0.3), start=start)
    assert told["start"] is not None
    assert json.loads((tmp_path / "a" / "adapter_config.json").read_text())["r"] == 4
    assert len(raw("sft")) == told["counts"]["given"]


@pytest.mark.parametrize("quantization", ["nf4", "int8", "bf16"])
def test_a_neox_base_is_trained_however_it_is_loaded(tmp_path: Path, quantization: str) -> None:
    base = save_polyglot(tmp_path / "base")
    told = run(base, tmp_path / "a", replace(SMALL, epochs=0.7, quantization=quantization))
    assert told["loss"]["last"] < told["loss"]["first"]
    trained = json.loads((tmp_path / "a" / "adapter_config.json").read_text())["target_modules"]
    assert {name.rpartition(".")[2] for name in trained} == {
        "dense", "dense_4h_to_h", "dense_h_to_4h", "query_key_value",
    }  # fmt: skip
    assert load_local(base, adapters={"a": tmp_path / "a"}, device="cpu").adapters


def test_a_checkpoint_with_llama_3_s_template_is_trained_to_call(tmp_path: Path) -> None:
    opened = open_base(save_llama3(tmp_path / "base"), "nf4")
    call = {"role": "assistant", "tool_calls": [{"name": "book_room", "args": {"guests": 2}}]}
    tool = {"name": "book_room", "description": "Book.", "parameters": {"type": "object", "properties": {}}}
    row = opened.dialect("2026-11-25").row(
        {"prompt": [{"role": "user", "content": "For two"}], "completion": call, "tools": [tool]}, "sft"
    )
    assert row.prompt.count("<|begin_of_text|>") == 1
    assert row.prompt.endswith("<|start_header_id|>assistant<|end_header_id|>\n\n")
    assert '"name": "book_room"' in row.prompt
    assert row.answers == ([('{"name": "book_room", "parameters": {"guests": 2}}', True), ("<|eot_id|>", True)],)
