"""Emulator, token endpoint: who may sign in, signed assertions and refresh tokens, and the access tokens they get."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from gsc_daemon.emulator.replies import Reply, json_reply, scope_insufficient, unauthorized

GOOGLE_TOKEN_URI: Final = "https://oauth2.googleapis.com/token"  # noqa: S105 - google-auth signs for it, whatever the key file says
READ_SCOPES: Final = frozenset(f"https://www.googleapis.com/auth/webmasters{end}" for end in ("", ".readonly"))
PROJECT: Final = "emulator"  # where an account does not say
_JWT_BEARER: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_LONGEST_S: Final = 3600
_SKEW_S: Final = 300


class TokenError(Exception):
    """A refusal of the token endpoint, with OAuth's own kind of body."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.error, self.description, self.status = error, description, status

    def reply(self) -> Reply:
        """The error body."""
        return json_reply(self.status, {"error": self.error, "error_description": self.description}, self.error)


class User(NamedTuple):
    """A person's consent: what a refresh token stands for."""

    email: str
    client_id: str
    client_secret: str


def _decode(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Accounts:
    """Registered keys and consents.

    Access tokens are signed with ``secret`` instead of being remembered, so they outlive a restart, as Google's do.
    """

    def __init__(self, secret: bytes, wall: Callable[[], float] = time.time) -> None:
        self._secret, self._wall = secret, wall
        self._keys: dict[tuple[str, str], Any] = {}
        self._users: dict[str, User] = {}
        self._revoked: set[str] = set()
        self._projects: dict[str, str] = {}
        self._sees: dict[str, frozenset[str]] = {}
        self._valid_from = 0.0

    def add(self, account: Mapping[str, Any]) -> None:
        """Register a service account's public key or a user's refresh token, whichever the members say.

        ``project`` and ``sites`` may be among them: whose quota it uses up, and the properties that it may see.
        """
        self._projects[account["email"]] = account.get("project", PROJECT)
        if account.get("sites") is not None:
            self._sees[account["email"]] = frozenset(account["sites"])
        if "refresh_token" in account:
            user = User(account["email"], account["client_id"], account["client_secret"])
            self._users[account["refresh_token"]] = user
            return
        from cryptography.hazmat.primitives.serialization import load_pem_public_key

        key = load_pem_public_key(account["public_key"].encode())
        self._keys[account["email"], account["key_id"]] = key

    def project_of(self, email: str) -> str:
        """The Cloud project whose quota it uses up."""
        return self._projects.get(email, PROJECT)

    def sees(self, email: str, site: str) -> bool:
        """Whether the account was made a user of this property."""
        return email not in self._sees or site in self._sees[email]

    def revoke(self, email: str) -> None:
        """This account's tokens are void, and it gets no others."""
        self._revoked.add(email)

    def restore(self, email: str) -> None:
        """The account is as good as before."""
        self._revoked.discard(email)

    def expire_tokens(self) -> None:
        """Every access token given so far has expired."""
        self._valid_from = self._wall()

    def grant(self, form: Mapping[str, str], audiences: set[str], lifetime_s: float) -> dict[str, Any]:
        """An access token for a form of RFC 6749 or RFC 7523. Raises `TokenError`."""
        kind = form.get("grant_type", "")
        if kind == _JWT_BEARER:
            email, scope = self._by_assertion(form.get("assertion", ""), audiences)
        elif kind == "refresh_token":
            email, scope = self._by_refresh_token(form)
        else:
            raise TokenError("unsupported_grant_type", f"Invalid grant_type: {kind}")
        if email in self._revoked:
            raise TokenError("invalid_grant", "Token has been expired or revoked.")
        now = self._wall()
        claims = _encode(json.dumps([email, scope, now, now + lifetime_s]).encode())
        token = f"ya29.{claims}.{self._sign(claims)}"
        return {"access_token": token, "expires_in": int(lifetime_s), "scope": scope, "token_type": "Bearer"}

    def _sign(self, claims: str) -> str:
        return _encode(hmac.digest(self._secret, claims.encode(), hashlib.sha256))

    def _by_assertion(self, assertion: str, audiences: set[str]) -> tuple[str, str]:
        try:
            head, body, signature = assertion.split(".")
            header, claims = json.loads(_decode(head)), json.loads(_decode(body))
            algorithm, key_id, email = header["alg"], header.get("kid", ""), claims["iss"]
            issued, expires, audience = float(claims["iat"]), float(claims["exp"]), claims["aud"]
            raw_signature = _decode(signature)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise TokenError("invalid_grant", "Bad Request") from error
        if not any(email == known for known, _ in self._keys):
            raise TokenError("invalid_grant", "Invalid grant: account not found")
        key = self._keys.get((email, key_id))
        if algorithm != "RS256" or key is None or not _verified(key, raw_signature, f"{head}.{body}".encode()):
            raise TokenError("invalid_grant", "Invalid JWT Signature.")
        if audience not in audiences:
            raise TokenError("invalid_grant", f"Failed audience check. The right audience is {GOOGLE_TOKEN_URI}")
        now = self._wall()
        if not issued - _SKEW_S <= now <= expires + _SKEW_S or expires - issued > _LONGEST_S:
            raise TokenError(
                "invalid_grant",
                "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. "
                "Check your iat and exp values in the JWT claim.",
            )
        if claims.get("sub", email) != email:
            raise TokenError(
                "unauthorized_client",
                "Client is unauthorized to retrieve access tokens using this method, or client not authorized for "
                "any of the scopes requested.",
                401,
            )
        scope = claims.get("scope", "")
        if not isinstance(scope, str) or not scope.strip():
            raise TokenError("invalid_scope", "Invalid OAuth scope or ID token audience provided.")
        return email, scope

    def _by_refresh_token(self, form: Mapping[str, str]) -> tuple[str, str]:
        user = self._users.get(form.get("refresh_token", ""))
        if user is None:
            raise TokenError("invalid_grant", "Token has been expired or revoked.")
        if (form.get("client_id"), form.get("client_secret")) != (user.client_id, user.client_secret):
            raise TokenError("invalid_client", "The OAuth client was not found.", 401)
        scope = form.get("scope", " ".join(sorted(READ_SCOPES)))
        if not set(scope.split()) <= READ_SCOPES:
            raise TokenError("invalid_scope", "Some requested scopes were invalid.")
        return user.email, scope

    def holder(self, authorization: str) -> str:
        """The account whose bearer token this header holds. Raises `ApiError` (401, or 403 for a wrong scope)."""
        scheme, _, token = authorization.partition(" ")
        if not token:
            raise unauthorized(missing=True)
        parts = token.strip().split(".")
        valid = scheme.lower() == "bearer" and len(parts) == 3 and parts[0] == "ya29"
        if not valid or not hmac.compare_digest(parts[2], self._sign(parts[1])):
            raise unauthorized()
        email, scope, issued, expires = json.loads(_decode(parts[1]))
        if email in self._revoked or issued < self._valid_from or expires <= self._wall():
            raise unauthorized()
        if not READ_SCOPES & set(scope.split()):
            raise scope_insufficient()
        return str(email)


def _verified(key: Any, signature: bytes, signed: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.hashes import SHA256

    try:
        key.verify(signature, signed, PKCS1v15(), SHA256())
    except InvalidSignature:
        return False
    return True
