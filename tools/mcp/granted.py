"""Tokens that a process gets by itself for an MCP server over HTTP: the SDK's client credentials, kept in memory.

The SDK finds out where tokens are to be had (RFC 9728, RFC 8414) and asks for one when a server wants it; the issuer is
the house's word, so a server that names another one gets no secret and no token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tools.mcp.config import Server

if TYPE_CHECKING:
    from mcp.shared.auth import OAuthToken


class InMemory:
    """The SDK's storage of one connection; the next one gets a token anew. ``secrets``: takes each, to be hidden."""

    def __init__(self, secrets: list[str]) -> None:
        self.token: OAuthToken | None = None
        self.secrets = secrets

    async def get_tokens(self) -> Any:
        """What was got last."""
        return self.token

    async def set_tokens(self, tokens: OAuthToken) -> None:
        """Keep it."""
        self.token = tokens
        self.secrets.append(tokens.access_token)

    async def get_client_info(self) -> Any:
        """Nothing: the client is the house's, and never registers itself."""
        return None

    async def set_client_info(self, client_info: Any) -> None:
        """Nothing."""


def by_client_credentials(server: Server, secret: str, secrets: list[str]) -> Any:
    """What gets tokens for a server, as ``httpx`` has it; each is put to ``secrets``."""
    from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider

    oauth = server.oauth
    assert oauth is not None
    scopes = oauth.scopes or None

    class Granted(ClientCredentialsOAuthProvider):
        """Asks for the scopes that the house wants; the SDK puts those that the server names in their place."""

        async def _perform_authorization(self) -> Any:
            if scopes:
                self.context.client_metadata.scope = scopes
            return await super()._perform_authorization()

    return Granted(
        server_url=server.url,
        storage=InMemory(secrets),
        client_id=oauth.client_id,
        client_secret=secret,
        token_endpoint_auth_method="client_secret_basic" if oauth.send == "basic" else "client_secret_post",
        scopes=scopes,
        issuer=oauth.issuer,
    )
