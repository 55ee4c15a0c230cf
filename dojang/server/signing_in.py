"""From the settings to the provider with which people log in, or a clear line on what is missing."""

from __future__ import annotations

from dojang.server.access.oidc.logins import Logins
from dojang.server.access.oidc.persons import Rules
from dojang.server.access.oidc.provider import Client, Provider, is_safe
from dojang.server.access.roles import ROLES
from dojang.server.access.tokens import Tokens
from dojang.settings import BadSetting, Settings


def client_of(settings: Settings) -> Client | None:
    """What we are at the provider; None where people log in with tokens alone.

    Raises:
        BadSetting: the settings say half of it, or what would let nobody in.
    """
    if not settings.oidc_issuer:
        return None
    if not is_safe(settings.oidc_issuer):
        raise BadSetting("setting DOJANG_OIDC_ISSUER: the provider is reached by https, like https://id.example.com")
    if not settings.oidc_client_id:
        raise BadSetting("setting DOJANG_OIDC_CLIENT_ID: say what this server is called at the provider")
    if "openid" not in settings.oidc_scopes.split():
        raise BadSetting("setting DOJANG_OIDC_SCOPES: without openid the provider says of nobody who they are")
    if not any(set(roles) & set(ROLES) for roles in settings.oidc_roles.values()):
        raise BadSetting(
            "setting DOJANG_OIDC_ROLES: no group has a role, so nobody could come in; give one of "
            f"{', '.join(ROLES)} to a group of the provider"
        )
    if settings.oidc_audience == settings.oidc_client_id:
        raise BadSetting(
            "setting DOJANG_OIDC_AUDIENCE: it must not be the client's id, or ID tokens would pass for access tokens"
        )
    secret = settings.oidc_client_secret
    return Client(
        settings.oidc_issuer,
        settings.oidc_client_id,
        secret.get_secret_value() if secret is not None else "",
        settings.oidc_scopes,
        settings.oidc_audience or "",
    )


def logins_of(settings: Settings, tokens: Tokens, local: str) -> Logins | None:
    """The log-ins with the provider of the settings; None where there is none. ``local``: the local user's name."""
    client = client_of(settings)
    if client is None:
        return None
    rules = Rules(
        settings.oidc_name_claim,
        settings.oidc_roles_claim,
        settings.oidc_roles,
        frozenset(domain.strip().lower() for domain in settings.oidc_domains),
    )
    return Logins(
        Provider(client, lambda: tokens.now()),
        rules,
        tokens,
        local=local,
        hours=settings.session_hours,
        recheck_minutes=settings.oidc_recheck_minutes,
    )
