"""The rules of a dataset are those noted first; they are on the disk, and nobody changes them after."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from adapters.gate.rules import FILE, DamagedRules, Rules, RulesNotNoted, note, noted, rules_of
from state import UserError


def test_the_first_rules_of_a_dataset_count(tmp_path: Path) -> None:
    first = note(tmp_path / "gates", "aa", Rules(least=40))
    assert note(tmp_path / "gates", "aa", Rules(least=3)) == first
    other = note(tmp_path / "gates", "bb", Rules(least=3))
    assert noted(tmp_path / "gates", "aa") == first != other
    assert (rules_of(first), rules_of(other)) == (Rules(least=40), Rules(least=3))
    assert noted(tmp_path / "gates", "cc") is None
    assert noted(tmp_path / "elsewhere", "aa") is None
    lines = (tmp_path / "gates" / FILE).read_bytes()
    with (tmp_path / "gates" / FILE).open("ab") as file:
        file.write(lines.replace(b'"least": 40', b'"least": 2'))  # a second record, by hand
    assert noted(tmp_path / "gates", "aa") == first


def test_rules_that_were_changed_are_refused(tmp_path: Path) -> None:
    note(tmp_path, "aa", Rules())
    path = tmp_path / FILE
    path.write_bytes(path.read_bytes().replace(b'"least": 30', b'"least": 3'))
    with pytest.raises(DamagedRules, match=r"line 2 of .* was changed"):
        noted(tmp_path, "aa")
    with pytest.raises(DamagedRules, match="build another dataset"):
        note(tmp_path, "aa", Rules())


def test_a_torn_record_was_told_to_nobody(tmp_path: Path) -> None:
    note(tmp_path, "aa", Rules(least=40))
    path = tmp_path / FILE
    path.write_bytes(path.read_bytes()[:-30])
    assert noted(tmp_path, "aa") is None
    assert rules_of(note(tmp_path, "aa", Rules(least=50))).least == 50


def test_a_full_disk_notes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RulesNotNoted, match="before you train"):
        note(tmp_path, "aa", Rules(least=40))
    monkeypatch.undo()
    assert noted(tmp_path, "aa") is None
    assert rules_of(note(tmp_path, "aa", Rules(least=50))).least == 50


@pytest.mark.parametrize(("name", "value"), [("least", 1), ("confidence", 1.0), ("slice_fall", 1.5), ("nearest", 0)])
def test_a_rule_out_of_its_range_is_refused(name: str, value: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"the rule {name} is {value}"):
        note(tmp_path, "aa", Rules(**{name: value}))
    assert not (tmp_path / FILE).exists()
