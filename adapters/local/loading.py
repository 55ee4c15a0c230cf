"""Loads a LLaMA or GPT-NeoX checkpoint, quantized by bitsandbytes, with LoRA adapters from peft beside it.

Where it comes from, ``local.hub`` says: a folder, or the local hub cache; no network unless asked for. The adapters
stay unmerged, because merging into a 4-bit base gives another model than the one that was evaluated. torch,
transformers and peft are imported when a model is loaded and not before.

    from adapters.local.loading import load_local
    loaded = load_local("var/models/base", adapters={"frontdesk": "var/models/frontdesk"}, quantization="nf4")
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Final, Literal, cast, get_args

from adapters.alike import LIKENESS_FILE
from adapters.errors import AdapterNotUsable, ModelNotUsable
from adapters.local.families import END_TOKENS, FAMILIES, Family, give_template
from adapters.local.hub import locate
from adapters.local.memory import check_memory

Quantization = Literal["nf4", "int8", "bf16", "fp32"]
INT8_THRESHOLD: Final = 6.0
NOTE_FILE = "dojang.json"
_WHOLE_BYTES = 64 * 2**20  # files up to this size are hashed whole; larger ones by their header and samples
_SAMPLES = 64
_SAMPLE_BYTES = 64 * 2**10


@dataclass
class LocalModel:
    """A model in memory. ``model`` and ``tokenizer`` are transformers objects, untyped upstream.

    ``adapters`` maps each adapter's name to its directory; the names are what ``Engine`` switches between.
    """

    name: str
    directory: Path
    fingerprint: str
    quantization: Quantization
    device: str
    model: Any
    tokenizer: Any
    context: int  # tokens that prompt and reply share
    stop_ids: tuple[int, ...]
    note: dict[str, Any] = field(default_factory=dict)  # the base's dojang.json, {} without one
    adapters: dict[str, Path] = field(default_factory=dict)
    adapter_fingerprints: dict[str, str] = field(default_factory=dict)  # of their weights as they were loaded
    hub_id: str = ""
    revision: str = ""  # the commit of a hub id
    turn_marks: tuple[str, ...] = ()  # text that begins somebody else's turn: a stop string

    def add_adapter(self, name: str, directory: str | Path) -> None:
        """Put one more adapter beside the base; raises AdapterNotUsable. Not for use while the model generates."""
        path = check_adapter(Path(directory), base=self.name, fingerprint=self.fingerprint)
        if self.adapters.get(name) == path:
            return
        if not name or "." in name or name in self.adapters:
            raise AdapterNotUsable(f"adapter name {name!r} is taken, empty or holds a dot; choose another one")
        self.model = _attach(self.model, name, path, base=self.name)
        self.adapters[name] = path
        self.adapter_fingerprints[name] = fingerprint(path)


def load_local(
    directory: str | Path,
    *,
    adapters: Mapping[str, str | Path] | None = None,
    quantization: str = "nf4",
    device: str = "auto",
    int8_threshold: float = INT8_THRESHOLD,
    allow_pickle: bool = False,
    download: bool = False,
) -> LocalModel:
    """A checkpoint with its adapters, ready to generate.

    Args:
        directory: Folder with ``config.json``, ``*.safetensors``, ``tokenizer.json``, or a hub id (``local.hub``).
        adapters: Name to PEFT folder (``adapter_config.json``, ``adapter_model.safetensors``).
        quantization: "nf4" (4.127 bits a weight: NF4, double quantization, bf16 compute), "int8" (LLM.int8, Dettmers
            et al. 2022), "bf16" or "fp32".
        device: "auto" (CUDA where there is one), "cpu", "cuda", "cuda:1", …
        int8_threshold: Activations above it are multiplied in 16 bits (int8 only); 0 treats none so.
        allow_pickle: Whether ``*.bin`` weights are loaded where there are no safetensors (tensors only, no code).
        download: Whether a hub id may be downloaded.

    Raises:
        ModelNotUsable: Missing folder or cache entry, no safetensors, damaged file, other architecture, unknown or
            contradictory quantization, no such device, too little memory.
        AdapterNotUsable: An adapter that is missing, damaged, or of another base.
    """
    kind = check_quantization(quantization)
    path, hub_id, revision = locate(directory, download=download)
    config = check_model(path, kind, allow_pickle=allow_pickle)
    family = FAMILIES[config["model_type"]]
    where = device_named(device)
    check_memory(path, kind, where)
    note = read_note(path)
    name = str(note.get("name") or hub_id.rpartition("/")[2] or path.resolve().name)
    tokenizer = _tokenizer(path)
    marks = give_template(tokenizer, family)
    loaded = LocalModel(
        name=name,
        directory=path,
        fingerprint=fingerprint(path),
        quantization=kind,
        device=where,
        model=_base(path, family, kind, where, int8_threshold, stored=bool(config.get("quantization_config"))),
        tokenizer=tokenizer,
        context=int(config.get(family.context_key, 2048)),
        stop_ids=_stop_ids(path, config),
        note=note,
        hub_id=hub_id,
        revision=revision,
        turn_marks=marks,
    )
    for adapter, folder in (adapters or {}).items():
        loaded.add_adapter(adapter, folder)
    return loaded


def check_quantization(name: str) -> Quantization:
    """The name as a type, or ModelNotUsable that lists what there is."""
    if len(set(re.split(r"[,+ ]+", name)) & {"nf4", "int8"}) == 2:
        raise ModelNotUsable(f"quantization {name!r}: 4-bit and 8-bit exclude each other; choose nf4 or int8")
    if name not in get_args(Quantization):
        raise ModelNotUsable(f"unknown quantization {name!r}; use one of {', '.join(get_args(Quantization))}")
    return cast(Quantization, name)


def check_model(path: Path, quantization: Quantization, *, allow_pickle: bool = False) -> dict[str, Any]:
    """The model's config, after every check that needs no weights in memory."""
    config = _read_json(path / "config.json", ModelNotUsable)
    if config.get("model_type") not in FAMILIES:
        served = " and ".join(f"{f.label} (model_type {f.model_type!r})" for f in FAMILIES.values())
        raise ModelNotUsable(f"{path} holds a {config.get('model_type')!r} model; only {served} checkpoints are loaded")
    if not (allow_pickle and not any(path.glob("*.safetensors")) and any(path.glob("*.bin"))):
        _check_tensors(path, ModelNotUsable)
    if not (path / "tokenizer.json").is_file():
        raise ModelNotUsable(f"{path} has no tokenizer.json; save the tokenizer beside the weights")
    stored = config.get("quantization_config") or {}
    held = "int8" if stored.get("load_in_8bit") else "nf4" if stored.get("load_in_4bit") else stored.get("quant_method")
    if held and held != quantization:
        raise ModelNotUsable(
            f"{path} is stored as {held}, and {quantization} was asked for; a quantized checkpoint is not quantized "
            f"again: set the quantization to {held}, or take the checkpoint that was not quantized"
        )
    widths = [int(config.get(key, 0)) for key in ("hidden_size", "intermediate_size")]
    if quantization == "nf4" and any(width % 64 for width in widths):
        raise ModelNotUsable(f"{path} has widths {widths}, NF4 needs multiples of 64; load it with quantization 'bf16'")
    return config


def check_adapter(path: Path, *, base: str, fingerprint: str) -> Path:
    """The folder, if it holds an adapter of the base with this fingerprint; else AdapterNotUsable.

    An adapter without ``dojang.json`` was trained elsewhere: only its shapes can be checked, when it is attached.
    """
    if not path.is_dir():
        raise AdapterNotUsable(f"no adapter folder {path}; `dojang adapters list` shows those that exist")
    config = _read_json(path / "adapter_config.json", AdapterNotUsable)
    if config.get("peft_type") != "LORA":
        raise AdapterNotUsable(f"adapter {path} is of type {config.get('peft_type')!r}; only LORA is served")
    _check_tensors(path, AdapterNotUsable, pattern="adapter_model.safetensors")
    theirs = read_note(path).get("base_fingerprint")
    if theirs is not None and theirs != fingerprint:
        raise AdapterNotUsable(
            f"adapter {path} was trained on the base with fingerprint {theirs}, but {base} has {fingerprint}; "
            "load its own base or train it again"
        )
    return path


def read_note(path: Path) -> dict[str, Any]:
    """What ``dojang.json`` in a model or adapter folder says; {} where there is none."""
    note = path / NOTE_FILE
    return _read_json(note, ModelNotUsable) if note.exists() else {}


def fingerprint(path: str | Path) -> str:
    """16 hex digits that name the weights of a model folder: SHA-256 of its safetensors files in order of name.

    The network of words is left out: no adapter hangs on it, and it may be made anew.
    Files above 64 MiB count with their size, header and 64 evenly spaced samples of 64 KiB: enough to tell two
    bases apart, and an 8B model is named in milliseconds.
    """
    digest = hashlib.sha256()
    for file in sorted(Path(path).glob("*.safetensors")):
        if file.name == LIKENESS_FILE:
            continue
        size = file.stat().st_size
        digest.update(size.to_bytes(8, "little"))
        with file.open("rb") as handle:
            if size <= _WHOLE_BYTES:
                digest.update(handle.read())
                continue
            for n in range(_SAMPLES):
                handle.seek(n * (size - _SAMPLE_BYTES) // (_SAMPLES - 1))
                digest.update(handle.read(_SAMPLE_BYTES))
    return digest.hexdigest()[:16]


def _read_json(path: Path, error: type[Exception]) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise error(f"{path.parent} has no {path.name}; it is not a complete model or adapter folder") from None
    except (OSError, ValueError, RecursionError) as e:
        raise error(f"{path} cannot be read ({e}); restore the file from its source") from None
    if not isinstance(value, dict):
        raise error(f"{path} does not hold a JSON object; restore the file from its source")
    return value


def _check_tensors(path: Path, error: type[Exception], pattern: str = "*.safetensors") -> None:
    """Open every safetensors header: it names each tensor's byte range, so that a cut file is noticed here."""
    from safetensors import SafetensorError, safe_open

    files = sorted(path.glob(pattern))
    if not files:
        raise error(
            f"{path} has no {pattern}; pickled weights (.bin, .pt) are not loaded, convert them to safetensors "
            "(or, for a base that you trust, set DOJANG_ALLOW_PICKLE=true)"
        )
    for file in files:
        try:
            with safe_open(str(file), framework="numpy"):
                pass
        except (SafetensorError, OSError) as e:
            raise error(f"{file} is damaged ({e}); restore it from its source") from None


def device_named(name: str) -> str:
    """The torch device that ``name`` ("auto", "cpu", "cuda", "cuda:N") means here.

    Raises:
        ModelNotUsable: It is not here, or not supported.
    """
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        kind = torch.device(name).type
    except RuntimeError:
        raise ModelNotUsable(f"unknown device {name!r}; use auto, cpu, cuda or cuda:N") from None
    if kind == "cuda" and not torch.cuda.is_available():
        raise ModelNotUsable(f"device {name!r} was asked for, but this machine has no usable CUDA; use auto or cpu")
    if kind not in ("cpu", "cuda"):
        raise ModelNotUsable(f"device {name!r} is not supported; use auto, cpu, cuda or cuda:N")
    return name


def _base(
    path: Path, family: Family, quantization: Quantization, device: str, threshold: float, *, stored: bool
) -> Any:
    import torch
    import transformers

    options: dict[str, Any] = {}
    if quantization in ("nf4", "int8") and not stored:
        options["quantization_config"] = _quantized(quantization, threshold)
    try:
        with _quiet():
            model, info = getattr(transformers, family.class_name).from_pretrained(
                str(path),
                output_loading_info=True,
                dtype=torch.float32 if quantization == "fp32" else torch.bfloat16,
                device_map={"": device},
                local_files_only=True,
                use_safetensors=any(path.glob("*.safetensors")),
                **options,
            )
    except (OSError, ValueError, RuntimeError, KeyError, UnpicklingError) as e:
        raise ModelNotUsable(f"{path} could not be loaded as {quantization} on {device}: {_first_line(e)}") from e
    if missing := sorted(info["missing_keys"]):
        # The library would go on with random numbers in their place.
        raise ModelNotUsable(
            f"{path} lacks {len(missing)} of its weights ({missing[0]}, …); restore the checkpoint from its source"
        )
    model.eval()
    return model


def _quantized(quantization: Quantization, threshold: float) -> Any:
    import torch
    from transformers import BitsAndBytesConfig

    if quantization == "int8":
        if not math.isfinite(threshold) or threshold < 0:
            raise ModelNotUsable(f"int8 threshold {threshold!r}: give a number of 0 or more, 6.0 is usual")
        # The library refuses an int, and an int is what people write.
        return BitsAndBytesConfig(load_in_8bit=True, llm_int8_threshold=float(threshold))
    # Said in full: the library's defaults are FP4, no double quantization and float32 compute.
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Loading without the libraries' progress bars and hints: our callers draw their own."""
    from transformers.utils import logging as hf_logging

    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
    logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)  # a line a layer about int8 casts
    shown = hf_logging.is_progress_bar_enabled()
    hf_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            hf_logging.enable_progress_bar()


def _tokenizer(path: Path) -> Any:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(str(path), local_files_only=True, use_fast=True)
    except (OSError, ValueError, TypeError, KeyError) as e:
        raise ModelNotUsable(f"the tokenizer in {path} cannot be read: {_first_line(e)}") from e
    except Exception as e:  # the tokenizers library raises bare Exception for a damaged file
        if type(e) is not Exception:
            raise
        raise ModelNotUsable(f"the tokenizer in {path} cannot be read: {_first_line(e)}") from e


def _stop_ids(path: Path, config: dict[str, Any]) -> tuple[int, ...]:
    """End of turn, end of message, end of text: whatever config, generation config and tokenizer call an end."""
    from tokenizers import Tokenizer

    ids: list[int] = []
    generation = path / "generation_config.json"
    for source in (config, _read_json(generation, ModelNotUsable) if generation.exists() else {}):
        end = source.get("eos_token_id")
        ids += end if isinstance(end, list) else [end] if isinstance(end, int) else []
    tokenizer = Tokenizer.from_file(str(path / "tokenizer.json"))
    named = (tokenizer.token_to_id(token) for token in END_TOKENS)
    return tuple(dict.fromkeys([*ids, *(i for i in named if i is not None)]))


def _attach(model: Any, name: str, path: Path, *, base: str) -> Any:
    from peft import PeftModel

    try:
        with warnings.catch_warnings():
            # peft 0.21 asks transformers 5 for a deprecated property; drop this when peft no longer does.
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
            if isinstance(model, PeftModel):
                model.load_adapter(str(path), adapter_name=name, is_trainable=False)
            else:
                model = PeftModel.from_pretrained(model, str(path), adapter_name=name, is_trainable=False)
    except (RuntimeError, ValueError, KeyError, OSError, TypeError) as e:
        # A size mismatch lists every tensor; one line is enough to know what to do.
        raise AdapterNotUsable(f"adapter {path} does not fit the base {base}: {_first_line(e)}") from e
    model.eval()
    if not _finite(model, name):
        raise AdapterNotUsable(f"adapter {path} holds values that are no numbers; restore it from its source")
    return model


def _finite(model: Any, name: str) -> bool:
    import torch

    return all(
        bool(torch.isfinite(weight).all())
        for key, weight in model.named_parameters()
        if "lora_" in key and f".{name}." in key
    )


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2])[:240] or type(error).__name__
