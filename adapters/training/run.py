"""One training run from rows to an adapter folder: checked beforehand, resumable, whole or not there at all.

The run lives in ``.NAME.training`` beside the wanted folder: ``run.json`` (what it is), ``curves.jsonl`` (how it goes),
``checkpoints/``. Killed, it goes on from its newest whole checkpoint when it is started again with the same settings.
At the end the adapter is put together there and renamed to its place. Several processes can share the work
(``processes``): this one checks beforehand, and moves the adapter when the first of them has put it together.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from logging import getLogger
from pathlib import Path
from typing import Any, Final

from adapters.durable import sync_dir
from adapters.local.families import FAMILIES, give_template
from adapters.local.hub import locate
from adapters.local.loading import NOTE_FILE, LocalModel, check_adapter, check_model, check_quantization, fingerprint
from adapters.training import curves, learned, manifest
from adapters.training.encoding import Prepared, prepare
from adapters.training.fits import check_disk, check_memory
from adapters.training.processes import Place, Progress, together
from adapters.training.recipe import Recipe
from adapters.training.rows import Dialect, Row
from state import Conflict, UserError

RUN_FILE: Final = "run.json"
_PEFTS: Final = {"r": 8, "lora_alpha": 8, "lora_dropout": 0.0}
"""What an adapter is that does not say it."""
WEIGHTS_FILE: Final = "adapter_model.safetensors"
BEGUN: Final = "begun_at"
LAST_FILE: Final = "trainer_state.json"
"""What the Trainer writes last into a checkpoint: where it can be read, everything before it was written."""


@dataclass(frozen=True)
class Base:
    """A base that was checked, without its weights in memory."""

    path: Path
    name: str
    config: dict[str, Any]
    fingerprint: str
    tokenizer: Any
    reading: bool
    revision: str = ""

    def dialect(self, today: str = "") -> Dialect:
        """How rows are rendered for it."""
        return Dialect(self.tokenizer, reading=self.reading, today=today)


@dataclass(frozen=True)
class Source:
    """Where rows come from, for the manifest; ``dataset`` is the id of a dataset of decisions, "" for others."""

    name: str
    rows: int
    sha256: str = ""
    licences: tuple[str, ...] = field(default=())
    dataset: str = ""
    unsayable: int = 0


def open_base(path: Path, quantization: str) -> Base:
    """Check a model folder, or a hub id that was downloaded, and read its tokenizer; raises ModelNotUsable."""
    from transformers import AutoTokenizer

    from adapters.decoding import Decoding

    path, hub_id, revision = locate(path)
    config = check_model(path, check_quantization(quantization))
    tokenizer = AutoTokenizer.from_pretrained(str(path), local_files_only=True)
    give_template(tokenizer, FAMILIES[config["model_type"]])
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    note = path / NOTE_FILE
    told = json.loads(note.read_text(encoding="utf-8")) if note.is_file() else {}
    name = str(told.get("name") or hub_id.rpartition("/")[2] or path.resolve().name)
    reading = Decoding.read(path).strategy == "reading"
    return Base(path, name, config, fingerprint(path), tokenizer, reading, revision)


def train(
    base: Base, out: Path, rows: Iterable[Row], recipe: Recipe, *, sources: Iterable[Source],
    start: Path | None = None, resume: bool = True, on_progress: Progress | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Train an adapter of ``base`` and put it at ``out``; returns its manifest.

    Args:
        base: What ``open_base`` gave.
        out: The adapter's folder, which must not exist yet (an empty one is taken).
        rows: What to learn, rendered for the base.
        recipe: All settings; rank, alpha and dropout of an adapter that training goes on from are its own.
        sources: Where the rows come from.
        start: An adapter to go on from; the reference of DPO and KTO is a frozen copy of it.
        resume: Go on with a run that was interrupted; False begins anew.
        on_progress: Called at each log with ``step, total`` and what was measured (``loss``, ``eval_loss``,
            ``tokens_per_s``, ``left_s``).

    Raises:
        UserError: Settings, rows, base, device, memory or disk do not allow it; nothing was written.
        Conflict: Another process trains to the same place.
    """
    if start is not None:
        check_adapter(start, base=base.name, fingerprint=base.fingerprint)
        recipe = _as_it_was_made(recipe, start)
    recipe = recipe.checked()
    device = _device(recipe)
    context = int(base.config.get("max_position_embeddings") or recipe.seq)
    if recipe.seq > context:
        raise UserError(f"seq is {recipe.seq}, but {base.name} reads {context} tokens at most; lower it")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} exists already; an adapter is never overwritten: name another folder, or remove it")
    listed, sources = list(rows), list(sources)
    prepared = prepare(base.tokenizer, listed, recipe)
    check_memory(base.config, recipe, device, prepared)
    check_disk(base.config, recipe, out.absolute().parent)
    identity = {
        "base": base.fingerprint, "rows": rows_hash(listed), "settings": recipe.settings(),
        "start": fingerprint(start) if start else None,
    }  # fmt: skip
    with _staging(out, identity, resume=resume) as folder:
        there = newest_checkpoint(folder / "checkpoints", recipe.processes)
        work = partial(_adapter, base, recipe, prepared, folder, identity, sources, start, there)
        if recipe.processes == 1:
            told = work(Place(device=device), on_progress)
        else:
            cuda = device.startswith("cuda")
            told = together(work, recipe.processes, cuda=cuda, meet=folder / "meeting", told=on_progress)
        learned.write(folder / "adapter", listed, start)
        _move(folder / "adapter", out)
    return told


def _adapter(
    base: Base, recipe: Recipe, prepared: Prepared, folder: Path, identity: Mapping[str, Any], sources: list[Source],
    start: Path | None, there: Path | None, place: Place, on_progress: Progress | None,
) -> dict[str, Any]:  # fmt: skip
    """Train from the checkpoint that is ``there``; the first process puts the adapter together and has its manifest."""
    local = _loaded(base, recipe, place.device, start)
    before = _before(base, recipe, local, start)
    trainer = _trained(
        recipe, local, prepared, folder, place, there, wrapped=start is not None, before=before, told=on_progress
    )
    if not place.first:
        return {}
    told = _manifest(base, recipe, prepared, identity, sources, trainer, local)
    told["held"] = _held(base, recipe, trainer, start, before)
    told["resumed_from_step"] = _step_of(there) if there else 0
    begun, ended = _begun(folder), datetime.now(UTC)
    told["begun_at"] = begun.isoformat(timespec="milliseconds")
    told["duration_s"] = round((ended - begun).total_seconds(), 1)
    told["trained_at"] = ended.isoformat(timespec="seconds")
    _put_together(trainer, folder / "adapter", told)
    return told


def _as_it_was_made(recipe: Recipe, start: Path) -> Recipe:
    """The recipe with what is settled by the adapter that training goes on from."""
    made = json.loads((start / "adapter_config.json").read_text(encoding="utf-8"))
    rank, alpha, dropout = (made.get(key, usual) for key, usual in _PEFTS.items())
    return replace(recipe, rank=rank, alpha=alpha, dropout=dropout)


def _device(recipe: Recipe) -> str:
    import torch

    cuda = torch.cuda.is_available()
    device = ("cuda" if cuda else "cpu") if recipe.device == "auto" else recipe.device
    if device.startswith("cuda") and not cuda:
        raise UserError(
            f"device {device!r} was asked for, but this machine has no usable CUDA; train on cpu, or leave it at auto"
        )
    if recipe.processes > 1 and device.startswith("cuda"):
        cards = torch.cuda.device_count()
        if device != "cuda":
            raise UserError(f"{recipe.processes} processes take a card each from the first on; say cuda, not {device}")
        if recipe.processes > cards:
            raise UserError(f"{recipe.processes} processes need as many cards, and this machine has {cards}")
    if recipe.optimizer == "paged8" and not device.startswith("cuda"):
        raise UserError("the paged optimizer lives in CUDA memory, and this run is on the CPU; use adamw or auto")
    return device


def rows_hash(rows: Iterable[Row]) -> str:
    """SHA-256 of the rendered rows in their order."""
    digest = hashlib.sha256()
    for row in rows:
        told = {"prompt": row.prompt, "answers": row.answers, "label": row.label} | ({"once": True} if row.once else {})
        digest.update(json.dumps(told, ensure_ascii=False).encode() + b"\n")
    return digest.hexdigest()


# ------------------------------------------------------------------------------------------------- the run's folder


def staging_of(out: Path) -> Path:
    """Where a run for ``out`` lives until it has ended."""
    whole = out.absolute()
    return whole.parent / f".{whole.name}.training"


@contextmanager
def _staging(out: Path, identity: Mapping[str, Any], *, resume: bool) -> Iterator[Path]:
    """The run's folder, held by this process alone. A run that fails before its first checkpoint leaves nothing."""
    from filelock import FileLock, Timeout

    folder = staging_of(out)
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.with_suffix(".lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise Conflict(f"another process trains {out} right now; wait for it, or name another folder") from None
    try:
        if not resume:
            shutil.rmtree(folder, ignore_errors=True)
        _claim(folder, identity)
        yield folder
        shutil.rmtree(folder)
    except BaseException:
        if not list((folder / "checkpoints").glob("checkpoint-*")):
            shutil.rmtree(folder, ignore_errors=True)
        raise
    finally:
        lock.release()
        folder.with_suffix(".lock").unlink(missing_ok=True)


def _claim(folder: Path, identity: Mapping[str, Any]) -> None:
    """Note what the run is and when it began, or check that it is the one whose checkpoints lie there."""
    wanted = json.loads(json.dumps(identity))
    noted = folder / RUN_FILE
    try:
        there = json.loads(noted.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # none, or one whose writing was cut off: then there is no checkpoint either
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        manifest.write_json({**wanted, BEGUN: datetime.now(UTC).isoformat(timespec="milliseconds")}, noted)
        return
    there.pop(BEGUN, None)
    if there != wanted:
        keys = [k for k in wanted if there.get(k) != wanted[k] and k != "settings"]
        old, new = ({"processes": 1, **told} for told in (there.get("settings", {}), wanted["settings"]))
        keys += [f"{k} {old.get(k)} instead of {new[k]}" for k in new if old.get(k) != new[k]]
        raise UserError(
            f"{folder} holds an unfinished run of something else ({', '.join(keys)}); finish that one, or begin anew "
            "with --fresh"
        )


def _begun(folder: Path) -> datetime:
    """When the run began whose folder it is, however often it was interrupted."""
    noted = folder / RUN_FILE
    told = json.loads(noted.read_text(encoding="utf-8")).get(BEGUN)
    # The file was always written once; before it said so, when it was tells when the run began.
    return datetime.fromisoformat(told) if told else datetime.fromtimestamp(noted.stat().st_mtime, UTC)


def newest_checkpoint(folder: Path, processes: int = 1) -> Path | None:
    """The newest checkpoint that was written to its end, by all processes, and can be read; newer ones are removed.

    Raises:
        UserError: None of those that were written to their end can be read.
    """
    damaged: dict[Path, str] = {}
    for checkpoint in sorted(folder.glob("checkpoint-*"), key=_step_of, reverse=True):
        try:
            state = json.loads((checkpoint / LAST_FILE).read_text(encoding="utf-8"))
            if processes > 1 and len(list(checkpoint.glob("rng_state_*.pth"))) < processes:
                raise ValueError("a process has not written its part")
        except (OSError, ValueError):
            shutil.rmtree(checkpoint)
            continue
        best = Path(state.get("best_model_checkpoint") or checkpoint)
        unread = [why for file in _needed(checkpoint, best) if (why := _damage(file))]
        if unread:
            damaged[checkpoint] = unread[0]
            continue
        for newer in damaged:  # written over, one that was torn then would look whole
            shutil.rmtree(newer)
        return checkpoint
    for checkpoint, why in damaged.items():
        raise UserError(
            f"{checkpoint} is damaged ({why}), and there is no older one to go on from; begin anew with --fresh"
        )
    return None


def _needed(checkpoint: Path, best: Path) -> set[Path]:
    """What is read when a run goes on from a checkpoint, and at its end from the best one, if that is there yet."""
    weights = {folder / WEIGHTS_FILE for folder in (checkpoint, best) if folder.is_dir()}
    return {*weights, *checkpoint.rglob("*.safetensors"), *checkpoint.glob("rng_state*.pth")} | {
        checkpoint / name for name in ("optimizer.pt", "scheduler.pt")
    }


def _damage(file: Path) -> str:
    """Why a file cannot be read, "" where it can: matrices by their header, what torch packs by its checksums."""
    from zipfile import BadZipFile, ZipFile

    from safetensors import SafetensorError, safe_open

    try:
        if file.suffix == ".safetensors":
            with safe_open(str(file), framework="numpy"):
                return ""
        with ZipFile(file) as packed:
            torn = packed.testzip()
            return f"{file.name}: {torn}" if torn else ""
    except (SafetensorError, BadZipFile, EOFError, OSError, RuntimeError, ValueError) as e:
        return f"{file.name}: {e}"


def _step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.rsplit("-", 1)[1])


# ------------------------------------------------------------------------------------------------------- the work


def _loaded(base: Base, recipe: Recipe, device: str, start: Path | None) -> LocalModel:
    import torch

    torch.manual_seed(recipe.seed)
    if recipe.backend == "unsloth":
        from adapters.training.unsloth import load_unsloth

        return load_unsloth(base.path, recipe, device, start)
    from adapters.local.loading import load_local

    local = load_local(base.path, quantization=recipe.quantization, device=device)
    local.tokenizer = base.tokenizer
    for module in local.model.modules():
        # On CPUs with AVX512-BF16, bitsandbytes 0.50 packs a weight anew when it evaluates, its scales rounded: the run
        # would go on with another base after the first evaluation, and a resumed one with yet another.
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
    if start is not None:
        from peft import PeftModel

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # peft 0.21 asks transformers 5 for a deprecated property
            local.model = PeftModel.from_pretrained(local.model, str(start), is_trainable=True)
        # Every save looks for the base's config, at a hub where this is no folder.
        local.model.peft_config["default"].base_model_name_or_path = str(base.path)
    return local


def _before(base: Base, recipe: Recipe, local: LocalModel, start: Path | None) -> Mapping[str, Any] | None:
    """The matrices that training goes on from, where what they knew is to be kept."""
    from adapters.training.holding import matrices

    return None if start is None or not base.reading else matrices(local.model)


def _held(
    base: Base, recipe: Recipe, trainer: Any, start: Path | None, before: Mapping[str, Any] | None
) -> dict[str, Any] | None:
    from adapters.decoding import DECODING_FILE, Decoding
    from adapters.training.holding import hold

    if start is None or before is None or recipe.forgetting is None:
        return None
    spoken = Decoding.read(start if (start / DECODING_FILE).exists() else base.path)
    return hold(
        trainer.model, base.tokenizer, before, forgetting=recipe.forgetting, verdict_weight=spoken.verdict_weight
    ).told()


def _trained(
    recipe: Recipe, local: LocalModel, rows: Prepared, folder: Path, place: Place, there: Path | None, *, wrapped: bool,
    before: Mapping[str, Any] | None, told: Progress | None,
) -> Any:  # fmt: skip
    """The trainer after its training; the first process alone keeps the curves."""
    from adapters.training.reporting import report_to
    from adapters.training.trainers import build

    with _quiet():
        trainer = build(
            recipe, local, rows, folder / "checkpoints", wrapped=wrapped or recipe.backend == "unsloth",
            callbacks=[report_to(folder / curves.LINES, told)] if place.first else [], before=before,
        )  # fmt: skip
        trainer.train(resume_from_checkpoint=str(there) if there else None)
    return trainer


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the libraries' hints and warnings: what matters is said by us."""
    from transformers.utils import logging

    casts = getLogger("bitsandbytes.autograd._functions")  # int8 says at each step that it computes in float16
    casts.setLevel("ERROR")
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(before)


def _manifest(
    base: Base, recipe: Recipe, rows: Prepared, identity: Mapping[str, Any], sources: Iterable[Source],
    trainer: Any, local: LocalModel,
) -> dict[str, Any]:  # fmt: skip
    import torch

    sources = list(sources)
    losses = [point["loss"] for point in curves.points(trainer.state.log_history) if "loss" in point]
    further = ("unsloth",) if recipe.backend == "unsloth" else ()
    return {
        "format": manifest.FORMAT,
        "method": recipe.method,
        "base": {"name": base.name, "fingerprint": base.fingerprint, "revision": base.revision or None},
        "start": identity["start"],
        "data": {"sha256": identity["rows"], "sources": [asdict(source) for source in sources]},
        "settings": recipe.settings(),
        "seed": recipe.seed,
        "versions": manifest.versions(*further),
        "licences": manifest.licences(base.path, base.name, {s.name: s.licences for s in sources}),
        "counts": {
            "given": rows.given, "trained": len(rows.train), "held_out": len(rows.heldout),
            "dropped_too_long": rows.too_long, "dropped_odd": rows.odd, "tokens": rows.tokens,
        },
        "loss": {"first": losses[0] if losses else None, "last": losses[-1] if losses else None,
                 "held_out": trainer.state.best_metric},
        "kto_loss": recipe.kto(len(rows.train)) if recipe.method == "kto" else None,
        "steps": trainer.state.global_step,
        "kept_step": trainer.state.best_global_step or trainer.state.global_step,
        "device": local.device,
        "processes": recipe.processes,
        "threads": torch.get_num_threads(),
        "peak_memory_bytes": manifest.peak_memory(local.device),
        "history": curves.points(trainer.state.log_history),
    }  # fmt: skip


def _put_together(trainer: Any, adapter: Path, told: dict[str, Any]) -> None:
    """The PEFT folder with curves, note and manifest; ``history`` leaves the manifest for the curves."""
    shutil.rmtree(adapter, ignore_errors=True)
    trainer.model.save_pretrained(str(adapter), selected_adapters=["default"])
    (adapter / "README.md").unlink(missing_ok=True)  # peft's empty card
    config = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = told["base"]["name"]  # no path of the training machine
    config["revision"] = told["base"]["revision"] or "main"  # peft leaves it null
    config["target_modules"] = sorted(config["target_modules"])
    manifest.write_json(config, adapter / "adapter_config.json")
    history = told.pop("history")
    curves.write_lines(history, adapter / curves.LINES)
    curves.draw(history, adapter / curves.PICTURE)
    note = {"base_fingerprint": told["base"]["fingerprint"], "training": {**told["counts"], **told["loss"]}}
    manifest.write_json({**note, "settings": told["settings"]}, adapter / NOTE_FILE)
    manifest.write_json(told, adapter / manifest.MANIFEST)


def _move(adapter: Path, out: Path) -> None:
    """Everything on disk, then the rename that makes it be there."""
    for file in adapter.iterdir():
        with file.open("rb") as handle:
            os.fsync(handle.fileno())
    if out.is_dir():
        out.rmdir()  # it was empty when the run began; if not now, nothing of it is lost
    os.rename(adapter, out)
    sync_dir(out.parent)


__all__ = ["Base", "Source", "newest_checkpoint", "open_base", "rows_hash", "staging_of", "train"]
