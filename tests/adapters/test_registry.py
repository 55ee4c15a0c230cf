"""The registry: adapters whole or not there, one champion that is never in doubt, whoever races or dies, wherever."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Barrier
from typing import Any

import filelock
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.durable import remove_tree
from adapters.errors import AdapterNotUsable
from adapters.registry import folders
from adapters.registry.aliases import AliasMoved, NoPrevious, Registry
from adapters.registry.log import DamagedPromotions, NotPromoted, PromotionLog
from state import Conflict, UserError
from tests.adapters.tiny import lora as adapter

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="a child is killed in the middle of a promotion")


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "registry")


@pytest.fixture
def two(registry: Registry, tmp_path: Path) -> tuple[str, str]:
    """Two adapters, the first of them champion."""
    first, second = (registry.add(adapter(tmp_path / f"a{n}", n))["id"] for n in (1, 2))
    registry.promote(first, seen=None, by="kim", reason="the first")
    return first, second


def link(registry: Registry, alias: str) -> str:
    return (registry.links / alias).resolve().name


# --------------------------------------------------------------------------------------------------------- adapters


def test_an_adapter_is_named_by_its_files_and_read_only(registry: Registry, tmp_path: Path) -> None:
    source = adapter(tmp_path / "a", 1)
    entry = registry.add(source)
    place = Path(entry["path"])
    assert place.name == entry["id"] == folders.id_of(source)
    assert registry.add(source)["id"] == entry["id"]
    assert [oct(p.stat().st_mode & 0o777) for p in place.iterdir()] == ["0o400"] * 4
    assert {p.name: p.read_bytes() for p in place.iterdir()} == {p.name: p.read_bytes() for p in source.iterdir()}
    assert (entry["method"], entry["rows"], entry["base"]) == ("sft", 1, "b" * 16)
    other = registry.add(adapter(tmp_path / "b", 2))
    assert sorted(e["id"] for e in registry.entries()) == sorted([entry["id"], other["id"]])
    assert registry.resolve(entry["id"][:8]) == entry["id"]


def test_peft_reads_a_registered_adapter_as_it_is(registry: Registry, tmp_path: Path) -> None:
    from peft import PeftConfig
    from peft.utils import load_peft_weights

    place = registry.add(adapter(tmp_path / "a", 3))["path"]
    assert PeftConfig.from_pretrained(place).r == 2
    [weights] = load_peft_weights(place, device="cpu").values()
    assert float(weights.max()) == 3.0


def test_what_is_no_adapter_is_refused(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(AdapterNotUsable, match="no adapter folder"):
        registry.add(tmp_path / "nothing")
    linked = adapter(tmp_path / "a", 1)
    (linked / "more").symlink_to("/etc/passwd")
    with pytest.raises(AdapterNotUsable, match="no plain file"):
        registry.add(linked)
    with pytest.raises(AdapterNotUsable, match="no adapter is champion yet"):
        registry.resolve("champion")
    with pytest.raises(AdapterNotUsable, match="0 adapters of the registry begin with 'zz'"):
        registry.resolve("zz")
    registry.settle()
    assert not registry.adapters.exists()


@pytest.mark.parametrize("how", ["changed", "gone", "more"])
def test_a_changed_adapter_is_found_and_never_promoted(how: str, registry: Registry, two: tuple[str, str]) -> None:
    first, second = two
    place = registry.adapters / second
    place.chmod(0o700)
    file = place / "manifest.json"
    file.chmod(0o600)
    match how:
        case "changed":
            file.write_bytes(file.read_bytes() + b" ")
        case "gone":
            file.unlink()
        case _:
            (place / "extra").write_bytes(b"")
    assert [second in problem for problem in registry.problems()] == [True]
    with pytest.raises(folders.DamagedAdapter):
        registry.promote(second, seen=first, by="kim", reason="better")
    assert registry.aliases() == {"champion": first}


def spoil(registry: Registry, name: str) -> None:
    """Something of somebody else's in an adapter's folder, with a folder in it."""
    place = registry.adapters / name
    place.chmod(0o700)
    (place / "more").mkdir()
    (place / "more" / "notes.txt").write_bytes(b"x" * 100_000)


def test_a_damaged_adapter_is_put_right_when_it_is_added_again(
    registry: Registry, two: tuple[str, str], tmp_path: Path
) -> None:
    spoil(registry, two[1])
    assert [two[1] in problem for problem in registry.problems()] == [True]
    assert registry.add(tmp_path / "a2")["id"] == two[1]
    assert registry.problems() == []
    assert folders.ids(registry.adapters) == sorted(two)
    assert list(folders.leftovers(registry.adapters)) == []


def test_a_damaged_adapter_is_deleted_like_any_other(registry: Registry, two: tuple[str, str]) -> None:
    spoil(registry, two[1])
    assert registry.gc()[two[1]] > 100_000
    assert (folders.ids(registry.adapters), registry.problems()) == ([two[0]], [])


def test_an_adapter_with_a_folder_in_it_is_refused_and_leaves_nothing(registry: Registry, tmp_path: Path) -> None:
    source = adapter(tmp_path / "a", 1)
    (source / "z").mkdir()
    with pytest.raises(AdapterNotUsable, match="no plain file"):
        registry.add(source)
    assert list(folders.leftovers(registry.adapters)) == []


STRANGE = [
    ('{"bro', "manifest.json is not as training writes it .Unterminated string"),
    ("[1]", "no JSON object"),
    ('{"data": [], "base": "x"}', "(base, data)"),
    ('{"counts": {"trained": "many"}}', "(counts)"),
    ('{"counts": {"trained": 1e999}}', "(counts)"),
    ('{"data": {"sources": [null]}}', "(data)"),
    ('{"data": {"sources": [{"dataset": {}}]}}', "(data)"),
    ("[" * 100_000, "recursion"),
]


@pytest.mark.parametrize(("written", "why"), STRANGE)
def test_a_manifest_that_nobody_can_read_is_refused_before_anything_is_copied(
    written: str, why: str, registry: Registry, tmp_path: Path
) -> None:
    source = adapter(tmp_path / "a", 1)
    (source / "manifest.json").write_text(written, encoding="utf-8")
    with pytest.raises(AdapterNotUsable, match=why) as refused:
        registry.add(source)
    assert "take the file away" in str(refused.value)
    assert not registry.adapters.exists()
    (source / "manifest.json").unlink()
    assert registry.add(source)["rows"] == 0


@pytest.mark.parametrize("written", [written for written, _ in STRANGE])
def test_a_manifest_that_became_strange_hides_no_other_adapter(
    written: str, registry: Registry, two: tuple[str, str]
) -> None:
    for name in ("manifest.json", "dojang.json"):
        file = registry.adapters / two[1] / name
        file.chmod(0o600)
        file.write_text(written, encoding="utf-8")
    entries = {entry["id"]: entry for entry in registry.entries()}
    assert (entries[two[0]]["rows"], entries[two[1]]["rows"]) == (1, 0)
    assert [two[1] in problem for problem in registry.problems()] == [True]


def test_what_is_known_of_null_members_is_nothing(registry: Registry, tmp_path: Path) -> None:
    source = adapter(tmp_path / "a", 1)
    nothing = dict.fromkeys(("base", "data", "counts", "start", "method", "trained_at"))
    (source / "manifest.json").write_text(json.dumps(nothing), encoding="utf-8")
    entry = registry.add(source)
    assert (entry["rows"], entry["datasets"], entry["method"], entry["base"]) == (0, [], "", "b" * 16)


# ------------------------------------------------------------------------------------------- while others add, sweep


def test_a_copy_that_goes_on_is_left_alone_by_gc(
    registry: Registry, two: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, swept = folders._copy, list[str]()

    def copy(source: Path, target: Path) -> None:
        real(source, target)
        with ThreadPoolExecutor(1) as other:  # while this one is at it
            other.submit(Registry(registry.root).gc, older_s=3600).result(timeout=20)
            again = other.submit(Registry(registry.root).promote, two[1], seen=two[0], by="lee", reason="better")
            swept.append(target.name if target.exists() else "")
            again.exception(timeout=20)

    with monkeypatch.context() as patched:
        patched.setattr(folders, "_copy", copy)
        third = registry.add(adapter(tmp_path / "c", 3))["id"]
    assert len(swept) == 4
    assert all(swept)
    assert registry.aliases() == {"champion": two[1], "previous": two[0]}, "nobody waited for the copy"
    assert (registry.has(third), registry.problems()) == (True, [])
    assert list(folders.leftovers(registry.adapters)) == []


def test_one_adapter_that_many_add_at_once_is_there_once(registry: Registry, tmp_path: Path) -> None:
    source, barrier = adapter(tmp_path / "a", 1), Barrier(6)

    def race(_: int) -> str:
        barrier.wait()
        return Registry(registry.root).add(source)["id"]

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(race, range(6))) == {folders.id_of(source)}
    assert (len(folders.ids(registry.adapters)), registry.problems()) == (1, [])
    assert list(folders.leftovers(registry.adapters)) == []


def test_an_adapter_that_another_program_put_there_meanwhile_is_there(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, real = adapter(tmp_path / "a", 1), os.rename

    def late(old: Any, new: Any) -> None:
        shutil.copytree(source, new)
        real(old, new)  # not empty

    monkeypatch.setattr(os, "rename", late)
    assert registry.add(source)["id"] == folders.id_of(source)
    assert (registry.problems(), list(folders.leftovers(registry.adapters))) == ([], [])


def test_an_adapter_that_changes_while_it_is_copied_is_not_taken_in(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, real = adapter(tmp_path / "a", 1), folders._copy

    def copy(path: Path, target: Path) -> None:
        path.write_bytes(path.read_bytes() + b" ")
        real(path, target)

    monkeypatch.setattr(folders, "_copy", copy)
    with pytest.raises(folders.NotRegistered, match="was changed while it was copied"):
        registry.add(source)
    assert list(registry.adapters.iterdir()) == []


# ------------------------------------------------------------------------------------------------ what the system says


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "nothing was kept: free space and try again"),
        (errno.EDQUOT, "nothing was kept: free space and try again"),
        (errno.EACCES, "nothing was kept: this user may not write in {folder}: allow it"),
        (errno.EROFS, "nothing was kept: the disk of {file} can only be read"),
        (errno.EIO, "nothing was kept: see to what the system says"),
    ],
)
def test_space_is_advised_only_where_there_is_none(
    number: int, advice: str, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = list[Path]()

    def refuse(source: Path, target: Path) -> None:
        refused.append(target)
        raise OSError(number, os.strerror(number), str(target))

    monkeypatch.setattr(folders, "_copy", refuse)
    with pytest.raises(folders.NotRegistered) as told:
        registry.add(adapter(tmp_path / "a", 1))
    assert advice.format(folder=refused[0].parent, file=refused[0]) in str(told.value)


def test_a_file_that_may_not_be_read_is_named(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = adapter(tmp_path / "a", 1)
    real = folders._sha256

    def sha256(path: Path) -> str:
        if path.name == "manifest.json":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(folders, "_sha256", sha256)
    monkeypatch.setattr(os, "access", lambda *_, **__: False)
    with pytest.raises(folders.NotRegistered, match=f"this user may not read {source / 'manifest.json'}: allow it"):
        registry.add(source)


def test_a_registry_that_may_only_be_read_says_what_to_do(
    registry: Registry, two: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Any, *_: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    with monkeypatch.context() as patched:
        patched.setattr(os, "rename", refuse)
        with pytest.raises(UserError, match=f"{two[1]} cannot be deleted .* can only be read"):
            registry.gc()
    with monkeypatch.context() as patched:
        patched.setattr(filelock.FileLock, "acquire", lambda self, **_: refuse(self.lock_file))
        for work in (registry.gc, registry.settle):
            with pytest.raises(UserError, match=f"{registry.root} cannot be changed .* can only be read"):
                work()
    monkeypatch.setattr(os, "ftruncate", lambda fd, _: refuse(registry.log.path))
    with pytest.raises(NotPromoted, match=f"nothing was changed: the disk of {registry.log.path} can only be read"):
        registry.promote(two[1], seen=two[0], by="kim", reason="better")


# ------------------------------------------------------------------------------------------------------------ aliases


def test_a_promotion_changes_all_names_together(registry: Registry, two: tuple[str, str]) -> None:
    first, second = two
    registry.nominate(second, seen=None, by="kim", reason="trained today")
    assert registry.aliases() == {"champion": first, "candidate": second}
    registry.promote(second, seen=first, by="lee", reason="better on held-out decisions")
    assert registry.aliases() == {"champion": second, "previous": first}
    assert (link(registry, "champion"), link(registry, "previous")) == (second, first)
    assert not (registry.links / "candidate").exists()
    last = registry.log.read()[-1]
    assert (last["by"], last["reason"], last["n"]) == ("lee", "better on held-out decisions", 3)
    registry.promote(first, seen=second, by="lee", reason="back again")
    assert registry.aliases() == {"champion": first, "previous": second}
    assert registry.problems() == []


def test_who_looked_at_another_champion_is_told(registry: Registry, two: tuple[str, str]) -> None:
    first, second = two
    with pytest.raises(AliasMoved, match=f"champion is {first} by now, not {second}") as moved:
        registry.promote(second, seen=second, by="kim", reason="better")
    assert (moved.value.found, isinstance(moved.value, Conflict)) == (first, True)
    with pytest.raises(AliasMoved):
        registry.promote(second, seen=None, by="kim", reason="better")
    with pytest.raises(UserError, match="say who and why"):
        registry.promote(second, seen=first, by="kim", reason=" ")
    assert registry.aliases() == {"champion": first}


def test_an_adapter_of_another_base_takes_no_champions_place(
    registry: Registry, two: tuple[str, str], tmp_path: Path
) -> None:
    foreign = registry.add(adapter(tmp_path / "c", 3, base="c" * 16))["id"]
    with pytest.raises(AdapterNotUsable, match="trained on the base cccccccccccccccc"):
        registry.promote(foreign, seen=two[0], by="kim", reason="better")
    assert registry.aliases()["champion"] == two[0]


def test_a_spoilt_champion_is_replaced(registry: Registry, two: tuple[str, str]) -> None:
    first, second = two
    (registry.adapters / first).chmod(0o700)
    shutil.rmtree(registry.adapters / first)
    assert [first in problem for problem in registry.problems()] == [True]
    registry.promote(second, seen=first, by="kim", reason="the old one is gone")
    assert registry.aliases()["champion"] == second


def promote_at(root: str, name: str, seen: str, start: Any, said: Any) -> None:
    start.wait()
    try:
        Registry(Path(root)).promote(name, seen=seen, by=name, reason="race")
        said.put((name, "won"))
    except AliasMoved as moved:
        said.put((name, moved.found))


def test_of_raced_promotions_one_wins_and_the_others_are_told(registry: Registry, tmp_path: Path) -> None:
    names = [registry.add(adapter(tmp_path / f"a{n}", n))["id"] for n in range(5)]
    registry.promote(names[0], seen=None, by="kim", reason="first")
    barrier = Barrier(4)

    def race(name: str) -> str | None:
        barrier.wait()
        try:
            Registry(registry.root).promote(name, seen=names[0], by=name, reason="race")
        except AliasMoved as moved:
            return moved.found
        return None

    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(race, names[1:]))
    champion = registry.aliases()["champion"]
    assert [name for name, found in zip(names[1:], told, strict=True) if found is None] == [champion]
    assert [found for found in told if found is not None] == [champion] * 3
    assert len(registry.log.read()) == 2


def test_promotions_of_two_processes_exclude_each_other(registry: Registry, tmp_path: Path) -> None:
    if not hasattr(os, "fork"):
        pytest.skip("children share the fixture by fork")
    names = [registry.add(adapter(tmp_path / f"a{n}", n))["id"] for n in range(3)]
    registry.promote(names[0], seen=None, by="kim", reason="first")
    context: Any = multiprocessing.get_context("fork")
    start, said = context.Event(), context.Queue()
    racers = [
        context.Process(target=promote_at, args=(str(registry.root), n, names[0], start, said)) for n in names[1:]
    ]
    for racer in racers:
        racer.start()
    start.set()
    told = dict(said.get(timeout=60) for _ in racers)
    for racer in racers:
        racer.join()
    champion = registry.aliases()["champion"]
    assert sorted(told.values()) == sorted(["won", champion])
    assert told[champion] == "won"


# --------------------------------------------------------------------------------------- killed, full, changed behind


STEPS = ("write", "fsync", "replace", "symlink", "ftruncate", "rename", "mkdir", "unlink", "chmod", "open")


def killed_at(step: int, work: Callable[[], object]) -> bool:
    """Do the work in a child that is killed before its ``step``-th call of the file system; whether it had ended."""
    child = os.fork()
    if child == 0:
        calls = 0

        def dying(real: Any) -> Any:
            def call(*args: Any, **options: Any) -> Any:
                nonlocal calls
                calls += 1
                if calls == step:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*args, **options)

            return call

        try:
            for name in STEPS:
                setattr(os, name, dying(getattr(os, name)))
            work()
        finally:
            os._exit(0)
    return os.WIFEXITED(os.waitpid(child, 0)[1])


@needs_fork
def test_killed_at_any_step_of_a_promotion_the_champion_is_never_in_doubt(
    registry: Registry, two: tuple[str, str], tmp_path: Path
) -> None:
    first, second = two
    registry.nominate(second, seen=None, by="kim", reason="trained")
    before, after = registry.aliases(), {"champion": second, "previous": first}
    seen, step, ended = set(), 0, False
    while not ended:
        step += 1
        home = tmp_path / f"at{step}"
        shutil.copytree(registry.root, home, symlinks=True)
        there = Registry(home)
        ended = killed_at(step, partial(there.promote, second, seen=first, by="lee", reason="better"))
        fresh = Registry(home)
        now = fresh.aliases()
        assert now in (before, after), step
        assert not ended or now == after
        assert link(fresh, "champion") in (first, now["champion"])  # what other programs read never runs ahead
        seen.add(now["champion"])
        fresh.settle()
        assert fresh.problems() == []
        if now == before:  # whoever was cut off does it again
            fresh.promote(second, seen=first, by="lee", reason="better")
        assert (fresh.aliases(), link(fresh, "champion"), link(fresh, "previous")) == (after, second, first)
        shutil.rmtree(home / "aliases")
    assert seen == {first, second}
    assert step > 8


@needs_fork
def test_killed_at_any_step_of_an_addition_it_is_there_whole_or_not_at_all(registry: Registry, tmp_path: Path) -> None:
    source = adapter(tmp_path / "a", 1)
    wanted, step, ended = folders.id_of(source), 0, False
    while not ended:
        step += 1
        there = Registry(tmp_path / f"at{step}")
        ended = killed_at(step, partial(there.add, source))
        assert folders.ids(there.adapters) in ([], [wanted])
        assert there.problems() == []
        there.settle()
        assert not there.adapters.exists() or list(folders.leftovers(there.adapters)) == []
        assert there.add(source)["id"] == wanted
    assert step > 6


@pytest.mark.parametrize("call", ["write", "fsync"])
def test_a_full_disk_changes_nothing(
    call: str, registry: Registry, two: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = two
    data = registry.log.path.read_bytes()

    def full(fd: int, *rest: Any) -> Any:
        if call == "write":
            real(fd, bytes(rest[0])[:7])  # some of it still fits
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        real = os.write
        patched.setattr(os, call, full)
        with pytest.raises(NotPromoted, match="nothing was changed"):
            PromotionLog(registry.log.path).append({"at": "", "by": "k", "reason": "r", "set": {"champion": second}})
        with pytest.raises(NotPromoted):
            registry.promote(second, seen=first, by="kim", reason="better")
        if call == "fsync":
            with pytest.raises(folders.NotRegistered, match="nothing was kept"):
                registry.add(adapter(tmp_path / "c", 9))
    assert registry.log.path.read_bytes() == data
    assert (registry.aliases(), link(registry, "champion")) == ({"champion": first}, first)
    registry.settle()
    assert len(folders.ids(registry.adapters)) == 2
    assert list(folders.leftovers(registry.adapters)) == []
    registry.promote(second, seen=first, by="kim", reason="better")
    assert registry.aliases()["champion"] == second


def test_a_torn_line_is_nothing_and_a_changed_one_stops_everything(registry: Registry, two: tuple[str, str]) -> None:
    first, second = two
    with registry.log.path.open("ab") as log:
        log.write(b'{"n": 2, "set": {"champion": "evil"')
    assert registry.aliases() == {"champion": first}
    registry.promote(second, seen=first, by="kim", reason="better")
    assert registry.aliases()["champion"] == second
    whole = registry.log.path.read_bytes()
    for spoilt in (
        whole.replace(b"better", b"bitter"),
        whole.split(b"\n", 1)[1],
        whole + whole.splitlines()[0] + b"\n",
    ):
        registry.log.path.write_bytes(spoilt)
        with pytest.raises(DamagedPromotions, match="put back from a copy"):
            registry.aliases()
        with pytest.raises(DamagedPromotions):
            registry.promote(first, seen=second, by="kim", reason="back")
    registry.log.path.write_bytes(whole)
    assert registry.problems() == []


def test_what_nothing_names_is_deleted_when_it_is_asked_for(
    registry: Registry, two: tuple[str, str], tmp_path: Path
) -> None:
    first, second = two
    third = registry.add(adapter(tmp_path / "c", 3))["id"]
    registry.promote(second, seen=first, by="kim", reason="better")
    registry.promote(third, seen=second, by="kim", reason="better still")
    fourth = registry.add(adapter(tmp_path / "d", 4))["id"]
    assert registry.unused(older_s=3600) == []
    assert registry.unused() == [fourth]
    assert registry.unused(promoted=True) == sorted([first, fourth])
    assert list(registry.gc()) == [fourth]
    assert registry.gc(promoted=True)[first] > 100
    assert folders.ids(registry.adapters) == sorted([second, third])
    assert registry.problems() == []
    (registry.links / "champion").unlink()
    (registry.links / "champion").symlink_to("../adapters/nothing")
    assert "does not follow the log" in registry.problems()[0]
    registry.settle()
    assert link(registry, "champion") == third


# ------------------------------------------------------------------------------- whatever is done in whatever order


Step = tuple[str, int, int]
STEPS_OF = st.lists(
    st.tuples(st.sampled_from(["promote", "again", "stale", "rollback"]), st.integers(0, 2), st.integers(0, 4)),
    max_size=9,
)


@given(STEPS_OF)
@settings(max_examples=25, deadline=None)
def test_whatever_is_promoted_repeated_or_rolled_back_the_log_says_who_is_champion(steps: list[Step]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as root:
        registry = Registry(Path(root) / "registry")
        names = ["a" * 16, "b" * 16, "c" * 16]
        for name in names:
            (registry.adapters / name).mkdir(parents=True)
        champion, previous, done = None, None, dict[str, tuple[str, int]]()
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(folders, "verify", lambda root, adapter: None)
            for kind, which, key in steps:
                name, effect, count = names[which], f"fx_{key}", len(registry.log.read())
                if kind == "rollback":
                    if previous is None:
                        with pytest.raises(NoPrevious):
                            registry.rollback(by="kim", reason="r")
                    else:
                        registry.rollback(by="kim", reason="r")
                        champion, previous = previous, champion
                elif kind == "stale" and champion != name and effect not in done:
                    with pytest.raises(AliasMoved):
                        registry.promote(name, seen=name, by="kim", reason="r", key=effect)
                elif kind == "again" and effect in done:
                    again = registry.promote(name, seen="d" * 16, by="kim", reason="r", key=effect)
                    assert (again["set"]["champion"], again["n"]) == done[effect]
                elif kind == "promote" and effect not in done and champion != name:
                    made = registry.promote(name, seen=champion, by="kim", reason="r", key=effect)
                    champion, previous, done[effect] = name, champion, (name, made["n"])
                    assert made["n"] == count + 1
                assert (registry.aliases().get("champion"), registry.aliases().get("previous")) == (champion, previous)
        assert Registry(registry.root).aliases() == registry.aliases()


def test_what_is_removed_leaves_alone_what_its_links_point_to(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text("theirs", encoding="utf-8")
    kept.chmod(0o400)
    (tmp_path / "gone").mkdir()
    (tmp_path / "gone" / "link").symlink_to(kept)
    remove_tree(tmp_path / "gone")
    assert (kept.stat().st_mode & 0o777, (tmp_path / "gone").exists()) == (0o400, False)
