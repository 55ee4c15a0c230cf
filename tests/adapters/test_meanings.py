"""What words mean: off the files that ship, off Kiwi, and off neither where they do not fit."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from adapters.alike.meanings import (
    ENGLISH,
    FOLDER,
    WIDTH,
    Kept,
    Meanings,
    meanings,
    read_english,
    read_korean,
    write_kept,
)
from adapters.errors import ModelNotUsable
from morphemes import kiwi


def alike(one: str, other: str) -> float:
    a, b = meanings().of([one, other])
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


@pytest.mark.parametrize(
    ("word", "near", "far"),
    [
        ("swimming", "pool", "invoice"), ("refund", "reimbursement", "umbrella"), ("dog", "puppy", "parking"),
        ("빨래", "세탁", "주차"), ("강아지", "고양이", "환불"), ("저렴한", "비싼", "수영장"),
        ("태어난", "출생", "조식"),
    ],
)  # fmt: skip
def test_words_that_mean_nearly_the_same_lie_near(word: str, near: str, far: str) -> None:
    assert alike(word, near) > alike(word, far) + 0.15


def test_each_language_has_its_numbers_and_a_strange_word_none() -> None:
    rows = meanings().of(["pool", "수영장에서", "zarwickle", "12", "?"])
    assert rows.shape == (5, WIDTH)
    assert rows[0, :ENGLISH].any()
    assert not rows[0, ENGLISH:].any()
    assert rows[1, ENGLISH:].any()
    assert not rows[1, :ENGLISH].any()
    assert not rows[2:].any()


def test_a_form_that_is_not_listed_is_its_stem() -> None:
    known = Meanings({"swim": np.ones(ENGLISH, np.float32), "bake": np.full(ENGLISH, 2, np.float32)}, lambda: None)
    found = known.of(["swims", "swim", "baking", "baked", "bakers", "swam", "s", "ing", "수영"])
    assert found[:, 0].tolist() == [1, 1, 2, 2, 2, 0, 0, 0, 0]


def test_particles_and_endings_mean_nothing() -> None:
    one, other = meanings().of(["주차장에서", "주차장까지"])
    assert np.allclose(one, other)
    assert not meanings().of(["에서는"]).any()


def test_korean_ones_off_a_file_are_those_of_kiwi(tmp_path: Path) -> None:
    here = read_korean()
    assert here is not None
    words = ["수영장은", "빨래를", "하고", "에서는", "환불받고"]
    n = write_kept(words, here, tmp_path / "korean.safetensors")
    kept = Kept.read(tmp_path / "korean.safetensors")
    assert n == sum(vector is not None for vector in here.of(words))
    for one, other in zip(here.of(words), kept.of(words), strict=True):
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            assert np.allclose(one, other, atol=2e-3)
    assert kept.of(["처음보는말"]) == [None]


def test_another_kiwi_is_told_and_takes_the_meanings_away(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Other:
        def __init__(self, real: object) -> None:
            self.morpheme = real.morpheme  # type: ignore[attr-defined]

        def morpheme_similarity(self, *_: int) -> float:
            return 0.4

    real = kiwi()
    monkeypatch.setattr("adapters.alike.meanings.kiwi", lambda: Other(real))
    read_korean.cache_clear()
    assert read_korean() is None
    assert "not the one that they were taught with" in caplog.text
    monkeypatch.setattr(Other, "morpheme", lambda self, n: real.morpheme(n + 1), raising=False)
    monkeypatch.setattr(
        "adapters.alike.meanings.kiwi",
        lambda: type("Shifted", (), {"morpheme": staticmethod(lambda n: real.morpheme(n + 1))})(),
    )
    read_korean.cache_clear()
    assert read_korean() is None
    assert "other numbers" in caplog.text
    read_korean.cache_clear()


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    for name, read in (("english.safetensors", read_english), ("korean.safetensors", read_korean)):
        path = tmp_path / name
        with pytest.raises(ModelNotUsable, match=name):
            read(path)
        shutil.copy(FOLDER / name, path)
        path.write_bytes(path.read_bytes()[:-9])
        read.cache_clear()
        with pytest.raises(ModelNotUsable, match=r"scripts/meanings\.py"):
            read(path)
