"""Events: one call feeds the journal, the metrics and the alerts. The table below is the whole list.

A process subscribes what it wants after its fork; without a subscriber an event costs nothing.
`docs/events.md` is made from the table, and a test holds every ``emit`` of the program against it.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final


class Level(enum.IntEnum):
    """syslog's severities, as journald's PRIORITY."""

    ERROR = 3  # a person is needed
    WARNING = 4  # heals by itself
    INFO = 6
    DEBUG = 7


@dataclass(frozen=True, slots=True)
class EventSpec:
    """One event: its level, its fields with their meaning and unit, and the line that a person reads.

    Site, date and worker are put before ``text`` by `describe`, so it does not name them.
    """

    level: Level
    fields: dict[str, str]
    text: str


Value = str | int | float | bool | None
Subscriber = Callable[[str, EventSpec, dict[str, Value]], None]

# Fields that mean the same wherever they stand.
COMMON: Final = {
    "worker_id": "number of the worker process, never used twice",
    "slot": "place among its kind, from 0; its successor takes the same",
    "pid": "process id",
    "token": "fencing token of the batch",
    "site": "Search Console property, as Google spells it",
    "date": "Pacific date of the day",
    "report": "name of the report",
    "search_type": "web, image, video, news, discover or googleNews",
    "reason": "what happened, in words",
    "duration": "seconds",
    "role": "worker, coordinator or reporter",
    "rows": "rows published",
    "until_ms": "UTC milliseconds, or nothing: until a person acts",
    "service": "sink, budget or source",
}
_DAY: Final = "site date report search_type"


def _spec(level: Level, text: str, common: str = "", /, **own: str) -> EventSpec:
    return EventSpec(level, {name: COMMON[name] for name in common.split()} | own, text)


EVENTS: Final[dict[str, EventSpec]] = {
    # the daemon
    "daemon.started": _spec(Level.INFO, "gscd is up", "pid", version="of the program", run_id="names this run"),
    "daemon.stopping": _spec(Level.INFO, "stopping: {reason}", "reason", code="exit code"),
    "daemon.halted": _spec(Level.WARNING, "halted: {reason}. `gscd resume` goes on", "reason"),
    "daemon.resumed": _spec(Level.INFO, "resumed"),
    "daemon.reloaded": _spec(Level.INFO, "settings read again: {reason}", "reason"),
    "daemon.failpoints": _spec(Level.WARNING, "GSCD_FAILPOINTS is set: this is a test and no normal run"),
    "daemon.reload_refused": _spec(Level.ERROR, "the old settings stay in force: {reason}", "reason"),
    "daemon.memory": _spec(
        Level.DEBUG,
        "memory: {pss_mb} MB, of {limit_mb} MB",
        pss_mb="megabytes (PSS) of all processes together",
        limit_mb="megabytes that they may take",
    ),
    "daemon.memory_high": _spec(
        Level.WARNING,
        "memory: {pss_mb} MB, more than {limit_mb} MB",
        pss_mb="megabytes (PSS) of all processes together",
        limit_mb="megabytes that they may take",
    ),
    "halt.unwritten": _spec(Level.ERROR, "halted, but a restart would forget it: {reason}", "reason"),
    "halt.propagation": _spec(Level.INFO, "the halt reached every worker in {duration} s", "duration"),
    # the coordinator
    "sync.planned": _spec(
        Level.INFO,
        "{new} days planned, {again} wanted again",
        "site",
        new="days that were not in the ledger",
        again="days wanted afresh, as a new generation",
    ),
    "sync.cancelled": _spec(Level.INFO, "{days} days cancelled: {reason}", "site reason", days="days taken back"),
    "coordinator.queue_size": _spec(
        Level.DEBUG,
        "queue: {ready} ready, {waiting} waiting, {planned} days planned",
        ready="items that may be claimed",
        waiting="items that wait for their time",
        planned="days that are not queued yet",
    ),
    "coordinator.in_flight": _spec(
        Level.DEBUG, "in flight: {batches} batches, {items} items", batches="batches leased", items="items leased"
    ),
    "coordinator.queue_warning": _spec(
        Level.WARNING,
        "{queued} items are ready or waiting, of {limit} at most; from 80% on nothing is added",
        queued="items ready and waiting together",
        limit="max_queue_size",
    ),
    "leases.freed": _spec(
        Level.INFO, "{items} items of the dead process {pid} go back to work", "pid", items="items that it held"
    ),
    "ledger.seeded": _spec(Level.INFO, "{days} days learned from what Postgres holds", days="days that changed"),
    "ledger.trouble": _spec(Level.ERROR, "ledger: {reason}", "reason worker_id"),
    "ledger.well": _spec(Level.INFO, "the ledger works again after {duration} s", "duration worker_id"),
    "ledger.checkpoint": _spec(
        Level.DEBUG, "write-ahead log: {bytes} bytes", bytes="size of the write-ahead log after the checkpoint"
    ),
    # workers
    "worker.started": _spec(Level.INFO, "started (pid {pid})", "worker_id slot pid"),
    "worker.stopped": _spec(Level.INFO, "left: {reason}", "worker_id slot pid reason"),
    "worker.crash": _spec(
        Level.WARNING,
        "{role} {slot} (pid {pid}) died: {how}",
        "role slot pid",
        how="signal or exit code",
        uptime="seconds that it lived",
    ),
    "worker.hung": _spec(Level.WARNING, "{role} {slot} (pid {pid}) is killed: {reason}", "role slot pid reason"),
    "worker.unforked": _spec(
        Level.WARNING, "{role} {slot} could not be started and is tried again: {reason}", "role slot reason"
    ),
    "worker.batch": _spec(
        Level.DEBUG,
        "batch of {batch_size} in {duration} s: {status}",
        "worker_id token site duration",
        batch_size="queries sent, first tries only",
        retries="refusals and failures while it was under way",
        status="ok, failed, halted or lost",
    ),
    "lease.lost": _spec(Level.WARNING, "lease {token} is lost; what it held is left alone", "worker_id token " + _DAY),
    # days and items
    "day.published": _spec(
        Level.INFO,
        "published {rows:,} rows ({state}) of {requests} requests in {duration} s",
        "worker_id token rows duration " + _DAY,
        requests="API requests of the sitting",
        state="provisional or final",
        overlap="responses overlapped, so rows may be missing",
        truncated="Google gave no more than its limit a day",
    ),
    "day.adopted": _spec(
        Level.INFO, "was published already ({rows:,} rows); nothing is fetched", "worker_id token rows " + _DAY
    ),
    "day.overlap": _spec(
        Level.WARNING,
        "{doubles} rows came twice, so others are missing; fetched again",
        "worker_id token " + _DAY,
        doubles="rows that came twice in one sitting",
        refetches="times that the day was fetched again before",
    ),
    "day.kept": _spec(
        Level.WARNING,
        "Google gave nothing; the {rows:,} rows that are there stay. `--allow-loss` would replace them",
        "worker_id rows " + _DAY,
    ),
    "day.suspect": _spec(
        Level.WARNING,
        "Google gave nothing, although the day has totals or had rows; it was asked {asks} times more",
        "worker_id " + _DAY,
        asks="times that the day was asked for again",
    ),
    "item.requeued": _spec(
        Level.WARNING,
        "tried again in {delay} s: {reason}",
        "worker_id reason " + _DAY,
        delay="seconds until the next attempt",
        failures="attempts that failed before this one",
    ),
    "item.quarantined": _spec(Level.ERROR, "set aside for a person: {reason}", "worker_id reason " + _DAY),
    # sites
    "site.parked": _spec(Level.WARNING, "parked: {reason}", "worker_id site reason until_ms"),
    "site.unparked": _spec(Level.INFO, "unparked: {reason}", "worker_id site reason"),
    "site.found": _spec(Level.INFO, "can be read ({permission})", "worker_id site", permission="as Google names it"),
    "sites.unlisted": _spec(Level.WARNING, "the list of properties could not be had: {reason}", "worker_id reason"),
    "site.lost": _spec(
        Level.ERROR, "cannot be read: {reason}. It is parked and tried again; the others go on", "worker_id site reason"
    ),
    "credential.refused": _spec(
        Level.ERROR,
        "{credential} is refused: {reason}. Its sites are parked and tried again; the others go on",
        "worker_id reason",
        credential="name of the credential",
    ),
    "sums.late": _spec(Level.WARNING, "the sums by month could not be made: {reason}", "worker_id reason"),
    # freshness
    "site.stalled": _spec(Level.ERROR, "no day has become final for 48 hours, though the daemon runs", "site"),
    "site.moving": _spec(Level.INFO, "days become final again", "site"),
    "frontier.told": _spec(Level.DEBUG, "Google calls its data final up to then", "worker_id site search_type date"),
    "frontier.unknown": _spec(
        Level.WARNING, "Google could not be asked what is final: {reason}", "worker_id site search_type reason"
    ),
    # the budget
    "rate_limit.usage": _spec(
        Level.DEBUG,
        "{scope} {name}: {used} of {budget} queries in 60 s",
        scope="site, user, project or pace",
        name="site or credential",
        used="queries of the last 60 s",
        budget="queries a minute that we allow ourselves",
        quota="queries a minute that Google allows",
    ),
    "rate_limit.approaching": _spec(
        Level.INFO,
        "{scope} {name}: {used} queries in 60 s, {percent}% of the quota",
        scope="site, user or project",
        name="site or credential",
        used="queries of the last 60 s",
        quota="queries a minute that Google allows",
        percent="of the quota",
    ),
    "rate_limit.exceeded": _spec(
        Level.WARNING,
        "too fast for Google: {reason}; the pace is now {pace_qpm} queries a minute",
        "worker_id reason " + _DAY,
        pace_qpm="queries a minute from now on",
    ),
    "pace.changed": _spec(
        Level.INFO,
        "pace of {credential}: {pace_qpm} queries a minute",
        credential="name of the credential",
        pace_qpm="queries a minute; nothing: the budget alone holds",
    ),
    # services
    "sink.away": _spec(Level.WARNING, "Postgres is away: {reason}. Tried every 10 s", "worker_id reason"),
    "sink.back": _spec(Level.INFO, "Postgres is back", "worker_id duration"),
    "budget.away": _spec(Level.WARNING, "Redis is away, nothing is sent: {reason}", "worker_id reason"),
    "budget.back": _spec(Level.INFO, "Redis is back", "worker_id duration"),
    "budget.refilled": _spec(
        Level.WARNING,
        "Redis had forgotten; {queries} queries of the last 60 s were put back from the ledger",
        "worker_id",
        queries="queries put back",
    ),
    "source.away": _spec(Level.WARNING, "Google cannot be asked: {reason}", "worker_id reason"),
    "source.back": _spec(Level.INFO, "Google answers again", "worker_id duration"),
    # what tells
    "reporter.deaf": _spec(
        Level.WARNING,
        "metrics and page are not served, {address} cannot be had: {reason}. Tried every minute",
        "reason",
        address="telemetry.listen",
    ),
    "alert.failed": _spec(Level.WARNING, "an alert could not be sent: {reason}", "reason"),
    "heartbeat.failed": _spec(Level.WARNING, "the heartbeat could not be sent: {reason}", "reason"),
    "journal.dropped": _spec(
        Level.WARNING, "{count} records were lost while the journal did not take any", count="records dropped"
    ),
    "log.error": _spec(Level.ERROR, "{logger}: {text}", logger="name of the library's logger", text="its words"),
    "log.warning": _spec(Level.WARNING, "{logger}: {text}", logger="name of the library's logger", text="its words"),
}

_subscribers: list[Subscriber] = []
_context: dict[str, Value] = {}


def subscribe(subscriber: Subscriber) -> None:
    """Have every event of this process given to ``subscriber``; it must not block and must not raise."""
    _subscribers.append(subscriber)


def bind(**fields: Value) -> None:
    """Add fields to every later event of this process, such as ``worker_id``, so that a journal can be searched."""
    _context.update(fields)


def clear() -> None:
    """Forget all subscribers and bound fields: a forked child starts with none of its parent's."""
    _subscribers.clear()
    _context.clear()


def emit(name: str, /, **fields: Value) -> None:
    """Tell the subscribers what happened. Raises KeyError for a name that is not in `EVENTS`."""
    spec = EVENTS[name]
    if not _subscribers:
        return
    told = {**_context, **fields}
    for subscriber in _subscribers:
        subscriber(name, spec, told)


def describe(spec: EventSpec, fields: Mapping[str, Value]) -> str:
    """The line that a person reads: worker, site and date first. A missing field shows as ``?``; never raises."""
    who = f"worker {fields['worker_id']}" if fields.get("worker_id") is not None else ""
    day = [fields.get("site"), fields.get("date")]
    day += [value for value in (fields.get("report"), fields.get("search_type")) if value not in ("query_page", "web")]
    where = " ".join(str(part) for part in day if part is not None)
    return "  ".join(part for part in (who, " ".join(filter(None, (where, _filled(spec.text, fields))))) if part)


def _filled(text: str, fields: Mapping[str, Value]) -> str:
    try:
        return text.format_map(_Shown({name: value for name, value in fields.items() if value is not None}))
    except (ValueError, TypeError, LookupError, AttributeError):  # a field of another type than the text expects
        return f"{text} {dict(fields)}"


class _Unknown(str):
    """Stands for a field that is not there, whatever its format."""

    __slots__ = ()

    def __format__(self, spec: str) -> str:
        return "?"


class _Shown(dict[str, Value]):
    """Fields as a text shows them."""

    def __missing__(self, name: str) -> str:
        return _Unknown()
