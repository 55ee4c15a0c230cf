"""evaluate --against, from the registry and a frozen dataset to the report: who is compared, what is refused before."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from adapters import EMBEDDED_ADAPTER, WEIGHTS
from adapters.dataset import folder as datasets
from adapters.dataset.building import Choices, build
from adapters.errors import AdapterNotUsable
from adapters.gate.replies import Speaker
from adapters.gate.report import Report, read_report
from adapters.gate.rules import Rules, note
from adapters.local.loading import fingerprint
from adapters.registry.aliases import Registry
from adapters.registry.folders import DamagedAdapter
from adapters.training import learned
from dojang.cli.exits import Exit
from dojang.flywheel import gating
from dojang.flywheel.gating import evaluate_against, read_value
from dojang.flywheel.speakers import Adapter
from dojang.parts import Parts
from dojang.settings import load_settings
from state import Generation, UserError
from tests.adapters.gate.held import Answers
from tests.adapters.openai_server import serve
from tests.adapters.tiny import lora
from tests.adapters.training.test_decided import READING, rows
from tests.dojang.conftest import Shell
from tests.dojang.workspaces import rehearsed
from tests.flywheel.made import ARGS, point
from tests.graph.parts import calls

BASE = fingerprint(WEIGHTS / "base")
POINTS = [
    point(n, ("edit", "approve")[n % 2], edited=None if n % 2 else {**ARGS, "guests": n + 100}) for n in range(2, 46)
]
RIGHT = {
    point["messages"][0]["content"]: {**ARGS, "guests": n + (0 if n % 2 else 100)} for n, point in enumerate(POINTS, 2)
}


class Cast:
    """A panel whose champion repeats itself and whose candidate does what was decided; nothing is loaded."""

    reading = False
    seated: list[Adapter]

    def __init__(self, settings: Any, adapters: list[Adapter]) -> None:
        type(self).seated = adapters

    def speaker(self, adapter: Adapter | None) -> Speaker:
        first = adapter == self.seated[0]
        return Speaker(f"cast-{adapter.id if adapter else 'base'}-{first}", Answers(self.right if first else self.same))

    def reminded(self, adapter: Adapter | None, edits: list[Any], k: int) -> Speaker:
        assert edits
        return Speaker(f"cast-{k}", Answers(self.same))

    def right(self, text: str) -> Generation:
        return calls(("book_room", RIGHT[text]))

    def same(self, text: str) -> Generation:
        return calls(("book_room", {**RIGHT[text], "guests": RIGHT[text]["guests"] % 100}))


@pytest.fixture
def cast(monkeypatch: pytest.MonkeyPatch) -> type[Cast]:
    monkeypatch.setattr(gating, "Panel", Cast)
    return Cast


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a dataset of 35 held-out decisions and its rules."""
    home = tmp_path_factory.mktemp("frozen")
    made = build(POINTS, choices=Choices(heldout=0.8), find=lambda text: [], pseudonym=lambda name: f"#{name}")
    dataset = datasets.write(made, home / "datasets")
    assert made.counts()["heldout"] == 35
    note(home / "gates", dataset.name, Rules())
    return home


@pytest.fixture
def home(frozen: Path, tmp_path: Path) -> Path:
    shutil.copytree(frozen, tmp_path / "home")
    return tmp_path / "home"


def dataset_of(home: Path) -> str:
    [one] = datasets.folders(home / "datasets")
    return one.name


def trained(
    home: Path, n: int = 1, *, base: str = BASE, at: str = "", seen: list[Any] | None = None, dataset: str = ""
) -> Path:
    """An adapter as training leaves it: of the dataset's training side, unless it saw other points."""
    sources = [{"dataset": dataset or dataset_of(home)}]
    told = {"trained_at": at or datetime.now(UTC).isoformat(timespec="seconds"), "duration_s": 0.0}
    adapter = lora(home.parent / f"adapter{n}", n, base=base, data={"sources": sources}, **told)
    learned.write(adapter, [row for given in seen or POINTS[:9] for row in rows(READING, given, "kto")], None)
    return adapter


def evaluated(home: Path, candidate: str | Path, against: str = "champion", **how: Any) -> Report:
    parts = Parts(load_settings(home=home))
    path = evaluate_against(parts, candidate, against, **how)
    assert path.parent == home / "gates"
    return read_report(path.parent, path.stem)


def codes(report: Report) -> list[str]:
    return [reason["code"] for reason in report["reasons"] if reason["kind"] != "note"]


# ------------------------------------------------------------------------------------------------------------ compared


def test_a_candidate_that_does_what_was_decided_passes(home: Path, cast: type[Cast]) -> None:
    told: list[tuple[int, int, str]] = []
    report = evaluated(home, trained(home), on_progress=lambda *news: told.append(news))
    registry = Registry(home / "registry")
    assert (report["verdict"], codes(report)) == ("passed", [])
    assert (report["candidate"], report["against"]) == (registry.entries()[0]["id"], "")
    assert report["dataset"] == dataset_of(home)
    assert report["rules"]["values"] == Rules().values()
    match = report["figures"]["match"]
    assert (match["candidate"], match["n"]) == (1.0, 35)
    assert match["low"] is not None
    assert match["low"] > 0.3
    assert report["figures"]["repeated"]["difference"] == -1.0
    assert set(report["slices"]) == {"language:en", "language:ko", "tier:0", "tool:book_room"}
    assert set(report["baselines"]) == {"base", "nearest"}
    assert (told[0], told[-1]) == ((1, 140, "candidate"), (140, 140, "nearest"))
    assert cast.seated[1] == Adapter("", WEIGHTS / EMBEDDED_ADAPTER)


def test_the_champion_of_the_registry_is_who_it_is_compared_with(home: Path, cast: type[Cast]) -> None:
    registry = Registry(home / "registry")
    first = registry.add(trained(home, 1))["id"]
    registry.promote(first, seen=None, by="kim", reason="first")
    second = registry.add(trained(home, 2))["id"]
    registry.nominate(second, seen=None, by="kim", reason="second")
    report = evaluated(home, "candidate")
    assert (report["candidate"], report["against"]) == (second, first)
    assert evaluated(home, second[:8], first[:8])["against"] == first
    with pytest.raises(UserError, match="cannot be compared with itself"):
        evaluated(home, first)


def test_one_that_saw_what_is_held_out_fails(home: Path, cast: type[Cast]) -> None:
    report = evaluated(home, trained(home, seen=POINTS[-4:]))
    assert (report["verdict"], codes(report), report["reasons"][0]["facts"]) == ("failed", ["leak"], {"points": 4})


def test_one_that_does_not_say_what_it_saw_cannot_pass(home: Path, cast: type[Cast]) -> None:
    silent = trained(home)
    (silent / learned.FILE).unlink()
    report = evaluated(home, silent)
    assert (report["verdict"], codes(report)) == ("cannot_tell", ["unknown_training"])


def test_one_that_was_trained_before_the_rules_cannot_pass(home: Path, cast: type[Cast]) -> None:
    report = evaluated(home, trained(home, at="2026-11-25T08:00:00+00:00"))
    assert (report["verdict"], codes(report)) == ("cannot_tell", ["rules_too_late"])
    (home / "gates" / "rules.jsonl").unlink()
    never = evaluated(home, trained(home, 2))
    assert (never["verdict"], codes(never), never["rules"]["digest"]) == ("cannot_tell", ["rules_too_late"], "")


def test_one_that_learned_shuffled_labels_does_not_pass(
    home: Path, cast: type[Cast], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = sorted(RIGHT)
    other = dict(zip(words, [RIGHT[word] for word in [*words[7:], *words[:7]]], strict=True))
    monkeypatch.setattr(cast, "right", lambda self, text: calls(("book_room", other[text])))
    assert evaluated(home, trained(home))["verdict"] == "failed"


def test_what_was_asked_is_not_asked_again(home: Path, cast: type[Cast], monkeypatch: pytest.MonkeyPatch) -> None:
    candidate = trained(home)
    first = evaluated(home, candidate)

    def never(self: Cast, text: str) -> Generation:
        raise AssertionError(text)

    for name in ("right", "same"):
        monkeypatch.setattr(cast, name, never)
    again = evaluated(home, candidate)
    assert {**again, "at": "", "id": ""} == {**first, "at": "", "id": ""}


# ------------------------------------------------------------------------------------------------------ refused before


class Unwanted:
    """Nothing may be loaded."""

    def __init__(self, *given: Any) -> None:
        raise AssertionError("a model would have been loaded")


@pytest.mark.parametrize(
    ("spoil", "error", "said"),
    [
        (lambda home: trained(home, base="c" * 16), AdapterNotUsable, "was trained on the base c{16}, but the model"),
        (lambda home: "candidate", AdapterNotUsable, "no adapter is candidate yet"),
        (lambda home: "abc", AdapterNotUsable, "0 adapters of the registry begin with 'abc'"),
        (lambda home: _stale(home), UserError, "there is no dataset to compare on"),
        (lambda home: _damaged(home), DamagedAdapter, "was changed or is gone"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_anything_is_loaded(
    spoil: Callable[[Path], Any], error: type[Exception], said: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gating, "Panel", Unwanted)
    with pytest.raises(error, match=said):
        evaluated(home, spoil(home))
    assert not list((home / "gates").glob("*.json"))


def _stale(home: Path) -> Path:
    adapter = trained(home)
    datasets.mark_stale(home / "datasets", ["t45"], "asked for it")
    return adapter


def _damaged(home: Path) -> str:
    entry = Registry(home / "registry").add(trained(home))
    path = Path(entry["path"]) / "manifest.json"
    path.chmod(0o600)
    path.write_text("{}", encoding="utf-8")
    return entry["id"]


def test_a_champion_of_another_base_and_stale_ones_are_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gating, "Panel", Unwanted)
    registry = Registry(home / "registry")
    other = registry.add(trained(home, 1, base="c" * 16))["id"]
    registry.promote(other, seen=None, by="kim", reason="first")
    candidate = trained(home, 2)
    with pytest.raises(AdapterNotUsable, match=f"but {other} on c{{16}}: they cannot be compared"):
        evaluated(home, candidate)
    dataset = dataset_of(home)
    datasets.mark_stale(home / "datasets", ["t45"], "asked for it")
    with pytest.raises(UserError, match=f"dataset {dataset} is stale: asked for it"):
        evaluated(home, candidate, dataset=dataset)
    made = build(POINTS[:20], choices=Choices(), find=lambda text: [], pseudonym=lambda name: f"#{name}")
    fresh = datasets.write(made, home / "datasets").name
    with pytest.raises(UserError, match="is stale: dataset"):
        evaluated(home, candidate, dataset=fresh)


# --------------------------------------------------------------------------------------------------- the command line


@pytest.fixture
def shell(home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Shell:
    environment = {"DOJANG_HOME": str(home), "DOJANG_LANGUAGE": "en", "DOJANG_USER": "kim"}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(home.parent)
    return Shell(home, environment, capfd, monkeypatch, rehearsed)


@pytest.mark.usefixtures("cast")
def test_the_command_shows_the_verdict_and_its_code_says_it(shell: Shell, home: Path) -> None:
    better = str(trained(home))
    made = shell("adapters", "evaluate", "--against", "champion", "--adapter", better)
    assert (made.code, "verdict: passed" in made.out) == (Exit.DONE, True), made
    assert "does what was decided" in made.out
    leaky = str(trained(home, 2, seen=POINTS[-4:]))
    failed = shell("adapters", "evaluate", "--against", "champion", "--adapter", leaky, "--json")
    assert (failed.code, failed.json["verdict"]) == (Exit.PROBLEM, "failed")
    again = shell("adapters", "report", failed.json["id"][:8])
    assert (again.code, "it was trained on 4 of the held-out decisions" in again.out) == (Exit.PROBLEM, True)
    korean = shell("adapters", "report", failed.json["id"], "--lang", "ko")
    assert "판정: 불합격" in korean.out
    assert "4건을 이미 학습했습니다" in korean.out
    assert shell("adapters", "report", "nothing").code == Exit.MISTAKE
    path = home / "gates" / f"{failed.json['id']}.json"
    path.chmod(0o600)
    path.write_text(path.read_text(encoding="utf-8").replace('"failed"', '"passed"'), encoding="utf-8")
    tampered = shell("adapters", "report", failed.json["id"])
    assert (tampered.code, "was changed" in tampered.err) == (Exit.BROKEN, True)
    both = shell("adapters", "evaluate", "--against", "champion", "--base", "x")
    assert (both.code, "leave --base and --qa away" in both.err) == (Exit.MISTAKE, True)
    alone = shell("adapters", "evaluate", "--dataset", "x")
    assert (alone.code, "with --against" in alone.err) == (Exit.MISTAKE, True)


def test_values_are_read_as_the_tools_read_them() -> None:
    day = "2026-11-22"
    read = [read_value(words, day) for words in ("December 3", "두 명", "18만 5천원", "0042", "Namsan", "", "sofa bed")]
    assert read == ["2026-12-03", 2.0, 185_000.0, "0042", "Namsan", "", "sofa bed"]
    assert read_value("tomorrow", "") == "tomorrow"


# ----------------------------------------------------------------------------------------------------------- the model


@pytest.mark.skipif(not (WEIGHTS / EMBEDDED_ADAPTER).is_dir(), reason="adapters/weights holds no base and adapter")
def test_the_embedded_model_is_compared_for_real(tmp_path: Path) -> None:
    """The shipped adapter beside itself, over one base in memory: the same replies, and too few of them to tell."""
    points = [
        point(n, "edit", request=f"Please cancel booking BK-{n}04", tool="cancel_booking",
              args={"booking_id": "BK-1"}, edited={"booking_id": f"BK-{n}04"})
        for n in (21, 32, 47)
    ]  # fmt: skip
    made = build(points, choices=Choices(heldout=0.3), find=lambda text: [], pseudonym=lambda name: f"#{name}")
    dataset = datasets.write(made, tmp_path / "datasets")
    note(tmp_path / "gates", dataset.name, Rules())
    report = evaluated(tmp_path, WEIGHTS / EMBEDDED_ADAPTER, old_items=0)
    assert (report["verdict"], codes(report)) == ("cannot_tell", ["unknown_training", "rules_too_late", "too_few"])
    match = report["figures"]["match"]
    assert (match["candidate"], match["against"], match["low"], match["n"]) == (1.0, 1.0, None, 1)
    kept = {path: path.read_text(encoding="utf-8") for path in (tmp_path / "gates" / "replies").iterdir()}
    assert len(kept) == 3, "the candidate is the adapter that ships, so they are one speaker; the base; the reminded"
    assert all("cancel_booking" in said or json.loads(said.split("\n")[1]) for said in kept.values())


def test_at_an_endpoint_adapters_are_names_that_the_server_knows(home: Path) -> None:
    """The candidate is asked for by its id, the endpoint's own model by its name; nothing is loaded here."""
    made = build(POINTS[:20], choices=Choices(), find=lambda text: [], pseudonym=lambda name: f"#{name}")
    dataset = datasets.write(made, home / "datasets").name
    candidate = trained(home, base="c" * 16, dataset=dataset)
    with serve() as script:
        script.calls("book_room", json.dumps(ARGS))
        settings = load_settings(home=home, model="openai:llama", model_base_url=script.url)
        path = evaluate_against(Parts(settings), candidate, dataset=dataset)
    report = read_report(path.parent, path.stem)
    assert (report["verdict"], report["against"], "old_domain" in report["figures"]) == ("cannot_tell", "", False)
    asked = [request["model"] for request in script.requests]
    assert {name: asked.count(name) for name in set(asked)} == {report["candidate"]: 4, "llama": 4 + 4}
    reminded = [len(request["messages"]) for request in script.requests[-4:]]
    assert set(reminded) == {2 + 3 * 3}, "three past edits, each with what was asked, the call and a result"
    assert {request["messages"][0]["content"].count("Today is 2026-11-22") for request in script.requests} == {1}


def test_where_nobody_is_champion_the_settings_say_who_is_compared_with(tmp_path: Path) -> None:
    folder = lora(tmp_path / "mine", 5, base="b" * 16)
    identity = Registry(tmp_path / "home" / "registry").add(folder)["id"]

    def against(**given: Any) -> Path | None:
        return gating._with_the_model(load_settings(home=tmp_path / "home", **given)).folder

    shipped = WEIGHTS / EMBEDDED_ADAPTER
    assert [against(), against(adapter="champion"), against(adapter=EMBEDDED_ADAPTER)] == [shipped] * 3
    assert against(adapter=str(folder)) == folder
    assert against(adapter="desk", adapters={"desk": str(folder)}) == folder
    assert against(adapter=identity) == tmp_path / "home" / "registry" / "adapters" / identity
    with pytest.raises(AdapterNotUsable):
        against(adapter="nobody")
