"""Examines an installation: each check says what it found, and what to do where something is wrong.

Every check stands alone: one that fails (or whose part cannot even be imported) does not stop the others.
"""

from __future__ import annotations

import os
import platform
import shutil
import socket
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from dojang.chosen import load_embedder_of
from dojang.home import check_home
from dojang.parts import Parts
from dojang.results import Check
from dojang.settings import Settings
from dojang.speaking import Speaking
from dojang.vocabulary import N_
from state import DojangError, Language

NEEDED_PYTHON = (3, 11)
NEEDED_DISK_MB = 500
GIB = 2**30

Finding = tuple[bool, str, str]
"""(fine, what was found, what to do about it)."""


def examine(parts: Parts, language: Language = "en") -> Iterator[Check]:
    """All checks in order, each as soon as it is known. Opens the parts; closing them is the caller's.

    ``language``: in which the model is greeted, for whoever reads what it says.
    """
    settings = parts.settings
    probes: list[tuple[str, Callable[[], Finding]]] = [
        (N_("Python"), _python),
        (N_("packages"), _origin),
        (N_("home"), lambda: _home(settings.home)),
        (N_("disk space"), lambda: _disk(settings.home)),
        (N_("PostgreSQL"), lambda: _postgres(parts)),
        (N_("embedding model"), lambda: _embedding(settings)),
        (N_("language model"), lambda: _generator(parts, language)),
        (N_("champion"), lambda: _champion(parts)),
        (N_("policy"), lambda: _policy(parts)),
        (N_("tools"), lambda: _tools(settings)),
        (N_("MCP servers"), lambda: _mcp(parts)),
        (N_("access"), lambda: _access(parts)),
        (N_("sessions"), lambda: _sessions(parts)),
        (N_("port"), lambda: _port(settings.host, settings.port)),
    ]
    for name, probe in probes:
        yield _checked(name, probe)


def _checked(name: str, probe: Callable[[], Finding]) -> Check:
    try:
        fine, detail, remedy = probe()
    except DojangError as error:
        what, _semicolon, todo = str(error).partition("; ")
        return Check(name, False, what, todo or "see the message")
    except Exception as error:  # a check must say what is wrong, whatever breaks under it
        return Check(name, False, f"{type(error).__name__}: {error}", "reinstall Dojang, or report this line")
    return Check(name, fine, detail, "" if fine else remedy)


def _python() -> Finding:
    fine = sys.version_info >= NEEDED_PYTHON
    return fine, f"{platform.python_version()}, {platform.platform()}", "install Python 3.11 or newer"


def _origin() -> Finding:
    from dojang import __version__
    from dojang.origin import check_origin

    check_origin()
    return True, f"dojang {__version__} from {Path(__file__).resolve().parents[1]}", ""


def _home(home: Path) -> Finding:
    check_home(home)
    mode = stat.S_IMODE(home.stat().st_mode)
    probe = home / ".doctor"
    probe.write_text("ok")
    probe.unlink()
    if (
        os.name == "nt"
    ):  # modes say nothing there: whose a folder is, is in its access list, which Windows makes the user's
        return True, str(home), ""
    return (
        not mode & 0o077,
        f"{home}, mode {mode:04o}",
        f"others can look into it: chmod 700 {home}",
    )


def _disk(home: Path) -> Finding:
    free = shutil.disk_usage(home if home.exists() else home.parent).free
    return free >= NEEDED_DISK_MB * 2**20, f"{free / GIB:.1f} GiB free", f"free at least {NEEDED_DISK_MB} MB"


def _postgres(parts: Parts) -> Finding:
    from store.database import connect, describe

    dsn = parts.dsn
    with closing(connect(dsn)) as connection:
        server = connection.execute("SHOW server_version").fetchone()
        vector = connection.execute("SELECT default_version FROM pg_available_extensions WHERE name = 'vector'")
        found = vector.fetchone()
    where = "embedded" if parts.settings.database_url is None else describe(dsn)
    version = f"PostgreSQL {server[0] if server else '?'} ({where})"
    return (
        found is not None,
        f"{version}, pgvector {found[0] if found else 'missing'}",
        "install pgvector on that server, or unset DOJANG_DATABASE_URL to use the embedded one",
    )


def _embedding(settings: Settings) -> Finding:
    embedder = load_embedder_of(settings)
    if embedder is None:
        return True, "none: documents are found by words alone", ""
    vector = embedder.embed(["When is breakfast?"])
    languages = ", ".join(sorted(embedder.languages))
    return vector.shape == (1, embedder.dimension), f"{embedder.name}, {embedder.dimension} wide, knows {languages}", ""


def _generator(parts: Parts, language: Language) -> Finding:
    from langchain_core.messages import HumanMessage

    voices = Speaking(parts).voices
    speaks = voices.speaker(voices.begin("doctor"))
    greeting = HumanMessage("안녕하세요" if language == "ko" else "hello")
    generation = speaks.reply([greeting], passages=[], tools=[], language=language)
    said = generation["clarification"] or generation["message"].text
    return bool(generation["speaker"]), f"{generation['speaker']} says: {said[:60]!r}", ""


def _champion(parts: Parts) -> Finding:
    """Whether the registry's champion is who new conversations begin with, or why not."""
    from adapters.registry.folders import entry, verify

    voices, asked = Speaking(parts).voices, parts.settings.adapter or ""
    champion = voices.registry.aliases().get("champion", "")
    if not champion:
        return True, "none: what goes with the model speaks", ""
    verify(voices.registry.adapters, champion)
    if asked not in ("", "champion"):
        return True, f"{champion}; DOJANG_ADAPTER names {asked}, so it begins no conversation", ""
    if voices.served:
        voices.registry.serve(champion)
        return True, f"{champion}, loaded at the endpoint", ""
    if voices.endpoint:
        served = asked == "champion"
        return (
            served,
            f"{champion}, asked for by this name at the endpoint" if served else f"{champion}, not served",
            ("where the endpoint's server has it under its id, set DOJANG_ADAPTER=champion"),
        )
    if voices.champion() != champion:
        base = entry(voices.registry.adapters, champion)["base"] or "nobody noted"
        return (
            False,
            f"{champion} cannot be served: it was trained on base {base}, another one than {parts.settings.model}",
            "set DOJANG_MODEL to its base, or promote an adapter of this one",
        )
    return True, f"{champion}, on this base", ""


def _policy(parts: Parts) -> Finding:
    return True, f"{parts.settings.policy}, version {parts.policy.version}", ""


def _tools(settings: Settings) -> Finding:
    from tools.loading import load_tools

    if not settings.tools and settings.mcp is not None:
        return True, "those of MCP servers alone", ""
    names = [tool.name for module in load_tools(settings.tools) for tool in module.tools]
    return bool(names), ", ".join(names), ""


def _mcp(parts: Parts) -> Finding:
    """Whether the servers answer, and are what was accepted."""
    servers = parts.mcp
    if servers is None:
        return True, "none: DOJANG_MCP names no file", ""
    problems = servers.problems()
    if problems:
        return False, "; ".join(problems), "mend that, or take the server out of the file of DOJANG_MCP"
    return True, f"{', '.join(servers.servers)}: {len(servers.tools)} tools, as they were accepted", ""


def _access(parts: Parts) -> Finding:
    """Who could come in over HTTP; where people log in with a provider, whether it can be asked."""
    from dojang.server.access.oidc.provider import Provider
    from dojang.server.access.tokens import SOON
    from dojang.server.opening import tokens_of
    from dojang.server.signing_in import client_of

    tokens, client = tokens_of(parts.settings, parts.sessions, parts.audit), client_of(parts.settings)
    made, now = tokens.all(), tokens.now()
    active = [token for token in made if token.status(now) == "active"]
    soon = sum(token.ends_soon(now) for token in active)
    if client is not None:
        Provider(client, tokens.now).description()
        return True, f"people log in with {client.issuer}; {len(active)} tokens are active", ""
    if not made:
        return True, f"the local user {parts.settings.user} alone: no token was made", ""
    return (
        bool(active),
        f"{len(active)} tokens are active, {soon} of them for less than {SOON.days} days",
        "nobody can come in: make a token with `dojang tokens create`",
    )


def _sessions(parts: Parts) -> Finding:
    from checkpoints import verify
    from dojang.sessions import in_postgres

    if in_postgres(parts.settings):
        return True, f"{sum(1 for _ in parts.backend.threads())} sessions in PostgreSQL", ""
    report = verify(parts.settings.threads)
    found = f"{report['threads']} sessions, {report['records']} records"
    if report["damaged"]:
        problems = "; ".join(problem for thread in report["damaged"] for problem in thread["problems"])
        ids = " ".join(thread["thread_id"] or thread["folder"] for thread in report["damaged"])
        return False, f"{found}; damaged: {problems}", f"`dojang checkpoints repair ID` for {ids}"
    return True, found, ""


def _port(host: str, port: int) -> Finding:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return False, f"{host}:{port}: {error.strerror}", "stop what uses it, or set DOJANG_PORT to another"
    return True, f"{host}:{port} is free", ""
