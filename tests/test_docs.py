"""The docs say what the program does: settings, snippets, links."""

from __future__ import annotations

import ast
import os
import re
import shlex
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from adapters.speakers.endpoint import cite
from dojang.gate_report import VERDICTS
from dojang.glossary import EVENTS
from dojang.language import texts_of
from dojang.reference import page as page_of_python
from dojang.server.access.table import rows
from dojang.settings import Settings, settings_table

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "README.ko.md", *sorted((ROOT / "docs").rglob("*.md"))]
KOREAN = ROOT / "docs" / "ko"
TWINS = sorted(KOREAN.rglob("*.md"))
HANGUL = re.compile("[가-힣]")
COMMAND = re.compile(r"(dojang|make|DOJANG_\w+=|\$|source|pip|from|import) ?")
"""How a line of a block begins that is the same in every language but for what a person would say."""


ITALICS = re.compile(r"(?<!\*)\*([^*\n]+)\*(?!\*)")
OTHER_WORDS = {"게이트": "관문", "평가 관문": "관문", "훈련": "학습", "검토함": "결재함"}
"""Words that the Korean pages had for what the program calls otherwise."""


def named(page: Path) -> str:
    """How a page is called in the list of tests."""
    return str(page.relative_to(ROOT))


def test_every_setting_is_documented() -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert settings_table() in page, "run: python -m dojang.settings > docs/settings.md"


def test_every_event_of_the_audit_chain_is_documented() -> None:
    page = (ROOT / "docs" / "audit.md").read_text(encoding="utf-8")
    assert {event for event in EVENTS if f"`{event}`" not in page} == set()


@pytest.mark.parametrize("page", ["docs/access.md", "docs/ko/access.md"])
def test_the_table_of_access_is_documented(page: str) -> None:
    lines = (ROOT / page).read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if re.match(r"\| `[A-Z]+ /", line)] == rows()


def test_every_setting_says_what_it_is_for() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_the_settings_say_that_there_need_be_no_embedding_model() -> None:
    assert re.search(r"\bnone\b", Settings.model_fields["embedding"].description or "")
    for page in PAGES[:2]:
        line = next(line for line in page.read_text(encoding="utf-8").splitlines() if "| `DOJANG_EMBEDDING`" in line)
        assert "`none`" in line, named(page)


@pytest.mark.parametrize("page", ["docs/generator.md", "docs/ko/generator.md"])
def test_what_the_generator_does_not_do_knows_the_setting_for_images(page: str) -> None:
    assert "`DOJANG_MODEL_READS`" in _sections((ROOT / page).read_text(encoding="utf-8"))[-1][2]


@pytest.mark.parametrize("page", ["docs/generator.md", "docs/ko/generator.md"])
def test_the_marks_that_are_said_to_be_read_from_an_endpoint_are_read(page: str) -> None:
    marks = re.findall(r"`(\[\^?\d[\d, -]*\]|【\d+】)`", (ROOT / page).read_text(encoding="utf-8"))
    passages: Any = [
        {"id": f"p{n}", "document": "d", "start": 0, "text": "So it is.", "sentences": []} for n in range(3)
    ]
    assert len(marks) == 5
    assert [mark for mark in marks if not cite(f"So it is. {mark}", passages)[1]] == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_within_the_project_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    broken = [
        target
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text)
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_python_in_the_docs_is_python(page: Path) -> None:
    for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL):
        ast.parse(block)


def test_both_readmes_have_the_same_sections_and_commands() -> None:
    english, korean = (p.read_text(encoding="utf-8") for p in PAGES[:2])
    assert len(re.findall(r"^## ", english, re.MULTILINE)) == len(re.findall(r"^## ", korean, re.MULTILINE))
    variables = re.compile(r"`(DOJANG_\w+)`")
    assert variables.findall(english) == variables.findall(korean)
    commands = re.compile(r"^dojang (?:--lang ko )?(\w+)", re.MULTILINE)
    assert Counter(commands.findall(korean)) == Counter(commands.findall(english))


@pytest.mark.parametrize("page", TWINS, ids=named)
def test_a_korean_page_and_its_english_twin_say_the_same(page: Path) -> None:
    """Section by section: settings, commands and names, rows, points, blocks, links. Prose is not compared."""
    english, korean = _english(page), page
    ours, theirs = (_sections(p.read_text(encoding="utf-8")) for p in (english, korean))
    assert [level for level, _, _ in ours] == [level for level, _, _ in theirs]
    for (_, title, one), (_, titel, other) in zip(ours, theirs, strict=True):
        where = f"{title} / {titel}"
        assert _marked(other) == _marked(one), where
        assert _links(korean, other) == _links(english, one), where
        assert _shape(other) == _shape(one), where
        block, twin = _blocks(one), _blocks(other)
        assert len(twin) == len(block), where
        assert [pair for pair in zip(block, twin, strict=True) if not _same_line(*pair)] == [], where


def test_verdicts_in_italics_on_korean_pages_are_those_that_the_program_tells() -> None:
    told = {verdict: texts_of("cli", "ko")[verdict] for verdict in VERDICTS.values()}
    quoted = 0
    for page in TWINS:
        ours, theirs = (ITALICS.findall(p.read_text(encoding="utf-8")) for p in (_english(page), page))
        wanted = Counter(told[said] for said in ours if said in told)
        assert Counter(said for said in theirs if said in told.values()) == wanted, named(page)
        quoted += wanted.total()
    assert quoted


@pytest.mark.parametrize("page", [ROOT / "README.ko.md", *TWINS], ids=named)
def test_korean_pages_call_things_as_the_program_does(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert {other: word for other, word in OTHER_WORDS.items() if other in text} == {}


@pytest.mark.parametrize("page", TWINS, ids=named)
def test_twins_name_each_other_at_the_top(page: Path) -> None:
    english = _english(page)
    there, back = os.path.relpath(page, english.parent), os.path.relpath(english, page.parent)
    assert f"[한국어]({there})" in english.read_text(encoding="utf-8").splitlines()[:4]
    assert f"[English]({back})" in page.read_text(encoding="utf-8").splitlines()[:4]


@pytest.mark.parametrize("page", [ROOT / "README.ko.md", *TWINS], ids=named)
def test_korean_pages_lead_to_korean_pages(page: Path) -> None:
    text = re.sub(r"\[English\]\([^)]*\)", "", page.read_text(encoding="utf-8"))
    inside = {str(_english(twin).relative_to(ROOT)) for twin in TWINS}
    led = {os.path.relpath(page.parent / target, ROOT) for target in re.findall(r"\]\(([^)#:]+)", text)}
    led |= set(re.findall(r"docs/[\w/-]+\.md", text))
    assert led & inside == set()


def test_the_python_reference_is_that_of_the_code() -> None:
    assert (ROOT / "docs" / "python.md").read_text(encoding="utf-8").rstrip() == page_of_python().rstrip(), (
        "run: python -m dojang.reference > docs/python.md"
    )


@pytest.mark.parametrize("name", ["promises", "threat-model", "oversight", "proofs"])
def test_the_tests_that_a_page_names_are_there(name: str) -> None:
    """Files, and functions in them."""
    text = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
    for file, function in re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", text):
        assert (ROOT / file).exists(), file
        assert re.search(rf"def {function}\b", (ROOT / file).read_text(encoding="utf-8")), (file, function)


def test_every_promise_of_the_readme_has_tests() -> None:
    """Each section of the page has at least three, so that none is emptied by and by."""
    sections = _sections((ROOT / "docs" / "promises.md").read_text(encoding="utf-8"))[1:]
    assert len(sections) == 8
    assert [title for _, title, text in sections if len(re.findall(r"::test_\w+`", text)) < 3] == []


def _english(page: Path) -> Path:
    return ROOT / "docs" / page.relative_to(KOREAN)


def _sections(text: str) -> list[tuple[int, str, str]]:
    """Level, title and text of each section; a line in a block is no heading."""
    found: list[tuple[int, str, list[str]]] = []
    fenced = False
    for line in text.splitlines():
        fenced ^= line.startswith("```")
        heading = None if fenced else re.match(r"(#+) (.*)", line)
        if heading:
            found.append((len(heading[1]), heading[2], []))
        else:
            found[-1][2].append(line)
    return [(level, title, "\n".join(lines)) for level, title, lines in found]


def _prose(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def _marked(text: str) -> set[str]:
    """What stands between backticks, on one line or two, and settings anywhere; ``NAME`` may be in Korean."""
    spans = re.findall(r"`([^`]+)`", _prose(text)) + re.findall(r"DOJANG_\w+", text)
    return {" ".join(span.split()).replace("이름", "NAME") for span in spans}


def _blocks(text: str) -> list[str]:
    """The lines of all fenced blocks, fences and their languages with them."""
    return "".join(re.findall(r"^```.*?^```\n?", text, flags=re.DOTALL | re.MULTILINE)).splitlines()


def _links(page: Path, text: str) -> Counter[str]:
    """Where links lead; not to which place in a page, which has another name in the other language."""
    targets = [t if "://" in t else t.partition("#")[0] for t in re.findall(r"\]\(([^)]+)\)", _prose(text))]
    inside = [os.path.relpath(page.parent / t, ROOT).replace("docs/ko/", "docs/") for t in targets if "://" not in t]
    own = os.path.relpath(page, ROOT).replace("docs/ko/", "docs/")
    return Counter([t for t in inside if t != own] + [t for t in targets if "://" in t])


def _shape(text: str) -> tuple[int, int, int]:
    """How many rows of tables, points of lists, paragraphs that begin or end with neither."""
    lines = _prose(text).splitlines()
    paragraphs = len(re.findall(r"(?:^|\n\n)(?![-|\s])", _prose(text).strip()))
    return sum(line.startswith("|") for line in lines), sum(line.startswith("- ") for line in lines), paragraphs


def _same_line(line: str, twin: str) -> bool:
    """Whether two lines of a block are the same but for their comments and for words in Korean."""
    english, korean = (re.sub(r"(^|\s+)# .*", "", text).rstrip() for text in (line, twin))
    if english == korean:
        return True
    first = HANGUL.search(korean)
    if first is None:
        return False
    if not COMMAND.match(korean):
        return english.startswith(korean[: first.start()].rstrip(" \"'"))
    words, their = shlex.split(english), shlex.split(korean)
    return len(words) == len(their) and all(a == b or HANGUL.search(b) for a, b in zip(words, their, strict=True))
