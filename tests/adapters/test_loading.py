from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import HumanMessage

from adapters.errors import AdapterNotUsable, ModelNotUsable
from adapters.local.loading import fingerprint, load_local
from state import UserError
from tests.adapters.tiny import save_adapter, save_base

if TYPE_CHECKING:
    from adapters.local.engine import Engine


def copy_of(folder: Path, to: Path) -> Path:
    return Path(shutil.copytree(folder, to))


def test_importing_the_package_imports_no_torch() -> None:
    code = "import sys, adapters, adapters.generator, adapters.speakers.endpoint; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parents[2]).returncode == 0


def test_nf4_on_cpu_is_what_was_asked_for_and_speaks(base: Path, adapter_folders: dict[str, Path]) -> None:
    from bitsandbytes.nn.modules import Linear4bit

    from adapters.local.engine import Engine

    local = load_local(base, adapters={"red": adapter_folders["red"]}, quantization="nf4", device="cpu")
    layers = [m for m in local.model.modules() if isinstance(m, Linear4bit)]
    assert layers
    for layer in layers:
        state: Any = getattr(layer.weight, "quant_state", None)
        assert state.quant_type == "nf4"
        assert state.nested, "double quantization"
        assert str(layer.compute_dtype) == "torch.bfloat16"
    engine = Engine(local)
    prompt = engine.encode("남산스테이 예약")
    with_adapter = [t for s in engine.generate(engine.read(prompt, adapter="red"), max_tokens=8) for t in s]
    alone = [t for s in engine.generate(engine.read(prompt, adapter=None), max_tokens=8) for t in s]
    assert with_adapter
    assert with_adapter != alone


def test_adapters_stay_unmerged(engine: object, base: Path) -> None:
    from safetensors.torch import load_file

    weights = load_file(base / "model.safetensors")
    model = engine.local.model.get_base_model()  # type: ignore[attr-defined]
    ours = model.model.layers[0].self_attn.q_proj.base_layer.weight
    assert (ours == weights["model.layers.0.self_attn.q_proj.weight"]).all()


@pytest.mark.parametrize(
    ("given", "says"),
    [("no/such/folder/here", "no model folder"), ("meta-llama/Llama-3.2-1B", "the hub cache has no 'main' of it")],
)
def test_missing_folder_and_hub_id_are_refused_at_once(given: str, says: str) -> None:
    with pytest.raises(ModelNotUsable, match=says) as caught:
        load_local(given)
    assert "\n" not in str(caught.value)


def test_unknown_quantization_and_device(base: Path) -> None:
    with pytest.raises(ModelNotUsable, match="unknown quantization 'int3'; use one of nf4, int8, bf16, fp32"):
        load_local(base, quantization="int3")
    with pytest.raises(ModelNotUsable, match="unknown device 'gpu'"):
        load_local(base, device="gpu")
    with pytest.raises(ModelNotUsable, match="no usable CUDA"):
        load_local(base, device="cuda:0")


def test_pickled_weights_are_not_loaded(base: Path, tmp_path: Path) -> None:
    folder = copy_of(base, tmp_path / "pickled")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelNotUsable, match="pickled weights"):
        load_local(folder)


def test_a_cut_file_is_named(base: Path, tmp_path: Path) -> None:
    folder = copy_of(base, tmp_path / "cut")
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ModelNotUsable, match=r"model\.safetensors is damaged"):
        load_local(folder)


def test_other_architecture_damaged_config_and_missing_tokenizer(base: Path, tmp_path: Path) -> None:
    folder = copy_of(base, tmp_path / "odd")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "gpt2"}))
    with pytest.raises(ModelNotUsable, match="only LLaMA"):
        load_local(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(ModelNotUsable, match=r"config\.json cannot be read"):
        load_local(folder)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text('{"version": 1}')
    with pytest.raises(ModelNotUsable, match="tokenizer in"):
        load_local(folder, quantization="fp32")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelNotUsable, match="no tokenizer"):
        load_local(folder)


def test_nf4_needs_multiples_of_64(tmp_path: Path) -> None:
    folder = save_base(tmp_path / "narrow", hidden=32)
    with pytest.raises(ModelNotUsable, match="NF4 needs multiples of 64"):
        load_local(folder)


def test_adapter_of_another_base_is_refused(base: Path, tmp_path: Path) -> None:
    other = save_base(tmp_path / "other", seed=9)
    assert fingerprint(other) != fingerprint(base)
    foreign = save_adapter(other, tmp_path / "foreign", seed=1)
    with pytest.raises(AdapterNotUsable, match=f"fingerprint {fingerprint(other)}, but tiny-base has") as caught:
        load_local(base, adapters={"foreign": foreign}, quantization="fp32")
    assert isinstance(caught.value, UserError)


def test_unmarked_adapter_of_another_size_is_refused_in_one_line(base: Path, tmp_path: Path) -> None:
    wide = save_base(tmp_path / "wide", hidden=128)
    foreign = save_adapter(wide, tmp_path / "foreign", seed=1, marked=False)
    with pytest.raises(AdapterNotUsable, match="does not fit the base") as caught:
        load_local(base, adapters={"foreign": foreign}, quantization="fp32")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_missing_and_damaged_adapter(base: Path, adapter_folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(AdapterNotUsable, match="no adapter folder"):
        load_local(base, adapters={"x": tmp_path / "nowhere"}, quantization="fp32")
    folder = copy_of(adapter_folders["red"], tmp_path / "red")
    file = folder / "adapter_model.safetensors"
    file.write_bytes(b"junk")
    with pytest.raises(AdapterNotUsable, match="is damaged"):
        load_local(base, adapters={"x": folder}, quantization="fp32")
    file.unlink()
    with pytest.raises(AdapterNotUsable, match="pickled"):
        load_local(base, adapters={"x": folder}, quantization="fp32")


def test_an_adapter_can_join_later(base: Path, adapter_folders: dict[str, Path], tmp_path: Path) -> None:
    from adapters.local.engine import Engine

    engine = Engine(load_local(base, quantization="fp32", device="cpu"))
    prompt = engine.encode("Book a room")
    before = engine.read(prompt, adapter=None).logits
    engine.add_adapter("red", str(adapter_folders["red"]))
    assert (engine.read(prompt, adapter=None).logits == before).all()
    assert (engine.read(prompt, adapter="red").logits != before).any()
    with pytest.raises(AdapterNotUsable, match="taken"):
        engine.add_adapter("red", str(adapter_folders["blue"]))
    _generators_share_the_base(engine, adapter_folders, tmp_path)


def test_the_adapter_that_speaks_takes_no_name_of_another(
    base: Path, adapter_folders: dict[str, Path], tmp_path: Path
) -> None:
    from adapters.local.chat import ChatLlama
    from adapters.serving import load_chat

    spoken = copy_of(adapter_folders["blue"], tmp_path / "red")
    chat = load_chat(str(base), adapter=spoken, adapters=adapter_folders, quantization="fp32", device="cpu")
    assert isinstance(chat, ChatLlama)
    assert chat.adapter == f"red-{fingerprint(spoken)[:8]}"
    assert chat.engine.local.adapters == {**adapter_folders, chat.adapter: spoken}
    red = adapter_folders["red"]
    again = load_chat(str(base), adapter=red, adapters={"red": red}, quantization="fp32", device="cpu")
    assert isinstance(again, ChatLlama)
    assert again.adapter == "red", "the same folder keeps its name"


def _generators_share_the_base(engine: Engine, folders: dict[str, Path], tmp_path: Path) -> None:
    """Beside a generator that speaks already: one base in memory, a name and decoding settings of its own."""
    from adapters.generator import ChatGenerator
    from adapters.local.chat import ChatLlama
    from adapters.serving import beside

    red = ChatGenerator(ChatLlama(engine=engine, adapter="red", max_tokens=8), today="2026-11-22")
    blue = beside(red, "3f9c0d1e2a3b4c5d", folders["blue"])
    reading = copy_of(folders["blue"], tmp_path / "red")
    (reading / "decoding.json").write_text('{"strategy": "reading", "abstain_margin": 0.5}')
    other = beside(red, "red", reading)
    assert [g.chat.engine for g in (blue, other)] == [engine, engine]  # type: ignore[attr-defined]
    assert beside(red, "another name", folders["blue"]).chat.adapter == "3f9c0d1e2a3b4c5d"  # type: ignore[attr-defined]
    assert [type(g.speaker).__name__ for g in (blue, other)] == ["NumberedSpeaker", "ReadingSpeaker"]
    said = [g.reply([HumanMessage("hi")], passages=[], tools=[], language="en") for g in (red, blue, other)]
    of = engine.local.name
    assert [s["speaker"] for s in said] == [
        f"{of}@red", f"{of}@3f9c0d1e2a3b4c5d", f"{of}@red-{fingerprint(reading)[:8]}",
    ]  # fmt: skip
    (reading / "dojang.json").write_text('{"base_fingerprint": "f"}')
    with pytest.raises(AdapterNotUsable, match="was trained on the base"):
        beside(red, "x", copy_of(reading, tmp_path / "foreign"))
