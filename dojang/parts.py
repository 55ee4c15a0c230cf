"""Builds the parts from the settings, each when it is first needed.

Listing reviews reads files only; searching needs the database; asking needs everything. Importing torch takes seconds,
so nothing here imports a part before it is used.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, cast

from langgraph.checkpoint.base import CheckpointTuple

import dojang
from dojang.attachments import Attachments
from dojang.chosen import load_embedder_of, mcp_servers_of, qdrant_place, store_key
from dojang.messages import said
from dojang.notice import Notice
from dojang.observing.observer import Observer
from dojang.observing.tracing import Tracing
from dojang.pausing import Pressing, switch_of
from dojang.settings import SAMPLE, Settings, secrets_of
from dojang.summarising import summarise
from graph import AgentGraph, build_graph
from nodes.ports import Clock, Deps, Generator, NoPrompts, SystemClock

if TYPE_CHECKING:
    from checkpoints import DecisionLog, EffectLedger, FileSaver, PromptLog, ThreadIndex
    from checkpoints.audit.trail import AuditLog
    from checkpoints.backend import Backend
    from checkpoints.files.crypto import KeyRing
    from checkpoints.files.folders import ThreadFolders
    from checkpoints.looking import Looking
    from checkpoints.postgres.saver import PgSaver
    from checkpoints.records.about import AboutThreads
    from checkpoints.records.attachments import AttachmentLog
    from checkpoints.records.notices import NoticeLog
    from dojang.checks import Checks
    from dojang.cited import CitedIndex
    from dojang.sessions import Sessions
    from store.port import Documents
    from tools.mcp.servers import McpServers
    from tools.policy import FilePolicy
    from tools.standing import Standing
    from tools.toolbox import Toolbox


class Parts:
    """The real parts behind the ports. Thread-safe; close it to give back what it holds."""

    def __init__(self, settings: Settings, *, clock: Clock | None = None) -> None:
        self.settings = settings
        self.clock: Clock = clock or SystemClock()
        self._exit = ExitStack()
        self._lock = threading.RLock()
        self.observer = Observer(secrets_of(settings))
        if settings.traces:
            self.observe()

    def observe(self, *, numbers: bool = False) -> Observer:
        """Observe what is done from here on, as the settings say; ``numbers``: count it, too.

        Raises:
            UserError: spans are wanted, and what sends them is not installed.
        """
        with self._lock:
            had, s = self.observer, self.settings
            metrics, tracing = had.metrics, had.tracing
            if numbers and s.metrics and metrics is None:
                from dojang.observing.metrics import Metrics

                metrics = Metrics(self.tool_names)
            if s.traces and tracing is None:
                tracing = Tracing.start(dojang.__version__)
            had.stop()
            self.observer = Observer(secrets_of(s), metrics=metrics, tracing=tracing, tools=self.tool_names)
            self.observer.start()
            return self.observer

    def close(self) -> None:
        """Close what was opened, newest first."""
        with self._lock:
            self._exit.close()
            self.observer.close()

    def on_close(self, callback: Callable[[], object]) -> None:
        """Also call this when the parts are closed, before what was opened earlier."""
        with self._lock:
            self._exit.callback(callback)

    def today(self) -> date:
        """The date that "tomorrow" is counted from."""
        return self.settings.today or self.clock.now().astimezone().date()

    # -- sessions -------------------------------------------------------------------------------------------------

    @cached_property
    def session_keys(self) -> KeyRing | None:
        """What the sessions are sealed with; None where they are plain."""
        from dojang.sessions import load_session_keys

        return load_session_keys(self.settings)

    @cached_property
    def saver(self) -> FileSaver | PgSaver:
        """The states of sessions."""
        from dojang.sessions import saver_of

        return saver_of(self.settings, self.sessions)

    @cached_property
    def sessions(self) -> Sessions:
        """Where the sessions lie, opened."""
        from dojang.sessions import open_sessions

        with self._lock:
            found = open_sessions(self.settings)
            self._exit.callback(found.close)
            return found

    @property
    def backend(self) -> Backend:
        """Where the records of sessions lie."""
        return self.sessions.backend

    @property
    def folders(self) -> ThreadFolders:
        """Which folder is which thread; OnlyAsFiles where the sessions lie in a database."""
        return self.backend.folders

    @cached_property
    def about(self) -> AboutThreads:
        """What clients have noted about sessions."""
        from checkpoints.records.about import AboutThreads

        return AboutThreads(self.backend)

    @cached_property
    def audit(self) -> AuditLog:
        """Who saw what, decided what and what came of it."""
        from checkpoints.audit.trail import AuditLog

        keys = self.settings.home / "keys"
        return AuditLog(self.backend, keys, clock=self.clock.now)

    @cached_property
    def decisions(self) -> DecisionLog:
        """Who decided what."""
        from checkpoints.audit.trail import AuditedDecisions

        return AuditedDecisions(self.backend, self.audit)

    @cached_property
    def ledger(self) -> EffectLedger:
        """Intents and outcomes."""
        from checkpoints.audit.trail import AuditedLedger

        return AuditedLedger(self.backend, self.audit)

    @cached_property
    def prompts(self) -> PromptLog:
        """What the model was given and said, for training."""
        from checkpoints import PromptLog

        return PromptLog(self.backend)

    @cached_property
    def attachment_log(self) -> AttachmentLog:
        """The files that came with messages."""
        from checkpoints.records.attachments import AttachmentLog

        return AttachmentLog(self.backend)

    @cached_property
    def attachments(self) -> Attachments:
        """The same as the model is given them."""
        return Attachments(self.attachment_log, frozenset(self.settings.model_reads), self.settings.passages_k)

    @cached_property
    def notice(self) -> Notice:
        """Whom to tell of what needs attention."""
        return Notice(self.settings.notify, self._outbox)

    def _outbox(self) -> NoticeLog:
        from checkpoints.records.notices import NoticeLog

        return NoticeLog(self.backend, clock=self.clock.now)

    @cached_property
    def index(self) -> ThreadIndex:
        """What is searched across threads; derived from the sessions."""
        from checkpoints import ThreadIndex
        from checkpoints.index import Watched

        if self.sessions.database is not None:
            watched = Watched(self.saver, self.decisions, self.looking())
            return ThreadIndex(self.settings.home / "index-postgres.sqlite", watched, summarise)
        keys = self.session_keys
        path = self.settings.home / ("index.sqlite" if keys is None else "index-sealed.sqlite")
        return ThreadIndex(path, self.settings.threads, summarise, keys=keys)

    def looking(self) -> Looking:
        """What remembers which sessions one has seen, and has seen none yet."""
        if self.sessions.database is not None:
            from checkpoints.postgres.looking import PgLook

            return PgLook(self.sessions.database)
        from checkpoints.looking import Look

        return Look(self.settings.threads)

    @cached_property
    def _look(self) -> Looking:
        return self.looking()

    def changes(self, thread_id: str) -> str:
        """Another one after each change of what lists show of a thread; "" where there is none."""
        from checkpoints.files.folders import folder_name

        return self._look.signature(folder_name(thread_id))

    @cached_property
    def cited(self) -> CitedIndex:
        """Which answers cited which passage; derived from the sessions."""
        from dojang.cited import CitedIndex

        def newest(thread_id: str) -> CheckpointTuple | None:
            return self.saver.get_tuple({"configurable": {"thread_id": thread_id}})

        name = "cited.sqlite" if self.sessions.database is None else "cited-postgres.sqlite"
        return CitedIndex(self.settings.home / name, self.looking(), newest)

    @cached_property
    def switch(self) -> Pressing:
        """What stops all runs."""
        return switch_of(self.settings.home, self.backend)

    @cached_property
    def checks(self) -> Checks:
        """Reviews with a known answer that were put between the others."""
        from dojang.checks import Checks

        return Checks(self.settings.home / "checks")

    def run_lock(self, thread_id: str, owner: str = "") -> AbstractContextManager[object]:
        """Held while a run is under way; a second run on the thread is an error at once."""
        from checkpoints import run_lock

        who = owner or f"{self.settings.user}, process {os.getpid()}"
        if self.sessions.locks is not None:
            return self.sessions.locks.run_lock(thread_id, who)
        return run_lock(self.settings.threads, thread_id, owner=who)

    @cached_property
    def graph(self) -> AgentGraph:
        """The compiled agent."""
        return build_graph(self.saver)

    @property
    def reader(self) -> AgentGraph:
        """The same graph, where only its states are read."""
        return self.graph

    # -- the world ------------------------------------------------------------------------------------------------

    @cached_property
    def dsn(self) -> str:
        """A database that answers: the one of the settings, or the embedded server, started if it is not up."""
        from dojang.sessions import watchful
        from store import EmbeddedPostgres

        with self._lock:
            if self.settings.database_url is not None:
                return watchful(self.settings.database_url.get_secret_value())
            return self._exit.enter_context(EmbeddedPostgres(self.settings.home / "postgres"))

    @cached_property
    def store(self) -> Documents:
        """The documents."""
        from store.models.reranking import load_reranker

        s, limit = self.settings, self.settings.document_mb * 2**20
        key = s.reranker_api_key.get_secret_value() if s.reranker_api_key else None
        with self._lock:
            embedder = load_embedder_of(s)
            reranker = load_reranker(s.reranker, base_url=s.reranker_base_url, api_key=key)
            if (place := qdrant_place(s)) is not None:
                from store.qdrant.store import QdrantStore

                made = QdrantStore(place, embedder, key=store_key(s), reranker=reranker, limit_bytes=limit)
                return self._exit.enter_context(made)
            from store import DocumentStore

            return self._exit.enter_context(DocumentStore(self.dsn, embedder, reranker=reranker, limit_bytes=limit))

    @cached_property
    def toolbox(self) -> Toolbox:
        """What the agent may do."""
        from tools.toolbox import Toolbox

        with self._lock:
            return Toolbox.open(
                self.settings.tools,
                dsn=self.dsn,
                outbox=self.settings.home / "outbox",
                today=self.today,
                sample=SAMPLE / "hotels.toml",
                mcp=self.mcp,
            )

    @cached_property
    def mcp(self) -> McpServers | None:
        """The MCP servers of the settings; they are started or connected to when they are first asked."""
        servers = mcp_servers_of(self.settings, connects=True)
        if servers is not None:
            self._exit.callback(servers.close)
        return servers

    def describer(self) -> Toolbox:
        """The tools as far as they say what a call does: lists and cards need no database for that."""
        return cast("Toolbox", self.__dict__.get("toolbox") or self._described)

    def tool_names(self) -> frozenset[str]:
        """The names of the tools that there are."""
        return self.describer().names()

    @cached_property
    def _described(self) -> Toolbox:
        from tools.toolbox import Toolbox

        return Toolbox.open(self.settings.tools, today=self.today, mcp=mcp_servers_of(self.settings, connects=False))

    @cached_property
    def policy(self) -> FilePolicy:
        """The rules."""
        from tools.policy import load_policy

        return load_policy(self.settings.policy, self.settings.hard_policy, standing=self.standing)

    @cached_property
    def standing(self) -> Standing:
        """What was approved in advance."""
        from dojang.noted import noted_standing

        return noted_standing(self.settings.home, self.backend, self.audit, self.clock.now)

    @cached_property
    def generator(self) -> Generator:
        """Who the settings name, else what goes with the model. Whom a conversation has, ``dojang.speaking`` knows."""
        from adapters.registry.aliases import Registry
        from adapters.serving import EMBEDDED, EMBEDDED_ADAPTER, ENDPOINT

        s, named = self.settings, self.settings.adapter
        if not named or (named == EMBEDDED_ADAPTER and s.model == EMBEDDED and named not in s.adapters):
            return self.generator_of_model
        if s.model.startswith(ENDPOINT):
            return self.generator_named(named)
        folder = Path(s.adapters.get(named, named)).expanduser().absolute()
        place = folder if folder.is_dir() else Registry(s.home / "registry").path(named)
        return self.generator_beside(place.resolve().name.replace(".", "-"), place)

    @cached_property
    def generator_of_model(self) -> Generator:
        """What goes with the model: the shipped base and its adapter, a folder's base alone, an endpoint's model."""
        from adapters import EMBEDDED, EMBEDDED_ADAPTER

        with self._lock:
            return self._loaded(EMBEDDED_ADAPTER if self.settings.model == EMBEDDED else None)

    def generator_beside(self, name: str, folder: Path) -> Generator:
        """A generator of one more adapter on the local base that is loaded; see ``adapters.serving.beside``."""
        from adapters.generator import ChatGenerator
        from adapters.serving import beside

        return beside(cast(ChatGenerator, self.generator_of_model), name, folder)

    def generator_named(self, adapter: str) -> Generator:
        """A generator of an endpoint's adapter."""
        return self._loaded(adapter)

    def _loaded(self, adapter: str | None) -> Generator:
        from adapters import load_generator
        from dojang.served import putting_back

        s = self.settings
        return load_generator(
            s.model,
            today=lambda: self.today().isoformat(),
            adapter=adapter,
            adapters={name: Path(path).expanduser().absolute() for name, path in s.adapters.items()},
            quantization=s.quantization,
            device=s.device,
            int8_threshold=s.int8_threshold,
            allow_pickle=s.allow_pickle,
            download=s.model_download,
            base_url=s.model_base_url,
            api_key=s.model_api_key.get_secret_value() if s.model_api_key else None,
            timeout_s=s.model_timeout_s,
            max_retries=s.model_retries,
            budget_s=s.model_budget_s,
            strict=s.model_strict,
            prices=s.model_prices,
            put_back=putting_back(s),
        )

    @cached_property
    def deps(self) -> Deps:
        """Everything that the nodes may call, where the one of the settings speaks."""
        return self.deps_of(self.generator, "")

    def deps_of(self, generator: Generator, adapter: str) -> Deps:
        """Everything that the nodes may call, where this one speaks; ``adapter``: what a thread keeps of it."""
        return Deps(
            retriever=self.store,
            generator=generator,
            adapter=adapter,
            toolbox=self.toolbox,
            policy=self.policy,
            ledger=self.ledger,
            decisions=self.decisions,
            clock=self.clock,
            requester=self.settings.user,
            passages_k=self.settings.passages_k,
            roles=None if self.settings.roles is None else tuple(self.settings.roles),
            feedback=self.settings.feedback,
            outbox=self.notice,
            prompts=self.prompts if self.settings.keep_prompts else NoPrompts(),
            attachments=self.attachments,
            told=said,
        )
