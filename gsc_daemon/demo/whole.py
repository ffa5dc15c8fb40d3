"""Demo, the whole thing: a backfill by the real program, reconciled, every day held against the emulator's truth."""

from __future__ import annotations

import datetime as dt
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gsc_daemon.clock import SystemClock, pacific_today
from gsc_daemon.demo.sequential import sequential_seconds
from gsc_daemon.demo.stage import Stage, stage
from gsc_daemon.demo.watch import Tell, watching
from gsc_daemon.emulator import EmulatorConfig, SiteSpec
from gsc_daemon.errors import Unavailable
from gsc_daemon.model import QUERY_PAGE, Held
from gsc_daemon.plan import newest_final
from gsc_daemon.reconcile import look
from gsc_daemon.wiring import make_sink, open_ledger
from gsc_daemon.words import amount

SITE: Final = "sc-domain:example.com"
WORKERS: Final = 3
LATENCY: Final = (0.8, 3.0)  # seconds, median and p99 of a full response: as Google's
SLICE: Final = 8  # days that are measured one request after another
BYTES_PER_ROW: Final = 305  # in Postgres, with the index
LOG_BYTES: Final = 1_000_000_000  # Postgres' write-ahead log at most, as it is set by default
SPARE_BYTES: Final = 200_000_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the demo has shown.

    Args:
        days, rows: of query_page, as counted in Postgres. seconds: from the daemon's start to its end.
        requests: as counted by the emulator. mean_qpm, most_qpm: queries a minute, the latter in any sliding 60 s.
        slice_days, slice_seconds: measured one request after another. memory: bytes (PSS), the most of all processes.
        missing, double: rows that the emulator has served and Postgres lacks, or has too many. altered: days with other
            rows, clicks or impressions than the emulator's. differences: of ledger and Postgres.
    """

    days: int
    rows: int
    seconds: float
    requests: int
    mean_qpm: float
    most_qpm: int
    slice_days: int
    slice_seconds: float
    memory: int
    missing: int
    double: int
    altered: int
    differences: int

    @property
    def clean(self) -> bool:
        """Whether Postgres holds exactly what was served."""
        return not (self.missing or self.double or self.altered or self.differences)

    @property
    def times_faster(self) -> float:
        """Than one request after another: seconds a day there, divided by seconds a day here."""
        return (self.slice_seconds / self.slice_days) / (self.seconds / self.days)


def room_needed(days: int, rows: int) -> int:
    """Bytes of disk that it takes for a while."""
    kept = days * rows * BYTES_PER_ROW
    return kept + min(kept, LOG_BYTES) + SPARE_BYTES


def check_room(days: int, rows: int) -> None:
    """Raises `Unavailable` if the folder of temporary files is too full."""
    folder = Path(tempfile.gettempdir())
    needed, free = room_needed(days, rows), shutil.disk_usage(folder).free
    if free < needed:
        what = f"{amount(days, 'day')} of {rows:,} rows"
        raise Unavailable(
            f"{what} need {needed / 1e9:.1f} GB in {folder}, where {free / 1e9:.1f} GB are free",
            hint="Make room, set TMPDIR to a larger disk, or say --days or --rows with less",
        )


def backfill(days: int, rows: int, latency: tuple[float, float], tell: Tell) -> Outcome:
    """Run it all. Raises `GscdError`, among it `Unavailable` for what is missing on this machine."""
    check_room(days, rows)
    last = newest_final(pacific_today(SystemClock()))
    first = last - dt.timedelta(days=days - 1)
    median, p99 = latency
    site = SiteSpec(SITE, rows_per_day=rows)
    served = EmulatorConfig(sites=(site,), latency_median_s=median, latency_p99_s=p99)
    tell.say("Starting Postgres, Redis and a local Search Console of our own")
    with stage(served, workers={"max_concurrency": WORKERS}) as made:
        tell.say(f"  {made.postgres.version}, {made.redis.version}")
        tell.say(f"gscd sync range --from {first} --to {last}: {amount(days, 'day')} of {rows:,} rows")
        made.gscd("sync", "range", "--from", f"{first}", "--to", f"{last}", "--yes")
        tell.say(f"gscd run --until-idle: {WORKERS} workers; a full response takes {median} s (1 in 100: {p99} s)")
        with made.daemon("--until-idle") as process, watching(made, process, days) as watch:
            seconds = watch.until_it_leaves(tell)
            memory = watch.memory
        asked = made.emulator.stats()
        tell.say("Reconciling, and holding every day against what was served")
        checked = check(made, first, last)
        few = min(SLICE, days)
        tell.say(f"For comparison: {amount(few, 'day')} again, one request after another")
        slowly = sequential_seconds(made, [last - dt.timedelta(days=back) for back in range(few)])
    queries = asked["seen"]["query"]
    span = queries["last"] - queries["first"]
    return Outcome(
        days=days,
        seconds=seconds,
        requests=queries["count"],
        mean_qpm=queries["count"] / max(span, 1.0) * 60,
        most_qpm=max(asked["most_in_60s"]["site"].values()),
        slice_days=few,
        slice_seconds=slowly,
        memory=memory,
        **checked,
    )


def check(made: Stage, first: dt.date, last: dt.date) -> Mapping[str, int]:
    """Ledger against Postgres, and Postgres against the emulator's truth."""
    ledger, sink = open_ledger(made.settings), make_sink(made.settings)
    try:
        findings = look(ledger, sink)
        held = {
            one.day.date: one
            for one in sink.audit(made.site, first, last, digests=True)
            if one.day.report == QUERY_PAGE.name
        }
    finally:
        sink.close()
        ledger.close()
    return {
        "rows": sum(one.rows for one in held.values()),
        "differences": len(findings.differences),
        **against_truth(held, made.emulator.truth(made.site, first, last)),
    }


def against_truth(held: Mapping[dt.date, Held], truth: list[dict[str, Any]]) -> dict[str, int]:
    """Rows missing and double, and days altered. Args: truth: as `Emulator.truth` gives it."""
    missing = double = altered = 0
    for day in truth:
        one = held.get(dt.date.fromisoformat(day["date"]))
        rows = one.rows if one is not None else 0
        missing += max(0, day["rows"] - rows)
        double += max(0, rows - day["rows"])
        if one is not None and rows == day["rows"]:
            altered += (one.clicks, one.impressions, one.digest) != (day["clicks"], day["impressions"], day["digest"])
    return {"missing": missing, "double": double, "altered": altered}
