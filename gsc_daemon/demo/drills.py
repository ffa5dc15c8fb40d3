"""Demo, the drills: what goes wrong in production, done on purpose on the stage, and what the daemon makes of it."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import psutil

from gsc_daemon.clock import SystemClock, pacific_today
from gsc_daemon.demo.stage import Stage, stage
from gsc_daemon.demo.watch import EVERY, Tell, Watch, watching
from gsc_daemon.demo.whole import SITE, check
from gsc_daemon.emulator import EmulatorConfig, SiteSpec
from gsc_daemon.errors import GscdError
from gsc_daemon.plan import newest_final

ROWS: Final = 500  # of a day; drills are about requests
LATENCY: Final = (0.3, 1.0)  # seconds, median and p99 of a full response
PATIENCE: Final = 40.0  # seconds for what must come
QUIET: Final = 2.0  # seconds without a request: fetching has stopped


@dataclass(frozen=True, slots=True)
class Drilled:
    """What came of a drill.

    Args:
        good: whether the daemon did as it should. figures: what was seen, in the order of the drill.
    """

    good: bool
    figures: dict[str, str]


@dataclass(frozen=True, slots=True)
class Exercise:
    """A daemon at work, to be disturbed."""

    stage: Stage
    process: subprocess.Popen[bytes]
    watch: Watch
    tell: Tell

    def asked(self) -> int:
        """Queries that the emulator has seen."""
        seen = self.stage.emulator.stats()["seen"].get("query", {"count": 0})
        return int(seen["count"])

    def until(self, what: str, is_so: Callable[[], bool]) -> float:
        """Wait until it is so; gives the seconds. Raises `GscdError` if it does not come, or the daemon has left."""
        began = time.monotonic()
        while not is_so():
            if self.process.poll() is not None:
                raise self.stage.failed(self.process)
            if time.monotonic() - began > PATIENCE:
                raise GscdError(f"after {PATIENCE:.0f} s still not: {what}; the daemon: {self.stage.last_words}")
            self.tell.show(str(self.watch.look()))
            time.sleep(EVERY / 2)
        return time.monotonic() - began

    def until_published(self, days: int) -> None:
        """Wait for that many days of query_page."""
        self.until(f"{days} days are published", lambda: self.watch.look().days >= days)

    def until_quiet(self) -> float:
        """Wait until fetching has stopped; gives the seconds until the last request."""
        last, since = self.asked(), time.monotonic()

        def quiet() -> bool:
            nonlocal last, since
            if (now := self.asked()) != last:
                last, since = now, time.monotonic()
            return time.monotonic() - since >= QUIET

        return self.until("fetching has stopped", quiet) - QUIET


@contextlib.contextmanager
def _exercise(days: int, tell: Tell, *, user_qps: int | None = None) -> Iterator[Exercise]:
    """A backfill of so many days, just begun. Args: user_qps: queries in a second that Google takes, None for any."""
    last = newest_final(pacific_today(SystemClock()))
    median, p99 = LATENCY
    site = SiteSpec(SITE, rows_per_day=ROWS)
    served = EmulatorConfig(sites=(site,), latency_median_s=median, latency_p99_s=p99, user_qps=user_qps)
    with stage(served) as made:
        first = last - dt.timedelta(days=days - 1)
        made.gscd("sync", "range", "--from", f"{first}", "--to", f"{last}", "--yes")
        with made.daemon("--until-idle") as process, watching(made, process, days) as watch:
            yield Exercise(made, process, watch, tell)


def _finish(exercise: Exercise, days: int, figures: dict[str, str], *, good: bool) -> Drilled:
    """Let the daemon come to its end, and hold everything against the truth."""
    exercise.watch.until_it_leaves(exercise.tell)
    last = newest_final(pacific_today(SystemClock()))
    checked = check(exercise.stage, last - dt.timedelta(days=days - 1), last)
    lost = {name: checked[name] for name in ("missing", "double", "altered", "differences")}
    figures["rows at the end"] = f"{checked['rows']:,}; " + ", ".join(f"{name} {count}" for name, count in lost.items())
    return Drilled(good and not any(lost.values()), figures)


def rate_limit(tell: Tell) -> Drilled:
    """Google takes 6 queries a second, and nobody has said so; the pace falls, and rises again when it takes more."""
    days, hidden = 64, 6
    figures = {}
    with _exercise(days, tell, user_qps=hidden) as exercise:
        ledger, lowest = exercise.watch.ledger, [float("inf")]
        credential = exercise.stage.credential

        def pace() -> float:
            now = ledger.pace(credential).qpm
            lowest[0] = min(lowest[0], now or float("inf"))
            return now or float("inf")

        figures["pace fell after"] = f"{exercise.until('the pace falls', lambda: pace() < float('inf')):.1f} s"
        exercise.until_published(days // 4)
        pace()
        figures["lowest pace"] = f"{lowest[0]:.0f} queries a minute; {60 * hidden} were taken"
        refused = _refused(exercise)
        exercise.stage.emulator.configure(user_qps=None)
        tell.say("The limit is lifted")
        risen = exercise.until("the pace rises", lambda: pace() > 1.1 * lowest[0])
        figures["pace rose after"] = f"{risen:.1f} s, to {pace():.0f}"
        figures["refused"] = f"{refused} of {exercise.asked()} queries"
        return _finish(exercise, days, figures, good=refused > 0)


def _refused(exercise: Exercise) -> int:
    return sum(exercise.stage.emulator.stats()["refused"].values())


def backlog(tell: Tell) -> Drilled:
    """Postgres hangs, then is away altogether; fetching stops, batches go back, and work goes on by itself."""
    days = 200
    figures = {}
    with _exercise(days, tell) as exercise:
        postgres, ledger = exercise.stage.postgres, exercise.watch.ledger
        exercise.until_published(10)
        tell.say("Postgres hangs")
        postgres.freeze()
        figures["hanging: fetching stopped after"] = f"{exercise.until_quiet():.1f} s"
        figures["hanging: days published again"] = _goes_on(exercise, postgres.thaw)
        tell.say("Postgres is away")
        began = time.monotonic()
        postgres.stop()
        exercise.until("the batches go back", lambda: not ledger.counts().leased and bool(ledger.outages()))
        figures["away: all batches were back after"] = f"{time.monotonic() - began:.1f} s"
        figures["away: fetching stopped after"] = f"{exercise.until_quiet():.1f} s"
        figures["away: days published again"] = _goes_on(exercise, postgres.start)
        return _finish(exercise, days, figures, good=not ledger.outages())


def _goes_on(exercise: Exercise, recover: Callable[[], None]) -> str:
    """Seconds from the recovery to the next day that is published."""
    before = exercise.watch.look().days
    recover()
    return f"{exercise.until('days are published', lambda: exercise.watch.look().days > before):.1f} s later"


def coordinator(tell: Tell) -> Drilled:
    """The coordinator is killed; another takes its place, and work goes on."""
    days = 60
    figures = {}
    with _exercise(days, tell) as exercise:
        exercise.until_published(10)
        before = _no_workers(exercise)
        first = before[0]  # nobody is forked before the coordinator is ready
        tell.say(f"The coordinator (pid {first}) is killed")
        os.kill(first, signal.SIGKILL)
        back = exercise.until("another coordinator", lambda: bool(set(_no_workers(exercise)) - set(before)))
        figures["another coordinator after"] = f"{back:.1f} s"
        figures["days published again"] = _goes_on(exercise, lambda: None)
        told = f"coordinator 0 (pid {first}) died" in exercise.stage.log.read_text()
        return _finish(exercise, days, figures, good=told)


def _no_workers(exercise: Exercise) -> list[int]:
    """Pids of the supervisor's other children, the oldest first."""
    workers = {identity.pid for _, identity in exercise.watch.ledger.workers()}
    try:
        children = psutil.Process(exercise.process.pid).children()
        return [child.pid for child in sorted(children, key=lambda one: one.create_time()) if child.pid not in workers]
    except psutil.NoSuchProcess:  # one of them left meanwhile; there is another look
        return []


DRILLS: Final[dict[str, Callable[[Tell], Drilled]]] = {
    "rate-limit": rate_limit,
    "backlog": backlog,
    "coordinator": coordinator,
}
