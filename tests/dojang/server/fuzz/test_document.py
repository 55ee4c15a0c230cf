"""LangGraph's routes under generated requests (`make fuzz`: all), held against the document; values that hurt."""

from __future__ import annotations

import json
import logging
import re
from collections import Counter, defaultdict
from collections.abc import Iterator

import pytest
from schemathesis.core.failures import FailureGroup

from dojang.server.access.table import TABLE
from tests.dojang.server.conftest import open_workspace
from tests.dojang.server.fuzz.hostile import BODIES, bodies_of
from tests.dojang.server.fuzz.surface import MODES, Surface, opened

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
SEED = 20261126
EXAMPLES = 1
TAGS = {"assistants", "langgraph threads", "langgraph runs", "langgraph state", "langgraph items"}
"""Whose routes the short run takes; ``make fuzz`` takes all."""


@pytest.fixture(scope="module")
def surface(tmp_path_factory: pytest.TempPathFactory, postgres_server: str) -> Iterator[Surface]:
    home = tmp_path_factory.mktemp("surface")
    with open_workspace(home, postgres_server, language="en") as workspace, opened(workspace) as found:
        yield found


def test_generated_requests_get_what_the_document_says(surface: Surface) -> None:
    sent: Counter[str] = Counter()
    wrong = {}
    for operation in surface.operations():
        if not set(operation.tags or ()) & TAGS:
            continue
        for mode in MODES:
            try:
                sent[mode] += surface.fuzz(operation, mode, examples=EXAMPLES, seed=SEED)
            except (Exception, FailureGroup) as error:
                wrong[f"{operation.label} {mode}"] = str(error)
    assert wrong == {}
    assert all(sent[mode] > 30 for mode in MODES), sent


def test_a_value_that_hurts_is_refused_or_taken_but_breaks_nothing(
    surface: Surface, caplog: pytest.LogCaptureFixture
) -> None:
    threads = surface.ids["thread_id"]
    ids = {"quiet": threads[1], "waits": threads[2], "review": surface.ids["review_id"][0]}
    json_type = {"content-type": "application/json"}
    with caplog.at_level(logging.ERROR):
        for method, path, good in BODIES:
            for what, body in bodies_of(good):
                answer = surface.http.request(method, path.format(**ids), content=body, headers=json_type)
                where = f"{method} {path} with {what}: {answer.status_code} {answer.text[:200]}"
                assert answer.status_code < 500, where
                if answer.content:
                    assert "NaN" not in str(json.loads(answer.content, parse_constant=lambda _: "NaN")), where
    assert [record.getMessage() for record in caplog.records] == []


def test_a_method_that_is_not_declared_is_405_and_says_which_are(surface: Surface) -> None:
    paths = surface.http.get("/openapi.json").json()["paths"]
    ids = defaultdict(lambda: "x", {name: known[0] for name, known in surface.ids.items()})
    wrong = []
    for path, declared in paths.items():
        assert declared
        for method in METHODS:
            where = path.format_map(ids)
            if any(method.lower() in paths[other] and re.fullmatch(_pattern(other), where) for other in paths):
                continue  # declared, under this template or under one that this path fits as well
            if any(method == known and re.fullmatch(_pattern(other), where) for known, other in TABLE):
                continue  # a form of the console's, which the document does not tell of
            answer = surface.http.request(method, where, headers={"accept": "application/json"})
            allowed = set(answer.headers.get("allow", "").replace(" ", "").split(",")) - {"HEAD"}
            if answer.status_code != 405 or method in allowed or not allowed - {""}:
                wrong.append(f"{method} {path}: {answer.status_code}, allow {sorted(allowed)}")
    assert wrong == []


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/xml", "application/json; charset=utf-16", "multipart/form-data"]
)
def test_a_body_of_another_kind_is_refused(surface: Surface, kind: str) -> None:
    answer = surface.http.post("/threads/search", content=b"<a>\xff</a>", headers={"content-type": kind})
    assert 400 <= answer.status_code < 500, answer.text


def _pattern(path: str) -> str:
    return re.sub(r"{(\w+)}", lambda found: ".+" if found[1] in ("namespace", "name") else "[^/]+", path)
