"""Settings as people write them in a shell."""

from __future__ import annotations

import pytest

from dojang.settings import load_settings


@pytest.mark.parametrize(
    ("written", "roles"),
    [
        ("manager", ["manager"]),
        ("manager, operator", ["manager", "operator"]),
        ('["manager"]', ["manager"]),
        ("[]", []),
        ("", None),
    ],
)
def test_roles_are_written_with_commas_or_as_json(
    monkeypatch: pytest.MonkeyPatch, written: str, roles: list[str] | None
) -> None:
    monkeypatch.setenv("DOJANG_ROLES", written)
    assert load_settings().roles == roles
