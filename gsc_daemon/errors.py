"""Every failure that a user can meet: what happened, to which site and date, what to do, and the exit code.

Drivers' exceptions (sqlite3, psycopg, redis, requests) are turned into these where the driver is known, always chained.
"""

from __future__ import annotations

import datetime as dt
import enum


class Exit(enum.IntEnum):
    """Exit codes of every ``gscd`` command (sysexits.h where it has one)."""

    OK = 0
    PROBLEM = 1
    USAGE = 2
    UNAVAILABLE = 69
    TRY_AGAIN = 75
    NOT_PERMITTED = 77
    CONFIG = 78
    INTERRUPTED = 130


class GscdError(Exception):
    """A failure with one clear line for the user.

    Args:
        message: what happened, in one sentence without a final period.
        hint: what to do about it, in one sentence; "" where the message says it all.
        site: the Search Console property concerned, as Google spells it.
        date: the Pacific date concerned.
    """

    exit_code: Exit = Exit.PROBLEM

    def __init__(self, message: str, *, hint: str = "", site: str | None = None, date: dt.date | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.site = site
        self.date = date

    def __str__(self) -> str:
        where = " ".join(str(part) for part in (self.site, self.date) if part is not None)
        line = f"{where}: {self.message}" if where else self.message
        return f"{line}. {self.hint}" if self.hint else line


class UsageError(GscdError):
    """The command's words or values are wrong."""

    exit_code = Exit.USAGE


class ConfigError(GscdError):
    """The settings, the credentials or what they name cannot work; a restart will not help."""

    exit_code = Exit.CONFIG


class NotPermitted(GscdError):
    """The operating system or a service says that this user may not."""

    exit_code = Exit.NOT_PERMITTED


class TryAgain(GscdError):
    """Something is in the way that passes: a second daemon, a halt, parked work."""

    exit_code = Exit.TRY_AGAIN


class Unavailable(GscdError):
    """A service does not answer or cannot do its work now."""

    exit_code = Exit.UNAVAILABLE


class LedgerUnavailable(Unavailable):
    """The ledger is locked for too long, read-only, or its disk is full."""


class LedgerCorrupt(GscdError):
    """The ledger is not a SQLite database any more; ``gscd ledger rebuild`` makes it anew."""

    exit_code = Exit.CONFIG


class SinkUnavailable(Unavailable):
    """Postgres is away, read-only, locked or full; work goes on by itself when it is back."""


class BudgetUnavailable(Unavailable):
    """Redis does not answer; nothing is sent until it does."""


class LeaseLost(GscdError):
    """The lease is gone: a newer token exists, so this worker may neither commit nor finish."""


class Overlap(GscdError):
    """The responses of one day held the same keys more than a few times, so rows between them are missing.

    Args:
        doubles: rows dropped because an earlier response of the same sitting had their key.
    """

    def __init__(self, doubles: int, *, site: str | None = None, date: dt.date | None = None) -> None:
        super().__init__(f"{doubles} rows came twice in one sitting", site=site, date=date)
        self.doubles = doubles


class Refusal(enum.Enum):
    """Why the source did not give rows: decided by Google's reason and message, never by the status alone."""

    RATE = "rate"  # QPS or per-minute quota: everyone slows down, no attempt is spent
    LOAD = "load"  # load quota: the site is parked for 15 minutes, then until the next Pacific day
    SITE = "site"  # no permission for this property, or it is gone: the site is parked
    CREDENTIAL = "credential"  # revoked, wrong scope, API not enabled: the credential's sites are parked
    REQUEST = "request"  # Google will never accept this request: quarantine at once
    TRANSIENT = "transient"  # 5xx, network, truncated or senseless answer: tried again with backoff
    ABANDONED = "abandoned"  # we stopped waiting because of a halt; no attempt is spent


class SourceError(GscdError):
    """The source refused or failed.

    Args:
        kind: what to do about it.
        status: HTTP status, or 0 when there was no answer.
        reason: Google's own reason word, such as ``quotaExceeded``, or "" if it gave none.
        retry_after: seconds that Google asked us to wait, or None.
    """

    def __init__(
        self,
        kind: Refusal,
        message: str,
        *,
        status: int = 0,
        reason: str = "",
        retry_after: float | None = None,
        hint: str = "",
        site: str | None = None,
        date: dt.date | None = None,
    ) -> None:
        super().__init__(message, hint=hint, site=site, date=date)
        self.kind = kind
        self.status = status
        self.reason = reason
        self.retry_after = retry_after
