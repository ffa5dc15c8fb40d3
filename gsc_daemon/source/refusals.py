"""Step 5, fetch, refusals: what Google's error bodies mean for us. Pure.

Decided by Google's reason words, then by its message, and only where it gives neither by the status alone: the same
403 says "too fast", "too much", "not yours" and "not enabled".
"""

from __future__ import annotations

import datetime as dt
import email.utils
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypedDict

from gsc_daemon.errors import Refusal, SourceError
from gsc_daemon.model import Query

LONGEST_WAIT: Final = 86_400.0  # seconds: no Retry-After beyond a day is believed
_MESSAGE_MAX: Final = 300
_SECRET: Final = re.compile(r"ya29\.[\w.~+/-]+|eyJ[\w-]+\.[\w.-]+|(?<=Bearer )\S+")

ADD_USER: Final = "Add {credential} to the property's users in Search Console (restricted is enough)"
ENABLE_API: Final = "Enable the Google Search Console API in the credential's Cloud project"
WIDEN_SCOPE: Final = "Authorise the credential anew, for the scope webmasters.readonly"
NEW_KEY: Final = "Make a new key for {credential}, or log in again, and replace the file that api.credentials names"
QUOTA_PROJECT: Final = "Set quota_project_id in the credentials file to a Cloud project that {credential} may use"
SET_CLOCK: Final = "Check this machine's clock: Google refuses signatures from another time"
CHECK_ENDPOINT: Final = "Check api.endpoint, and set api.transport to parallel"
PROXY_LOGIN: Final = "Give the proxy's user and password in HTTPS_PROXY"


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the table; empty fields match anything, filled ones must all match.

    Args:
        reasons: of ``errors[].reason``, of an ErrorInfo, the ``status`` word or OAuth's ``error``.
        message: a pattern to be found in Google's message, in any case.
        json: whether the body must be one of Google's own error bodies; a proxy's page is none.
    """

    kind: Refusal
    reasons: frozenset[str] = frozenset()
    message: str = ""
    statuses: frozenset[int] = frozenset()
    json: bool = True
    hint: str = ""


def _rule(
    kind: Refusal,
    reasons: str = "",
    message: str = "",
    statuses: tuple[int, ...] = (),
    json: bool = True,
    hint: str = "",
) -> Rule:
    return Rule(kind, frozenset(reasons.split()), message, frozenset(statuses), json, hint)


# The first that matches decides. Bodies: reported by users of other clients, see the emulator's `replies`.
API_RULES: Final = (
    _rule(Refusal.CREDENTIAL, "SERVICE_DISABLED accessNotConfigured", hint=ENABLE_API),
    _rule(Refusal.CREDENTIAL, message="has not been used in project|API .*is disabled", hint=ENABLE_API),
    _rule(Refusal.CREDENTIAL, "ACCESS_TOKEN_SCOPE_INSUFFICIENT insufficientPermissions", hint=WIDEN_SCOPE),
    _rule(Refusal.CREDENTIAL, message="insufficient authentication scopes", hint=WIDEN_SCOPE),
    _rule(
        Refusal.CREDENTIAL,
        "USER_PROJECT_DENIED CONSUMER_INVALID CONSUMER_SUSPENDED BILLING_DISABLED",
        hint=QUOTA_PROJECT,
    ),
    _rule(Refusal.CREDENTIAL, message="requires a quota project", hint=QUOTA_PROJECT),
    _rule(Refusal.LOAD, message=r"\bload quota\b"),
    _rule(Refusal.LOAD, "dailyLimitExceeded"),
    _rule(Refusal.RATE, "quotaExceeded rateLimitExceeded userRateLimitExceeded RATE_LIMIT_EXCEEDED RESOURCE_EXHAUSTED"),
    _rule(Refusal.RATE, message="quota exceeded|rate limit", statuses=(403, 429)),
    _rule(Refusal.RATE, statuses=(429,), json=False),
    _rule(Refusal.CREDENTIAL, statuses=(401,), json=False, hint=NEW_KEY),
    _rule(Refusal.SITE, message="sufficient permission for site", hint=ADD_USER),
    _rule(Refusal.SITE, message="not a valid Search Console site URL", hint="`gscd sites` shows how Google spells it"),
    _rule(Refusal.SITE, statuses=(403,), hint=ADD_USER),
    _rule(Refusal.SITE, "notFound NOT_FOUND", hint=ADD_USER),
    _rule(Refusal.REQUEST, statuses=(400,)),
    _rule(Refusal.CREDENTIAL, statuses=(404, 405), json=False, hint=CHECK_ENDPOINT),
    _rule(Refusal.TRANSIENT, statuses=(407,), json=False, hint=PROXY_LOGIN),
)
# RFC 6749, 5.2, and Google's own words; whatever else the token endpoint says may pass.
TOKEN_RULES: Final = (
    _rule(Refusal.CREDENTIAL, "invalid_grant", "timeframe|\\biat\\b", hint=SET_CLOCK),
    _rule(Refusal.CREDENTIAL, "invalid_scope access_denied", hint=WIDEN_SCOPE),
    _rule(
        Refusal.CREDENTIAL,
        "invalid_grant invalid_client unauthorized_client deleted_client disabled_client account_disabled "
        "admin_policy_enforced org_internal unsupported_grant_type invalid_request",
        hint=NEW_KEY,
    ),
    _rule(Refusal.CREDENTIAL, "PERMISSION_DENIED UNAUTHENTICATED INVALID_ARGUMENT NOT_FOUND", hint=NEW_KEY),
)


@dataclass(frozen=True, slots=True)
class Said:
    """What an error body says.

    Args:
        reasons: every reason word in it, the most telling first. message: "" if it gives none.
        json: whether it is one of Google's own error bodies. code: the HTTP status in it, or 0.
    """

    reasons: tuple[str, ...] = ()
    message: str = ""
    json: bool = False
    code: int = 0


def refusal(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    query: Query | None,
    credential: str,
    now: dt.datetime,
) -> SourceError:
    """What an answer other than 200 means, or one of 200 that holds an error.

    Args:
        headers: by name, in any case. query: whose site and date the error names. now: for a date in Retry-After.
    """
    return _judge(API_RULES, "Google refuses", status, headers, body, query, credential, now)


def token_refusal(
    status: int, headers: Mapping[str, str], body: bytes, *, query: Query | None, credential: str, now: dt.datetime
) -> SourceError:
    """What a refusal of the token endpoint means."""
    return _judge(TOKEN_RULES, "Google gives no access token", status, headers, body, query, credential, now)


def _judge(
    rules: tuple[Rule, ...],
    what: str,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    query: Query | None,
    credential: str,
    now: dt.datetime,
) -> SourceError:
    said = read_error(body)
    status = said.code if status == 200 else status
    rule = next((rule for rule in rules if _matches(rule, status, said)), None)
    reason = said.reasons[0] if said.reasons else ""
    code = f"HTTP {status}, {reason}" if reason else f"HTTP {status}"
    message = f"{what}: {said.message} ({code})" if said.message else f"{what} ({code})"
    if not said.json:
        message = f"HTTP {status}, and not in the words of Google's API"
    return SourceError(
        Refusal.TRANSIENT if rule is None else rule.kind,
        message,
        status=status,
        reason=reason,
        retry_after=retry_after({name.lower(): value for name, value in headers.items()}.get("retry-after"), now),
        hint="" if rule is None else rule.hint.format(credential=credential),
        **where(query),
    )


class Where(TypedDict):
    """What an error is about."""

    site: str | None
    date: dt.date | None


def where(query: Query | None) -> Where:
    """The site and date of a query, for errors."""
    return Where(site=None, date=None) if query is None else Where(site=query.site, date=query.date)


def about(error: SourceError, query: Query | None) -> SourceError:
    """The same failure, of another query."""
    return SourceError(
        error.kind,
        error.message,
        status=error.status,
        reason=error.reason,
        retry_after=error.retry_after,
        hint=error.hint,
        **where(query),
    )


def _matches(rule: Rule, status: int, said: Said) -> bool:
    return (
        (not rule.json or said.json)
        and (not rule.statuses or status in rule.statuses)
        and (not rule.reasons or not rule.reasons.isdisjoint(said.reasons))
        and (not rule.message or re.search(rule.message, said.message, re.IGNORECASE) is not None)
    )


def read_error(body: bytes) -> Said:
    """Reasons and message of an error body, of the API (old and new style) or of the token endpoint."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return Said()
    error = value.get("error") if isinstance(value, dict) else None
    if isinstance(error, str):
        return Said((clean(error),), clean(str(value.get("error_description") or "")), True)
    if not isinstance(error, dict):
        return Said()
    words = [str(entry["reason"]) for entry in _dicts(error.get("details")) if entry.get("reason")]
    words += [str(entry["reason"]) for entry in _dicts(error.get("errors")) if entry.get("reason")]
    words += [str(error["status"])] if error.get("status") else []
    code = error.get("code")
    return Said(
        tuple(clean(word) for word in words),
        clean(str(error.get("message") or "")),
        True,
        code if isinstance(code, int) and 100 <= code <= 599 else 0,
    )


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def clean(text: str) -> str:
    """Foreign words as part of one of our lines: printable, short, without what could be a token."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    line = _SECRET.sub("***", line).rstrip(". ")
    return line if len(line) <= _MESSAGE_MAX else f"{line[:_MESSAGE_MAX]}…"


def retry_after(value: str | None, now: dt.datetime) -> float | None:
    """Seconds of a Retry-After header, which gives seconds or a date (RFC 9110, 10.2.3); None if it says nothing."""
    if value is None:
        return None
    text = value.strip()
    if re.fullmatch(r"\d{1,9}", text):
        return min(float(text), LONGEST_WAIT)
    try:
        date = email.utils.parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=dt.UTC)
    return min(max((date - now).total_seconds(), 0.0), LONGEST_WAIT)
