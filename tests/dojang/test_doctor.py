"""The doctor: one line for each part, a remedy for each problem, and it never falls ill itself."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from tests.databases import SESSIONS
from tests.dojang.conftest import Ran, Shell
from tests.dojang.workspaces import Rehearsed, told

NAMES = [
    "Python",
    "packages",
    "home",
    "disk space",
    "PostgreSQL",
    "embedding model",
    "language model",
    "champion",
    "policy",
    "tools",
    "MCP servers",
    "access",
    "sessions",
    "port",
]


@pytest.fixture
def healthy(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """A shell in whose surroundings nothing is wrong: a free port."""
    monkeypatch.setenv("DOJANG_PORT", "0")
    return shell


def problems(result: Ran) -> dict[str, Any]:
    assert [check["name"] for check in result.json] == NAMES
    assert all(check["remedy"] for check in result.json if not check["ok"])
    return {check["name"]: check for check in result.json if not check["ok"]}


def test_nothing_is_wrong(healthy: Shell) -> None:
    healthy.paused()
    result = healthy("doctor", "--json")
    assert problems(result) == {}
    assert result.code == 0
    found = {check["name"]: check["detail"] for check in result.json}
    assert "pgvector 0." in found["PostgreSQL"]
    assert found["language model"].startswith("rehearsed@none says")
    assert "book_room" in found["tools"]
    assert found["access"].endswith("alone: no token was made")
    assert found["sessions"].startswith("1 sessions")


@pytest.mark.parametrize(("language", "said"), [("ko", "'안녕하세요 (ko)'"), ("en", "'hello (en)'")])
def test_the_model_is_greeted_in_the_language_of_the_shell(
    healthy: Shell, monkeypatch: pytest.MonkeyPatch, language: str, said: str
) -> None:
    monkeypatch.setattr(
        Rehearsed, "reply", lambda self, messages, *, language, **_: told(f"{messages[-1].text} ({language})")
    )
    monkeypatch.setenv("DOJANG_LANGUAGE", language)
    assert said in healthy("doctor").out


def test_it_speaks_korean(healthy: Shell) -> None:
    result = healthy("doctor", "--lang", "ko")
    assert (result.code, result.out.count("정상 ")) == (0, len(NAMES))
    for said in ("없음: 문서를 단어로만 찾습니다", "사용 가능", "빈 공간", "대화 0개"):
        assert said in result.out


def test_what_is_wrong_is_said_in_korean(healthy: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOJANG_POLICY", "/nowhere/policy.toml")
    result = healthy("doctor", "--lang", "ko")
    assert (
        "문제 정책: policy.toml: 읽을 수 없습니다(파일이나 폴더가 없음). 정책 파일의 경로를 지정하십시오" in result.out
    )
    assert "→" not in result.out, "an error is one message: what to do is in it"
    assert "→" in healthy("doctor").out


def test_each_problem_has_a_line_and_a_remedy_and_hides_none_of_the_others(
    healthy: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    healthy.home.mkdir(mode=0o755)
    (tmp_path / "policy.toml").write_text("not toml [")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            nobody = closed.getsockname()[1]
        monkeypatch.setenv("DOJANG_PORT", str(port))
        monkeypatch.setenv("DOJANG_DATABASE_URL", f"postgresql://kim:hunter2@127.0.0.1:{nobody}/x")
        monkeypatch.setenv("DOJANG_EMBEDDING", "/nowhere")
        monkeypatch.setenv("DOJANG_POLICY", str(tmp_path / "policy.toml"))
        monkeypatch.setenv("DOJANG_TOOLS", '["no.such.module"]')
        result = healthy("doctor", "--json")
    assert result.code == 1
    assert "hunter2" not in result.out + result.err
    found = problems(result)
    shared = {"sessions", "access"} if SESSIONS == "postgres" else set()  # they are there, too
    assert set(found) == {"home", "PostgreSQL", "embedding model", "policy", "tools", "port"} | shared
    assert "chmod 700" in found["home"]["remedy"]
    assert str(port) in found["port"]["detail"]


@pytest.mark.about_files("the database checks what its disks have")
def test_a_damaged_session_is_named(healthy: Shell) -> None:
    thread = healthy("ask", "hello", "--json").json["thread_id"]
    path = Path(healthy("thread", thread, "--json").json["folder"]) / "checkpoints.jsonl"
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(bytes(data))
    result = healthy("doctor", "--json")
    assert set(problems(result)) == {"sessions"}
    assert thread in problems(result)["sessions"]["remedy"]


def test_a_home_that_cannot_be_used_is_a_finding(healthy: Shell, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = healthy("doctor", "--json", "--home", str(tmp_path / "file"))
    assert result.code == 1
    assert "home" in problems(result)


def test_access_says_who_could_come_in(healthy: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    made = healthy("tokens", "create", "--name", "Hana", "--role", "operator", "--days", "3", "--json").json
    found = {check["name"]: check for check in healthy("doctor", "--json").json}
    assert found["access"]["detail"] == "1 tokens are active, 1 of them for less than 14 days"
    assert f"within 14 days these open nothing any more: {made['prefix']}" in healthy("tokens", "list").err
    healthy("tokens", "revoke", made["prefix"])
    assert problems(healthy("doctor", "--json"))["access"]["remedy"].startswith("nobody can come in")
    for name, value in {"ISSUER": "http://127.0.0.1:9", "CLIENT_ID": "desk", "ROLES": '{"a": ["viewer"]}'}.items():
        monkeypatch.setenv(f"DOJANG_OIDC_{name}", value)
    assert "cannot be reached" in problems(healthy("doctor", "--json"))["access"]["detail"]
