"""The provider: what it says of itself, its keys, and the proof that a token is one of its own.

Knows no person and keeps nothing on the disk. OpenID Connect Core 1.0 §3.1, Discovery 1.0, RFC 7636 (PKCE), RFC 9207
(issuer in the answer), RP-Initiated Logout 1.0. The signatures are joserfc's.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

from joserfc import jws, jwt
from joserfc.errors import ExpiredTokenError, JoseError
from joserfc.jwk import JWKRegistry, Key

from dojang.server.access.oidc.errors import BadProvider, NotProven, ProviderFault
from dojang.server.access.oidc.wire import ask

ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
"""Signatures with a key pair. ``none`` and HS… (whose key the client has, too) are never taken, whatever is offered."""
SKEW_S: Final = 60
KEPT_S: Final = 3600.0
"""How long the provider's description and keys are believed."""
ANEW_S: Final = 10.0
"""How often, at most, an unknown key makes us ask for the keys again."""
LONGEST: Final = 16_384  # characters of a token


@dataclass(frozen=True)
class Client:
    """What we are at the provider. ``audience``: of access tokens that are for us; "" where none is taken."""

    issuer: str
    client_id: str
    secret: str = ""
    scopes: str = "openid profile email"
    audience: str = ""


class Provider:
    """One provider. Safe from many threads; its methods block.

    Args:
        client: what we are there.
        now: the clock, with a time zone.
        ticks: a clock in seconds that never goes back.
    """

    def __init__(
        self, client: Client, now: Callable[[], datetime], ticks: Callable[[], float] = time.monotonic
    ) -> None:
        self.client, self.now, self._ticks = client, now, ticks
        self._lock = threading.Lock()
        self._description: tuple[float, dict[str, Any]] | None = None
        self._keys: tuple[float, dict[str, Key]] | None = None
        self._anew = -ANEW_S

    # -- what it says of itself -----------------------------------------------------------------------------------

    def description(self) -> dict[str, Any]:
        """Its discovery document, looked at. Raises ProviderFault and BadProvider."""
        with self._lock:
            if self._description is None or self._ticks() - self._description[0] > KEPT_S:
                url = self.client.issuer.rstrip("/") + "/.well-known/openid-configuration"
                self._description = (self._ticks(), _looked_at(self.client, ask("GET", url).body))
            return self._description[1]

    def _key(self, kid: str | None) -> Key:
        """The key that a token names; where it is unknown, the keys are asked for again: they may have been changed."""
        url = self.description()["jwks_uri"]
        with self._lock:
            if self._keys is None or self._ticks() - self._keys[0] > KEPT_S:
                self._keys = (self._ticks(), _keys_of(ask("GET", url).body))
            elif _named(self._keys[1], kid) is None and self._ticks() - self._anew >= ANEW_S:
                self._anew = self._ticks()
                self._keys = (self._ticks(), _keys_of(ask("GET", url).body))
            found = _named(self._keys[1], kid)
        if found is None:
            raise NotProven("the log-in provider signed with a key that it does not publish; log in again")
        return found

    # -- the flow -------------------------------------------------------------------------------------------------

    def address(self, *, state: str, nonce: str, verifier: str, redirect_uri: str) -> str:
        """Where a browser is sent to log in."""
        query = {
            "response_type": "code",
            "client_id": self.client.client_id,
            "redirect_uri": redirect_uri,
            "scope": self.client.scopes,
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge(verifier),
            "code_challenge_method": "S256",
        }
        return _with(self.description()["authorization_endpoint"], query)

    def exchange(self, *, code: str, verifier: str, redirect_uri: str) -> dict[str, Any]:
        """The tokens for a code, once. Raises NotProven, ProviderFault, BadProvider."""
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri}
        return self._tokens({**form, "code_verifier": verifier})

    def refresh(self, token: str) -> dict[str, Any]:
        """New tokens; NotProven where the provider will not have the person any more."""
        return self._tokens({"grant_type": "refresh_token", "refresh_token": token})

    def _tokens(self, form: Mapping[str, str]) -> dict[str, Any]:
        described, client = self.description(), self.client
        ways = described.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        basic = bool(client.secret) and ("client_secret_basic" in ways or "client_secret_post" not in ways)
        sent = {**form, "client_id": client.client_id}
        if client.secret and not basic:
            sent["client_secret"] = client.secret
        # RFC 6749 §2.3.1: both are encoded as in a form before they are put together
        pair = (quote(client.client_id, safe=""), quote(client.secret, safe="")) if basic else None
        reply = ask("POST", described["token_endpoint"], form=sent, auth=pair)
        if reply.status == 200:
            return reply.body
        if reply.body.get("error") in ("invalid_client", "unauthorized_client"):
            raise BadProvider(
                "the log-in provider does not know us: look at DOJANG_OIDC_CLIENT_ID and DOJANG_OIDC_CLIENT_SECRET"
            )
        if reply.status == 429:
            raise ProviderFault("the log-in provider has too much to do; nobody was logged in, try again")
        raise NotProven("the log-in provider does not accept this log-in, or no longer; log in again")

    def identify(self, tokens: Mapping[str, Any], *, nonce: str | None, wanted: str) -> dict[str, Any]:
        """The claims of the ID token, proven; those of the user's page beside them where ``wanted`` is only there.

        ``nonce`` None: tokens of a refresh, in which there may be no ID token either: then {} or the user's page.
        """
        raw = tokens.get("id_token")
        claims: dict[str, Any] = {}
        if isinstance(raw, str) or nonce is not None:
            claims = self._proven(str(raw or ""), self.client.client_id)
            _check_party(claims, self.client.client_id)
            if nonce is not None and not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
                raise NotProven("the provider's answer belongs to another log-in; log in again")
        page, access = self.description().get("userinfo_endpoint"), tokens.get("access_token")
        if page and isinstance(access, str) and claim(claims, wanted) is None:
            said = ask("GET", page, bearer=access)
            if said.status == 200 and said.body.get("sub") and said.body["sub"] == claims.get("sub", said.body["sub"]):
                claims = {**said.body, **claims}
        return claims

    def bearer(self, raw: str) -> dict[str, Any]:
        """The claims of an access token that is for us; an ID token is none. Raises NotProven, ProviderFault."""
        claims = self._proven(raw, self.client.audience)
        if claims.get("typ") == "ID" or "at_hash" in claims:
            raise NotProven("this is an ID token; programs send an access token whose audience is this server")
        return claims

    def farewell(self, id_token: str, back: str) -> str:
        """Where a browser logs out of the provider, too; "" where it cannot say."""
        page = self.description().get("end_session_endpoint")
        query = {"client_id": self.client.client_id, "post_logout_redirect_uri": back}
        return _with(page, {**query, "id_token_hint": id_token} if id_token else query) if page else ""

    # -- proof ----------------------------------------------------------------------------------------------------

    def _proven(self, raw: str, audience: str) -> dict[str, Any]:
        try:
            if len(raw) > LONGEST:
                raise ValueError("too long")
            header = jws.extract_compact(raw.encode()).headers()
            algorithm, kid = header.get("alg"), header.get("kid")
        except (JoseError, ValueError) as error:
            raise NotProven("what the log-in provider sent is no token; log in again") from error
        if algorithm not in ALGORITHMS:
            raise NotProven(
                "the provider's token is not signed with a key pair (RS…, PS… or ES…); nobody was logged in"
            )
        key = self._key(kid if isinstance(kid, str) else None)
        try:
            claims = jwt.decode(raw, key, algorithms=[algorithm]).claims
            self._registry(audience).validate(claims)
        except ExpiredTokenError as error:
            raise NotProven(
                f"the provider's token is over; log in again, and look at this machine's clock: it says {self._says()}"
            ) from error
        except (JoseError, ValueError, TypeError) as error:
            part = getattr(error, "claim", None) or str(error)
            raise NotProven(f"the provider's token is not good for this server ({part}); log in again") from error
        return claims

    def _registry(self, audience: str) -> jwt.JWTClaimsRegistry:
        return jwt.JWTClaimsRegistry(
            now=int(self.now().timestamp()),
            leeway=SKEW_S,
            iss={"essential": True, "value": self.client.issuer},
            aud={"essential": True, "value": audience},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
        )

    def _says(self) -> str:
        return self.now().isoformat(timespec="seconds")


def challenge(verifier: str) -> str:
    """The S256 challenge of a PKCE verifier (RFC 7636 §4.2)."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def claim(claims: Mapping[str, Any], name: str) -> Any:
    """A claim by its name, or by a path with dots like ``realm_access.roles``; None where there is none."""
    if name in claims:
        return claims[name]
    found: Any = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def is_safe(url: object) -> bool:
    """Whether what is sent there cannot be read on the way: https, or this machine."""
    if not isinstance(url, str) or not url.isascii() or not url.isprintable():
        return False
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost", "::1"))


def _looked_at(client: Client, found: dict[str, Any]) -> dict[str, Any]:
    """The description, if it is of our provider and says all that a log-in needs."""
    if found.get("issuer") != client.issuer:
        raise BadProvider(
            f"the log-in provider calls itself {str(found.get('issuer'))[:200]!r} and not {client.issuer!r}; "
            "write DOJANG_OIDC_ISSUER exactly as it does"
        )
    for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
        if not is_safe(found.get(name)):
            raise BadProvider(f"the log-in provider names no {name} that goes by https")
    for name, needed in (("response_types_supported", "code"), ("code_challenge_methods_supported", "S256")):
        if name in found and needed not in (found[name] or []):
            raise BadProvider(f"the log-in provider does not offer {needed} in {name}, which a log-in here needs")
    optional = {name: found.get(name) for name in ("userinfo_endpoint", "end_session_endpoint")}
    return {**found, **{name: url if is_safe(url) else None for name, url in optional.items()}}


def _keys_of(found: Mapping[str, Any]) -> dict[str, Key]:
    """Public keys by their kid; what is no signature key of a pair is left out. Without a kid: under ""."""
    keys: dict[str, Key] = {}
    listed = found.get("keys")
    for entry in listed if isinstance(listed, list) else []:
        if isinstance(entry, dict) and entry.get("kty") in ("RSA", "EC") and entry.get("use", "sig") == "sig":
            try:
                keys[str(entry.get("kid", ""))] = JWKRegistry.import_key(entry)
            except (JoseError, ValueError, TypeError, KeyError):
                continue
    return keys


def _named(keys: Mapping[str, Key], kid: str | None) -> Key | None:
    """The key of a name; a token that names none is of the only key, if there is one only."""
    if kid is None:
        return next(iter(keys.values())) if len(keys) == 1 else None
    return keys.get(kid)


def _check_party(claims: Mapping[str, Any], client_id: str) -> None:
    """Core §3.1.3.7: a token for several parties says which of them asked, and that is us."""
    audience, party = claims["aud"], claims.get("azp")
    several = isinstance(audience, list) and len(audience) > 1
    if (party is not None or several) and party != client_id:
        raise NotProven("the provider's token was asked for by another program; log in again")


def _with(url: str, query: Mapping[str, str]) -> str:
    return f"{url}{'&' if urlsplit(url).query else '?'}{urlencode(query)}"
