"""The reporter's metrics: one table says what each means, and makes both /metrics and docs/metrics.md.

Prometheus' text format: prometheus.io/docs/instrumenting/exposition_formats. All are gauges, read from the ledger, the
budget and the machine, so that nothing is lost when a process dies.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from gsc_daemon import __version__
from gsc_daemon.reporter.picture import MEMORY_LIMIT, Picture

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
# 80% of the quota, less the 1% that the budget leaves for queries of unequal journeys: full speed lives just there.
APPROACHING: Final = 0.79

Sample = tuple[Mapping[str, str], float]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: its meaning with unit and labels, and how it is read off a picture."""

    meaning: str
    read: Callable[[Picture], Iterable[Sample]]


def _one(read: Callable[[Picture], float]) -> Callable[[Picture], Iterable[Sample]]:
    return lambda picture: [({}, read(picture))]


def _from_ledger(read: Callable[[Picture], float]) -> Callable[[Picture], Iterable[Sample]]:
    """Absent while the ledger cannot be read, rather than wrong."""
    return lambda picture: [] if picture.ledger_trouble else [({}, read(picture))]


def _items(picture: Picture) -> Iterator[Sample]:
    queue = picture.status.queue
    for state in ("ready", "waiting", "leased", "done", "quarantined", "cancelled"):
        if not picture.ledger_trouble:
            yield {"state": state}, getattr(queue, state)


def _qpm(picture: Picture) -> Iterator[Sample]:
    for span, qpm in zip(("1m", "5m", "15m"), picture.status.rate.qpm, strict=True):
        if not picture.ledger_trouble:
            yield {"over": span}, qpm


def _usage(read: str) -> Callable[[Picture], Iterable[Sample]]:
    def samples(picture: Picture) -> Iterator[Sample]:
        for usage in picture.usage:
            if usage.scope != "pace":
                yield {"scope": usage.scope, "name": usage.name}, getattr(usage, read)

    return samples


def _approaching(picture: Picture) -> Iterator[Sample]:
    for usage in picture.usage:
        if usage.scope != "pace":
            yield {"scope": usage.scope, "name": usage.name}, usage.used >= APPROACHING * usage.quota


def _pace(picture: Picture) -> Iterator[Sample]:
    for usage in picture.usage:
        if usage.scope == "pace":
            yield {"credential": usage.name}, usage.budget


def _sites(read: str) -> Callable[[Picture], Iterable[Sample]]:
    def samples(picture: Picture) -> Iterator[Sample]:
        for site in picture.status.sites:
            yield {"site": site.progress.site}, getattr(site.progress, read)

    return samples


def _parked(picture: Picture) -> Iterator[Sample]:
    for site in picture.status.sites:
        yield {"site": site.progress.site}, bool(site.progress.parked)


def _date(read: str) -> Callable[[Picture], Iterable[Sample]]:
    def samples(picture: Picture) -> Iterator[Sample]:
        for site in picture.status.sites:
            date = getattr(site.progress, read)
            if date is not None:
                yield {"site": site.progress.site}, dt.datetime.combine(date, dt.time(), dt.UTC).timestamp()

    return samples


def _stalled(picture: Picture) -> Iterator[Sample]:
    for site in picture.status.sites:
        yield {"site": site.progress.site}, site.progress.stalled_ms is not None


def _outages(picture: Picture) -> Iterator[Sample]:
    for service in ("sink", "budget", "source"):
        if not picture.ledger_trouble:
            yield {"service": service}, service in picture.status.outages


METRICS: Final[dict[str, Metric]] = {
    "gscd_up": Metric("1: the reporter lives", _one(lambda _: 1)),
    "gscd_info": Metric("1; `version` of the program", lambda _: [({"version": __version__}, 1)]),
    "gscd_ledger_ok": Metric(
        "1 if the ledger can be read; while it is 0, what comes from it is absent",
        _one(lambda picture: not picture.ledger_trouble),
    ),
    "gscd_budget_ok": Metric("1 if Redis can be asked", _one(lambda picture: not picture.budget_trouble)),
    "gscd_halted": Metric("1 while all work is halted", _one(lambda picture: picture.status.halted.halted)),
    "gscd_person_needed": Metric(
        "1 while something waits for a person; `gscd status` says what", _one(lambda p: p.status.person_needed)
    ),
    "gscd_workers_wanted": Metric("Worker processes that there should be", _one(lambda p: p.workers_wanted)),
    "gscd_workers_alive": Metric("Worker processes that there are", _one(lambda picture: picture.workers_alive)),
    "gscd_items": Metric("Items (API requests) by `state`", _items),
    "gscd_days_planned": Metric("Days not yet queued", _from_ledger(lambda p: p.status.queue.planned_days)),
    "gscd_days_parked": Metric("Open days of parked sites", _from_ledger(lambda p: p.status.queue.parked_days)),
    "gscd_days_left": Metric("Days that can still be fetched now", _from_ledger(lambda p: p.status.left)),
    "gscd_seconds_left": Metric(
        "Seconds until they are done at the present speed; absent when unknown",
        lambda p: [] if p.status.seconds_left is None else [({}, p.status.seconds_left)],
    ),
    "gscd_batches_in_flight": Metric("Batches leased now", _from_ledger(lambda p: p.status.queue.batches)),
    "gscd_queries_per_minute": Metric("Queries a minute `over` 1m, 5m, 15m, from the ledger", _qpm),
    "gscd_budget_queries_per_minute": Metric(
        "Queries a minute that the budget allows on the sites under way", _one(lambda p: p.status.rate.budget)
    ),
    "gscd_batches_hour": Metric("Batches fetched in the last hour", _from_ledger(lambda p: p.status.batches.batches)),
    "gscd_batch_seconds_average": Metric(
        "Seconds from sending a batch to having it, mean of the last hour",
        _from_ledger(lambda p: p.status.batches.average_s),
    ),
    "gscd_batch_seconds_p99": Metric(
        "The same, 99th percentile; wanted: under 5", _from_ledger(lambda p: p.status.batches.p99_s)
    ),
    "gscd_rate_used": Metric(
        "Queries of the last 60 s by `scope` (site, user, project) and `name`, as Redis counts them", _usage("used")
    ),
    "gscd_rate_budget": Metric("Queries a minute that we allow ourselves there", _usage("budget")),
    "gscd_rate_quota": Metric("Queries a minute that Google allows there", _usage("quota")),
    "gscd_rate_approaching": Metric("1 from about 80% of the quota on: that is full speed, no alarm", _approaching),
    "gscd_pace_queries_per_minute": Metric(
        "What Google's refusals have left of the speed of a `credential`; absent when nothing was refused lately", _pace
    ),
    "gscd_site_days_wanted": Metric("Days wanted of a `site`", _sites("wanted")),
    "gscd_site_days_published": Metric("Days of a `site` that are in Postgres", _sites("published")),
    "gscd_site_days_quarantined": Metric("Days of a `site` set aside for a person", _sites("quarantined")),
    "gscd_site_parked": Metric("1 while a `site` is set aside for a time", _parked),
    "gscd_site_newest_day_seconds": Metric(
        "Newest published date of a `site` as Unix time (midnight UTC)", _date("newest")
    ),
    "gscd_site_newest_final_day_seconds": Metric(
        "The same of the newest that Google will not change any more", _date("newest_final")
    ),
    "gscd_site_oldest_day_seconds": Metric("The same of the oldest", _date("oldest")),
    "gscd_site_stalled": Metric(
        "1 while no day of a `site` becomes final, for 48 hours, though the daemon runs", _stalled
    ),
    "gscd_outage": Metric("1 while a `service` is away: sink (Postgres), budget (Redis), source (Google)", _outages),
    "gscd_memory_bytes": Metric("Memory (PSS) of all processes together", _one(lambda picture: picture.memory.pss)),
    "gscd_memory_limit_bytes": Metric("What they should stay under", _one(lambda _: MEMORY_LIMIT)),
    "gscd_processes": Metric("Processes of the daemon", _one(lambda picture: picture.memory.processes)),
    "gscd_ledger_bytes": Metric("Size of the ledger's file", _one(lambda picture: picture.ledger_bytes)),
    "gscd_ledger_wal_bytes": Metric("Size of its write-ahead log", _one(lambda picture: picture.wal_bytes)),
    "gscd_looked_seconds": Metric(
        "Unix time at which all this was seen; old if the reporter hangs", _one(lambda p: p.status.at_ms / 1000)
    ),
}


def render(picture: Picture) -> str:
    """All metrics as Prometheus reads them."""
    lines = []
    for name, metric in METRICS.items():
        samples = [f"{name}{_labels(labels)} {float(value):.15g}" for labels, value in metric.read(picture)]
        if samples:
            lines += [f"# HELP {name} {metric.meaning}", f"# TYPE {name} gauge", *samples]
    return "\n".join(lines) + "\n"


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def page() -> str:
    """docs/metrics.md."""
    head = """\
# Metrics

<!-- Made by scripts/docs from gsc_daemon/reporter/metrics.py; change it there. -->

`http://127.0.0.1:9464/metrics` (`telemetry.listen`) gives these in Prometheus' text format. All are gauges, looked at
every few seconds. What cannot be read now is absent rather than wrong.

| Metric | Meaning |
|---|---|
"""
    return head + "".join(f"| `{name}` | {metric.meaning} |\n" for name, metric in METRICS.items())
