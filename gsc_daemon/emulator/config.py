"""Emulator, settings: what it serves, how fast, under which quotas, and what goes wrong; all of it with defaults."""

from __future__ import annotations

import dataclasses
import datetime as dt
import typing
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from gsc_daemon.errors import UsageError

PERMISSIONS: Final = ("siteOwner", "siteFullUser", "siteRestrictedUser", "siteUnverifiedUser")
FAULT_KINDS: Final = (
    *("500", "503", "html", "400", "401", "forbidden", "disabled", "qps", "429", "load", "invalid_grant"),  # said so
    *("reset", "late", "hang", "trickle", "cut", "truncate", "garbage", "empty"),  # what the network or a bug does
)
PATHS: Final = ("query", "sites", "batch", "token")


@dataclass(frozen=True, slots=True)
class SiteSpec:
    """One property.

    Args:
        site_url: as Google spells it. permission: as ``sites.list`` gives it; "" hides the site altogether.
        first_day: Pacific date before which there is no data; None: as far back as the API keeps it.
        rows_per_day: rows of query × page × country × device a day for ``web``; the other types have shares of that.
        rows_vary: a day has up to this share more or fewer rows. seed: makes its days unlike another site's.
        peaks: dates on which there are ``peak_rows`` rows instead.
        host: of the URLs in its rows; sites with the same host and scale share the same keys, and memory.
    """

    site_url: str = "sc-domain:example.com"
    permission: str = "siteOwner"
    first_day: dt.date | None = None
    rows_per_day: int = 40_000
    seed: int = 0
    rows_vary: float = 0.0
    peaks: tuple[dt.date, ...] = ()
    peak_rows: int = 60_000
    host: str = "www.example.com"


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong, with the next ``times`` calls and then with a share ``rate`` of them.

    Args:
        kind: one of `FAULT_KINDS`; docs/emulator.md says what each does.
        path: which calls: ``query`` (each part of a batch too), ``sites``, ``batch`` (the outer one) or ``token``.
        site, date: only queries of this property, of this one date. rows: only those with dimensions.
        seconds: how long ``hang``, ``late`` and ``trickle`` take.
    """

    kind: str
    rate: float = 0.0
    times: int = 0
    path: str = "query"
    site: str = ""
    seconds: float = 600.0
    date: dt.date | None = None
    rows: bool = False


@dataclass(frozen=True, slots=True)
class EmulatorConfig:
    """Everything that can be set; fields marked * cannot change while it runs.

    Args:
        sites*: the properties, in the order of ``sites.list``.
        permissions: site → permission in place of its own, so that one can be taken away or given at run time.
        seed*: with the same seed the same requests get the same rows.
        today: the Pacific date it is, or None for the clock's.
        latency_median_s, latency_p99_s: seconds until a full response of 25,000 rows begins (lognormal; smaller
            responses are quicker); 0: at once.
        site_qpm, user_qpm, project_qpm: Google's quotas, calls in any 60 s.
        site_qps, user_qps, project_qps: what it refuses beyond in any second (None: nothing); Google names no figure.
        hidden_qpm: a lower limit per project that nobody announced (None: none).
        other_qpm, other_qps: per user, for everything that is not Search Analytics.
        count_rejected: refused calls use up quota too. refusal: ``403``, ``429`` or ``mixed``.
        retry_after_s: seconds in a Retry-After header of refusals, or None for no such header.
        load_short, load_daily: cost that a site may use in ``load_window_s`` seconds and on a Pacific day (None: any).
        reshuffle_ties: rows of equal clicks come in another order with every request.
        overlap_rows: every response after the first begins this many rows too early.
        sort_by_date: reports grouped by date come in the order of dates, not of clicks.
        hide_anonymised*: share of clicks and impressions under queries that are never shown.
        impossible_characters*: some queries hold NUL or half of a surrogate pair.
        cap: rows of a request that can be had by paging. months_kept: how far back there is data.
        final_lag_days: the newest final day is that many days before today.
        metadata: ``camel`` (firstIncompleteDate) or ``snake`` (first_incomplete_date). decimal: whole doubles are
            spelled ``1.0``, else ``1``. chunked: bodies come in chunks, without Content-Length.
        require_auth: calls need a bearer token. token_lifetime_s: of access tokens, seconds.
        batch: ``/batch`` exists. keep_alive_s: idle connections are closed after that many seconds (None: never).
        faults: what goes wrong; the first that applies to a call decides.
    """

    sites: tuple[SiteSpec, ...] = (SiteSpec(),)
    permissions: dict[str, str] = field(default_factory=dict)
    seed: int = 1
    today: dt.date | None = None
    latency_median_s: float = 0.0
    latency_p99_s: float = 0.0
    site_qpm: int = 1200
    user_qpm: int = 1200
    project_qpm: int = 40_000
    site_qps: int | None = None
    user_qps: int | None = None
    project_qps: int | None = None
    hidden_qpm: int | None = None
    other_qpm: int = 200
    other_qps: int = 20
    count_rejected: bool = True
    refusal: str = "403"
    retry_after_s: int | None = None
    load_short: float | None = None
    load_daily: float | None = None
    load_window_s: float = 600.0
    reshuffle_ties: bool = False
    overlap_rows: int = 0
    sort_by_date: bool = False
    hide_anonymised: float = 0.3
    impossible_characters: bool = False
    cap: int = 50_000
    months_kept: int = 16
    final_lag_days: int = 3
    metadata: str = "camel"
    decimal: bool = True
    chunked: bool = False
    require_auth: bool = True
    token_lifetime_s: float = 3600.0
    batch: bool = True
    keep_alive_s: float | None = None
    faults: tuple[Fault, ...] = ()

    def __post_init__(self) -> None:
        _one_of("refusal", self.refusal, ("403", "429", "mixed"))
        _one_of("metadata", self.metadata, ("camel", "snake"))
        if not 0 <= self.hide_anonymised < 1:
            raise UsageError(f"the emulator cannot hide {self.hide_anonymised} of the clicks", hint="Give 0 to 0.9")
        for site in self.sites:
            _one_of(f"permission of {site.site_url}", site.permission, (*PERMISSIONS, ""))
        for site_url, permission in self.permissions.items():
            _one_of("site", site_url, tuple(site.site_url for site in self.sites))
            _one_of(f"permission of {site_url}", permission, (*PERMISSIONS, ""))
        for fault in self.faults:
            _one_of("kind of fault", fault.kind, FAULT_KINDS)
            _one_of("path of a fault", fault.path, PATHS)
            if fault.kind == "invalid_grant" and fault.path != "token":
                raise UsageError("only the token endpoint says invalid_grant", hint='Give the fault path="token"')


T = TypeVar("T")
FIXED: Final = frozenset({"sites", "seed", "hide_anonymised", "impossible_characters", "decimal"})


def _one_of(what: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise UsageError(
            f"the emulator knows no {what} {value!r}", hint=f"Give one of: {', '.join(map(repr, allowed))}"
        )


def to_json(value: Any) -> Any:
    """Dataclasses, tuples and dates as what ``json`` can write."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_json(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    if isinstance(value, dict):
        return {key: to_json(item) for key, item in value.items()}
    return value.isoformat() if isinstance(value, dt.date) else value


def _convert(name: str, value: Any, hint: Any) -> Any:
    if "datetime.date" in str(hint) and isinstance(value, str):
        return dt.date.fromisoformat(value)
    if name == "peaks":
        return tuple(map(dt.date.fromisoformat, value))
    if name == "sites":
        return tuple(from_json(SiteSpec, item) for item in value)
    if name == "faults":
        return tuple(from_json(Fault, item) for item in value)
    return value


def from_json(kind: type[T], values: dict[str, Any]) -> T:
    """The dataclass that `to_json` wrote. Raises `UsageError` for unknown names."""
    return kind(**_fields(kind, values))


def _fields(kind: type, values: dict[str, Any]) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    unknown = sorted(set(values) - set(hints))
    if unknown:
        raise UsageError(f"the emulator has no setting {unknown[0]!r}", hint=f"It has: {', '.join(hints)}")
    return {name: _convert(name, value, hints[name]) for name, value in values.items()}


def changed(config: EmulatorConfig, values: dict[str, Any]) -> EmulatorConfig:
    """The settings with some of them changed. Raises `UsageError` for what is fixed or unknown."""
    fixed = sorted(FIXED & set(values))
    if fixed:
        raise UsageError(f"{fixed[0]!r} cannot change while the emulator runs", hint="Start another one")
    return dataclasses.replace(config, **_fields(EmulatorConfig, values))
