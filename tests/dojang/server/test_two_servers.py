"""Two servers, each with a home of its own, over one database: who may come in, what they keep, what they put off."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph_sdk import get_sync_client
from langgraph_sdk.client import SyncLangGraphClient

from checkpoints.audit.trail import AuditLog
from dojang.beside import Beside
from dojang.server.access.database import Database
from dojang.server.access.oidc.persons import named
from dojang.server.access.places import SharedPlace
from dojang.server.access.tokens import BadToken, Tokens
from dojang.server.app import check_reach
from dojang.server.items import Items
from dojang.server.opening import tokens_of
from dojang.server.taking_over import beside_of
from dojang.server.work import Work
from dojang.snoozes import Snoozes
from dojang.workspace import Workspace
from state import Conflict
from tests.databases import fresh_database
from tests.dojang.server.conftest import many_rooms
from tests.dojang.server.langgraph.conftest import Held, says, served
from tests.dojang.workspaces import workspace_for
from tests.sessions_in_postgres import database_at


@dataclass
class Server:
    """One of the two."""

    url: str
    work: Work
    workspace: Workspace

    @property
    def tokens(self) -> Tokens:
        parts = self.workspace.parts
        return tokens_of(parts.settings, parts.sessions, parts.audit)

    def client(self, token: str) -> SyncLangGraphClient:
        return get_sync_client(url=self.url, api_key=token, timeout=60)

    def status(self, secret: str = "", **cookies: str) -> int:
        """Of the inbox, for whoever has this token or these cookies."""
        sent = {"authorization": f"Bearer {secret}"} if secret else {}
        return httpx.get(self.url, headers={"accept": "text/html", **sent}, cookies=cookies).status_code

    def logged_in(self, secret: str) -> str:
        """The cookie of somebody who has logged in here."""
        headers = {"origin": self.url.rstrip("/"), "sec-fetch-site": "same-origin"}
        answer = httpx.post(f"{self.url}login", data={"token": secret}, headers=headers)
        return answer.cookies["dojang_session"]


@pytest.fixture(scope="module")
def model() -> Held:
    return Held()


@pytest.fixture(scope="module")
def pair(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: str, model: Held
) -> Iterator[tuple[Server, Server]]:
    """Both up; a worker beside them."""
    more: dict[str, Any] = {"sessions": "postgres", "workers": 0, "generator": model, "language": "en"}
    place = tmp_path_factory.mktemp("two")
    with fresh_database(postgres_server) as dsn:
        homes = [place / "one" / "home", place / "two" / "home"]
        with workspace_for(homes[0], dsn, **more) as a, workspace_for(homes[1], dsn, **more) as b:
            a.parts.toolbox  # noqa: B018 - its tables are made
            many_rooms(dsn)
            with served(a) as one, served(b) as two, Work(a, workers=2, follows=False, name="worker"):
                yield Server(*one, a), Server(*two, b)


def test_who_may_come_in_is_the_same_at_once_at_both(pair: tuple[Server, Server]) -> None:
    one, two = pair
    assert not two.tokens.any()
    secret, made = one.tokens.make("hana", ["operator"], days=1, by="kim")
    assert [two.status(secret), two.status()] == [200, 303], "the local user needs one at both from now on"
    cookie = one.logged_in(secret)
    assert two.status(dojang_session=cookie) == 200
    two.tokens.revoke(made.prefix, by="kim")
    assert [one.status(secret), one.status(dojang_session=cookie)] == [401, 303]
    notes = [note["event"] for note in one.workspace.parts.audit.records(None) if note["event"].startswith("token.")]
    assert notes == ["token.made", "token.revoked"]


def test_a_run_of_one_is_read_at_the_other_and_items_and_snoozes_are_seen_there(
    pair: tuple[Server, Server], model: Held
) -> None:
    one, two = pair
    secret, _ = one.tokens.make("minji", ["operator"], days=1, by="kim")
    with one.client(secret) as here, two.client(secret) as there:
        thread_id, review_id = _followed(here, there, model)
        here.store.put_item(["notes"], key="k", value={"seen": thread_id})
        assert there.store.get_item(["notes"], key="k")["value"] == {"seen": thread_id}
    now = datetime.now(UTC)
    one.workspace.put_off(review_id, 1800, by="minji")
    assert list(two.workspace.snoozes.of("minji", now)) == [review_id]
    two.workspace.put_back(review_id, by="minji")
    assert one.workspace.snoozes.of("minji", now) == {}


def _followed(here: SyncLangGraphClient, there: SyncLangGraphClient, model: Held) -> tuple[str, str]:
    """A run of one server is read at the other while it is under way; its thread, and the review that it waits for."""
    thread: Any = here.threads.create()
    with model.held():
        run: Any = here.runs.create(
            thread["thread_id"], "dojang", input=says("please book it"), stream_mode=["values"], stream_resumable=True
        )
        assert model.speaking.wait(30)
        reading = there.runs.join_stream(thread["thread_id"], run["run_id"])
        assert next(reading).event == "metadata", "while it is under way"
        model.free.set()
    assert [part.event for part in reading][-1] == "end"
    [review] = here.threads.get_state(thread["thread_id"])["interrupts"]
    review_id = review["value"]["review"]["id"]
    return thread["thread_id"], review_id


@pytest.fixture
def beside(postgres_dsn: str) -> Iterator[Beside]:
    database, pool = database_at(postgres_dsn)
    yield Beside(database)
    pool.close()


def test_a_name_is_given_once_among_tokens_and_people_of_a_provider(beside: Beside, tmp_path: Path) -> None:
    place = SharedPlace(beside)
    tokens = Tokens(place, AuditLog(tmp_path / "threads", tmp_path / "keys"))
    with place.writing() as db:
        assert named(db, "https://id.example.com", "7", "Hana", local="kim", now="2026-11-26") == ("Hana", True)
        assert named(db, "https://id.example.com", "7", "Another", local="kim", now="2026-11-26") == ("Hana", False)
    with pytest.raises(Conflict, match="choose another name"):
        tokens.make("hana", ["viewer"], days=1, by="kim")
    assert tokens.people(frozenset(("viewer",))) == ["Hana"]
    assert tokens.all() == []


def test_who_cannot_be_taken_over_for_a_name_is_said(
    postgres_server: str, tmp_path: Path, model: Held, caplog: pytest.LogCaptureFixture
) -> None:
    home, issuer = tmp_path / "home", "https://id.example.com"
    with Database(home / "tokens.sqlite").writing() as file:
        for sub, name in (("7", "Hana"), ("8", "Minji")):
            named(file, issuer, sub, name, local="kim", now="2026-11-26")
    with (
        fresh_database(postgres_server) as dsn,
        workspace_for(tmp_path / "other", dsn, sessions="postgres", generator=model) as workspace,
    ):
        sessions = workspace.parts.sessions
        beside = sessions.beside
        assert beside is not None
        with beside.writing() as db:
            named(db, issuer, "9", "Hana", local="kim", now="2026-11-26")
        beside_of(workspace.settings.model_copy(update={"home": home}), sessions)
        with beside.reading() as db:
            people = {tuple(row) for row in db.execute("SELECT sub, name FROM identities").fetchall()}
    assert people == {("9", "Hana"), ("8", "Minji")}
    told = [record.getMessage() for record in caplog.records if "somebody else's" in record.getMessage()]
    assert told == [f"Hana is somebody else's name in the database: {issuer}#7 gets another one at the next log-in"]


def test_what_older_programs_left_as_files_is_taken_over_once(
    postgres_server: str, tmp_path: Path, model: Held
) -> None:
    home, now = tmp_path / "home", datetime.now(UTC)
    old = Tokens(home, AuditLog(tmp_path / "threads", tmp_path / "keys"))
    secret, made = old.make("hana", ["viewer"], days=1, by="kim")
    with closing(Items(home / "items.sqlite")) as items:
        items.put("hana", ["a", "b"], "k", {"v": 1})
    review: Any = {"id": "rv_1", "due_at": "2100-01-01T00:00:00+00:00"}
    Snoozes(home / "snoozed").put_off("hana", review, datetime(2099, 1, 1, tzinfo=UTC), now)
    shutil.copytree(home, tmp_path / "copy")
    with (
        fresh_database(postgres_server) as dsn,
        workspace_for(home, dsn, sessions="postgres", generator=model) as workspace,
    ):
        parts = workspace.parts
        tokens = tokens_of(parts.settings, parts.sessions, parts.audit)
        assert tokens.check(secret).name == "hana"
        beside = beside_of(parts.settings, parts.sessions)
        assert beside is not None
        kept = Items(beside)
        assert kept.get("hana", ["a", "b"], "k").value == {"v": 1}  # type: ignore[union-attr]
        assert list(workspace.snoozes.of("hana", now)) == ["rv_1"]
        assert not (home / "tokens.sqlite").exists()
        reached = workspace.settings.model_copy(update={"host": "0.0.0.0", "public_hosts": ["desk.example.com"]})
        check_reach(reached)  # raises where nobody has a token
        tokens.revoke(made.prefix, by="kim")
        kept.delete("hana", ["a", "b"], "k")
        for name in ("tokens.sqlite", "items.sqlite"):  # as if the program had been killed before it renamed them
            shutil.copy(tmp_path / "copy" / name, home)
        with pytest.raises(BadToken, match="was revoked"):
            tokens_of(parts.settings, parts.sessions, parts.audit).check(secret)
        assert kept.namespaces("hana") == []
        review["id"] = "rv_2"
        Snoozes(home / "snoozed").put_off("hana", review, datetime(2099, 1, 1, tzinfo=UTC), now)
        assert beside_of(parts.settings, parts.sessions) is not None  # an older program was at work here once more
        assert sorted(workspace.snoozes.of("hana", now)) == ["rv_1", "rv_2"]
        assert sorted(path.name for path in home.glob("snoozed*")) == ["snoozed.in-postgres", "snoozed.in-postgres-2"]
