"""What the settings say of a provider: whole, or told; and a file of before there were providers."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from dojang.server.access.oidc.persons import name_of, named
from dojang.server.access.tokens import Tokens
from dojang.server.app import check_reach
from dojang.server.signing_in import client_of
from dojang.settings import BadSetting, load_settings
from tests.databases import NOT_NEEDED
from tests.dojang.server.access.people import People
from tests.dojang.workspaces import workspace_for

GOOD: dict[str, Any] = {
    "oidc_issuer": "https://id.example.com",
    "oidc_client_id": "desk",
    "oidc_client_secret": SecretStr("hush"),
    "oidc_roles": {"a": ["viewer"]},
}


@pytest.mark.parametrize(
    ("wrong", "variable"),
    [
        ({"oidc_issuer": "http://id.example.com"}, "DOJANG_OIDC_ISSUER"),
        ({"oidc_client_id": ""}, "DOJANG_OIDC_CLIENT_ID"),
        ({"oidc_scopes": "profile"}, "DOJANG_OIDC_SCOPES"),
        ({"oidc_roles": {}}, "DOJANG_OIDC_ROLES"),
        ({"oidc_roles": {"a": ["finance"]}}, "DOJANG_OIDC_ROLES"),
        ({"oidc_audience": "desk"}, "DOJANG_OIDC_AUDIENCE"),
    ],
)
def test_half_of_it_is_told_before_anything_is_served(tmp_path: Path, wrong: dict[str, Any], variable: str) -> None:
    settings = load_settings(home=tmp_path, **{**GOOD, **wrong})
    with pytest.raises(BadSetting, match=variable) as told:
        check_reach(settings)
    assert "hush" not in str(told.value)


def test_whole_it_is_enough_to_be_reached_from_elsewhere(tmp_path: Path) -> None:
    settings = load_settings(home=tmp_path, host="0.0.0.0", public_hosts=["desk.example.com"], **GOOD)
    check_reach(settings)
    client = client_of(settings)
    assert client is not None
    assert (client.secret, client.audience) == ("hush", "")
    assert client_of(load_settings(home=tmp_path)) is None


def test_a_secret_that_cannot_be_read_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadSetting) as told:
        load_settings(oidc_client_secret=["hush"])
    assert "hush" not in str(told.value)


@pytest.mark.about_files("tokens lie in one of the home")
def test_a_file_of_before_there_were_providers_goes_on(tmp_path: Path) -> None:
    with workspace_for(tmp_path, NOT_NEEDED) as workspace:
        people = People(workspace)
        secret, path = people.token("hana", "viewer"), tmp_path / "tokens.sqlite"
        with sqlite3.connect(path) as db:  # as the version before left it
            for table in ("logins", "attempts", "identities"):
                db.execute(f"DROP TABLE {table}")
            db.execute("PRAGMA user_version = 1")
        db.close()
        tokens = Tokens(workspace.settings.home, workspace.parts.audit)
        assert tokens.check(secret).name == "hana"
        assert tokens.make("lee", ["viewer"], days=1, by="kim")[1].name == "lee"
        with tokens.database.writing() as new:
            assert named(new, "https://id.example.com", "1", "Kim", local="kim", now="")[0].startswith("Kim (")
            assert name_of(new, "https://id.example.com", "2") is None


def test_without_a_provider_its_pages_are_not_there(tmp_path: Path) -> None:
    with workspace_for(tmp_path, NOT_NEEDED) as workspace:
        browser = People(workspace).browser()
        assert [browser.get(f"/login/{page}").status_code for page in ("provider", "callback")] == [404, 404]
