"""What each of Google's error bodies means: by its reason and message, never by the status alone."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from source_scene import SITE, make_query

from gsc_daemon.errors import Refusal, SourceError
from gsc_daemon.source import refusals

NOW = dt.datetime(2026, 8, 10, 12, 0, 0, tzinfo=dt.UTC)
LIMITS = "Learn about usage limits: https://developers.google.com/webmaster-tools/v3/limits."


def error_body(code: int, message: str, reason: str = "", domain: str = "global", **more: Any) -> bytes:
    error = {"code": code, "message": message, "errors": [{"message": message, "domain": domain, "reason": reason}]}
    return json.dumps({"error": error | more}).encode()


def detail(reason: str) -> list[dict[str, Any]]:
    return [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "googleapis.com"}]


def judge(status: int, body: bytes, headers: dict[str, str] | None = None) -> SourceError:
    return refusals.refusal(status, headers or {}, body, query=make_query(), credential="reader@example", now=NOW)


HTML = b"<!DOCTYPE html><title>Error</title>"
BODIES = [
    (
        "QPS",
        403,
        error_body(403, f"Search Analytics QPS quota exceeded. {LIMITS}", "quotaExceeded", "usageLimits"),
        "RATE",
    ),
    (
        "load",
        403,
        error_body(403, f"Search Analytics load quota exceeded. {LIMITS}", "quotaExceeded", "usageLimits"),
        "LOAD",
    ),
    ("429", 429, error_body(429, "Rate Limit Exceeded", "rateLimitExceeded", "usageLimits"), "RATE"),
    ("429 load", 429, error_body(429, "Search Analytics load quota exceeded.", "quotaExceeded", "usageLimits"), "LOAD"),
    ("429 HTML", 429, HTML, "RATE"),
    ("403 rate", 403, error_body(403, "Too fast", "userRateLimitExceeded", "usageLimits"), "RATE"),
    ("new style", 429, error_body(429, "Quota exceeded for quota metric", status="RESOURCE_EXHAUSTED"), "RATE"),
    ("403 detail", 403, error_body(403, "Too much", "x", details=detail("RATE_LIMIT_EXCEEDED")), "RATE"),
    ("daily", 403, error_body(403, "Daily Limit Exceeded", "dailyLimitExceeded", "usageLimits"), "LOAD"),
    (
        "forbidden",
        403,
        error_body(
            403,
            f"User does not have sufficient permission for site '{SITE}'. See also: https://x/2451999.",
            "forbidden",
        ),
        "SITE",
    ),
    ("other 403", 403, error_body(403, "The caller does not have permission", status="PERMISSION_DENIED"), "SITE"),
    ("403 HTML", 403, HTML, "TRANSIENT"),
    (
        "disabled",
        403,
        error_body(
            403,
            "Google Search Console API has not been used in project 1 before",
            "forbidden",
            details=detail("SERVICE_DISABLED"),
        ),
        "CREDENTIAL",
    ),
    (
        "disabled, old",
        403,
        error_body(403, "Access Not Configured.", "accessNotConfigured", "usageLimits"),
        "CREDENTIAL",
    ),
    (
        "scope",
        403,
        error_body(
            403,
            "Request had insufficient authentication scopes.",
            "forbidden",
            details=detail("ACCESS_TOKEN_SCOPE_INSUFFICIENT"),
        ),
        "CREDENTIAL",
    ),
    ("quota project", 403, error_body(403, "no", "forbidden", details=detail("USER_PROJECT_DENIED")), "CREDENTIAL"),
    ("401", 401, error_body(401, "Request had invalid authentication credentials.", "authError"), "CREDENTIAL"),
    ("401 bare", 401, b"", "CREDENTIAL"),
    ("site URL", 400, error_body(400, "'http://' is not a valid Search Console site URL.", "invalidParameter"), "SITE"),
    (
        "mix",
        400,
        error_body(400, "Invalid value at 'dimensions[0]'", "badRequest", status="INVALID_ARGUMENT"),
        "REQUEST",
    ),
    ("400 HTML", 400, HTML, "TRANSIENT"),
    ("404 JSON", 404, error_body(404, "Not Found", "notFound"), "SITE"),
    ("404 HTML", 404, HTML, "CREDENTIAL"),
    ("500", 500, error_body(500, "Backend Error", "backendError"), "TRANSIENT"),
    ("503", 503, error_body(503, "Backend Error", "backendError", status="UNAVAILABLE"), "TRANSIENT"),
    ("502 HTML", 502, HTML, "TRANSIENT"),
    ("503 quota words in HTML", 503, b"<p>quota exceeded</p>", "TRANSIENT"),
    ("redirect", 302, b"", "TRANSIENT"),
    ("proxy login", 407, HTML, "TRANSIENT"),
    ("not JSON objects", 500, b"[1]", "TRANSIENT"),
    ("error of a strange shape", 500, b'{"error": [1]}', "TRANSIENT"),
    ("details of a strange shape", 403, b'{"error": {"errors": "x", "details": [1]}}', "SITE"),
]


@pytest.mark.parametrize(("status", "body", "kind"), [pytest.param(*case[1:], id=case[0]) for case in BODIES])
def test_kind(status: int, body: bytes, kind: str) -> None:
    error = judge(status, body)
    assert error.kind is Refusal[kind]
    assert error.status == status
    assert (error.site, error.date) == (SITE, make_query().date)
    assert str(error).startswith(f"{SITE} 2026-08-01: ")


def test_the_message_says_what_google_says_and_what_to_do() -> None:
    body = error_body(403, "User does not have sufficient permission for site 'x'.", "forbidden")
    assert str(judge(403, body)) == (
        f"{SITE} 2026-08-01: Google refuses: User does not have sufficient permission for site 'x' "
        "(HTTP 403, forbidden). Add reader@example to the property's users in Search Console (restricted is enough)"
    )


def test_the_reason_is_kept() -> None:
    assert judge(403, error_body(403, "m", "quotaExceeded")).reason == "quotaExceeded"
    assert (
        judge(403, error_body(403, "m", "forbidden", details=detail("SERVICE_DISABLED"))).reason == "SERVICE_DISABLED"
    )
    assert judge(502, HTML).reason == ""


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        (" 7 ", 7.0),
        ("0", 0.0),
        ("Mon, 10 Aug 2026 12:01:30 GMT", 90.0),
        ("Mon, 10 Aug 2026 11:00:00 GMT", 0.0),
        ("Mon, 10 Aug 2026 12:01:30 -0000", 90.0),
        ("999999999", 86_400.0),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("", None),
    ],
)
def test_retry_after(value: str, seconds: float | None) -> None:
    assert judge(503, HTML, {"rEtRy-aFtEr": value}).retry_after == seconds


def test_no_retry_after_is_none() -> None:
    assert judge(503, HTML).retry_after is None


def test_foreign_words_cannot_break_the_line_or_carry_a_token() -> None:
    message = (
        "first\nsecond\x1b[31m \x00 ya29.a0AfH6SMBx-y_z eyJhbGciOi.eyJpc3M.c2ln Authorization: Bearer abc.def "
        + "x" * 900
    )
    text = str(judge(400, error_body(400, message, "bad\nreason")))
    assert text.isprintable()
    assert "ya29.a0" not in text
    assert "eyJhbGciOi" not in text
    assert "abc.def" not in text
    assert len(text) < 600


@pytest.mark.parametrize(
    ("status", "body", "kind", "hint"),
    [
        (
            400,
            {"error": "invalid_grant", "error_description": "Token has been expired or revoked."},
            "CREDENTIAL",
            "new key",
        ),
        (
            400,
            {
                "error": "invalid_grant",
                "error_description": "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable "
                "timeframe. Check your iat and exp values in the JWT claim.",
            },
            "CREDENTIAL",
            "clock",
        ),
        (401, {"error": "invalid_client"}, "CREDENTIAL", "new key"),
        (400, {"error": "invalid_scope"}, "CREDENTIAL", "webmasters.readonly"),
        (403, {"error": {"code": 403, "message": "denied", "status": "PERMISSION_DENIED"}}, "CREDENTIAL", "new key"),
        (500, {"error": "internal_failure"}, "TRANSIENT", ""),
        (503, {"error": "temporarily_unavailable"}, "TRANSIENT", ""),
        (429, {"error": "rate_limited"}, "TRANSIENT", ""),
    ],
)
def test_the_token_endpoint(status: int, body: Any, kind: str, hint: str) -> None:
    error = refusals.token_refusal(
        status, {}, json.dumps(body).encode(), query=make_query(), credential="reader@example", now=NOW
    )
    assert error.kind is Refusal[kind]
    assert hint in error.hint


@pytest.mark.parametrize("status", [400, 403, 502])
def test_a_page_in_the_token_endpoints_place_may_pass(status: int) -> None:
    error = refusals.token_refusal(status, {}, HTML, query=None, credential="x", now=NOW)
    assert error.kind is Refusal.TRANSIENT
