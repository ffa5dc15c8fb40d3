"""Emulator, bodies: what is sent back besides rows; errors word for word where Google's words are known."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Final

from gsc_daemon.emulator.deflate import Piece, stored

JSON: Final = "application/json; charset=UTF-8"
HTML: Final = "text/html; charset=UTF-8"
_LIMITS: Final = "https://developers.google.com/webmaster-tools/v3/limits"


@dataclass(slots=True)
class Reply:
    """One answer.

    Args:
        kind: what it is, for the statistics: ``rows``, ``qps``, ``invalid``, …
        manner: how it is sent: ``""`` properly, or ``reset`` (closed without a byte), ``hang`` (never), ``trickle``
            (spread over ``seconds``), ``cut`` (closed halfway), ``truncate`` (half of a gzip body, framed as if whole).
        wait: seconds until it begins. fetches: which queries it answers. rows: how many rows.
    """

    status: int
    pieces: list[Piece]
    content_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)
    kind: str = "ok"
    manner: str = ""
    seconds: float = 0.0
    wait: float = 0.0
    fetches: list[Any] = field(default_factory=list)
    rows: int = 0


def json_reply(status: int, value: Any, kind: str = "ok", **headers: str) -> Reply:
    """A small JSON body, indented as Google's are."""
    body = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    return Reply(
        status, [stored(body.encode())], headers={k.replace("_", "-"): v for k, v in headers.items()}, kind=kind
    )


class ApiError(Exception):
    """A refusal, to be sent as Google's error body.

    Args:
        kind: for the statistics. reason, domain: of ``errors[0]``. word: the canonical status such as
            ``PERMISSION_DENIED``, or "" where old-style bodies have none. details: google.rpc details.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        message: str,
        *,
        reason: str,
        domain: str = "global",
        word: str = "",
        details: list[dict[str, Any]] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.kind, self.message = status, kind, message
        self.reason, self.domain, self.word, self.details = reason, domain, word, details
        self.headers = headers or {}

    def reply(self) -> Reply:
        """The error body."""
        error: dict[str, Any] = {
            "code": self.status,
            "message": self.message,
            "errors": [{"message": self.message, "domain": self.domain, "reason": self.reason}],
        }
        if self.word:
            error["status"] = self.word
        if self.details:
            error["details"] = self.details
        reply = json_reply(self.status, {"error": error}, self.kind)
        reply.headers.update(self.headers)
        return reply


def invalid(message: str) -> ApiError:
    """400: the request can never be answered."""
    return ApiError(400, "invalid", message, reason="badRequest", word="INVALID_ARGUMENT")


def invalid_site(site: str) -> ApiError:
    """400: not the spelling of a property."""
    message = f"'{site}' is not a valid Search Console site URL."
    return ApiError(400, "invalid", message, reason="invalidParameter", word="INVALID_ARGUMENT")


def forbidden(site: str) -> ApiError:
    """403: no permission for a property, or no such property."""
    message = (
        f"User does not have sufficient permission for site '{site}'. "
        "See also: https://support.google.com/webmasters/answer/2451999."
    )
    return ApiError(403, "forbidden", message, reason="forbidden")


def qps_exceeded() -> ApiError:
    """403: the refusal that Search Analytics mostly gives to too many queries, a minute or a second."""
    message = f"Search Analytics QPS quota exceeded. Learn about usage limits: {_LIMITS}."
    return ApiError(403, "qps", message, reason="quotaExceeded", domain="usageLimits")


def rate_limited() -> ApiError:
    """429: the other refusal."""
    message = "Rate Limit Exceeded"
    return ApiError(429, "429", message, reason="rateLimitExceeded", domain="usageLimits", word="RESOURCE_EXHAUSTED")


def load_exceeded() -> ApiError:
    """403: the property's data cost too much lately."""
    message = f"Search Analytics load quota exceeded. Learn about usage limits: {_LIMITS}."
    return ApiError(403, "load", message, reason="quotaExceeded", domain="usageLimits")


def unauthorized(missing: bool = False) -> ApiError:
    """401: the bearer token is absent, unknown, expired or revoked."""
    start = (
        "Request is missing required authentication credential."
        if missing
        else ("Request had invalid authentication credentials.")
    )
    message = (
        f"{start} Expected OAuth 2 access token, login cookie or other valid authentication credential. "
        "See https://developers.google.com/identity/sign-in/web/devconsole-project."
    )
    error = "" if missing else ', error="invalid_token"'
    challenge = {"WWW-Authenticate": f'Bearer realm="https://accounts.google.com/"{error}'}
    kind = "unauthorized"
    return ApiError(401, kind, message, reason="authError", word="UNAUTHENTICATED", headers=challenge)


def _denied(kind: str, message: str, reason: str, metadata: dict[str, str]) -> ApiError:
    info = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": reason,
        "domain": "googleapis.com",
        "metadata": metadata,
    }
    return ApiError(403, kind, message, reason="forbidden", word="PERMISSION_DENIED", details=[info])


def scope_insufficient() -> ApiError:
    """403: the token was made for something else."""
    message = "Request had insufficient authentication scopes."
    metadata = {"service": "searchconsole.googleapis.com", "method": "google.searchconsole.v1.SearchAnalytics.Query"}
    return _denied("scope", message, "ACCESS_TOKEN_SCOPE_INSUFFICIENT", metadata)


def service_disabled() -> ApiError:
    """403: the API is not switched on in the credential's project."""
    message = (
        "Google Search Console API has not been used in project 123456789 before or it is disabled. Enable it by "
        "visiting https://console.developers.google.com/apis/api/searchconsole.googleapis.com/overview"
        "?project=123456789 then retry. If you enabled this API recently, wait a few minutes for the action to "
        "propagate to our systems and retry."
    )
    metadata = {"service": "searchconsole.googleapis.com", "consumer": "projects/123456789"}
    return _denied("disabled", message, "SERVICE_DISABLED", metadata)


def backend_error(status: int) -> ApiError:
    """500 or 503 in JSON."""
    word = "INTERNAL" if status == 500 else "UNAVAILABLE"
    return ApiError(status, "backend", "Backend Error", reason="backendError", word=word)


def html_error(status: int, title: str) -> Reply:
    """An error page from in front of the API."""
    text = (
        f"<!DOCTYPE html>\n<html lang=en>\n<title>Error {status} ({title})!!1</title>\n<p><b>{status}.</b> {title}.\n"
    )
    return Reply(status, [stored(text.encode())], HTML, kind="html" if status >= 500 else "unknown")


def not_found() -> Reply:
    """404: no such path; Google answers in HTML."""
    return html_error(404, "Not Found")
