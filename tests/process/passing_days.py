"""Days that pass over a stage while Google does what it does, and the judgement of what is held at their end.

Fresh days change, finished ones are restated, some are cut off at the cap, some come back empty for a time or for good,
Google is late, and a permission is lost for a while. A site's truth is looked up each time that a day of it has been
fetched, so that at the end every published day can be held against the truth at its last fetch.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import psycopg

from gsc_daemon.clock import SystemClock, pacific_today
from gsc_daemon.model import ROWS_PER_DAY, Day
from gsc_daemon.sink import PostgresSink

TODAY: Final = pacific_today(SystemClock())
SETTINGS: Final = 'every = "1h"\nnew_sites = "10d"'
MARKS: Final = "SELECT site_url, report, search_type, date, truncated, overlap, kept, suspect, state FROM gsc.days"

Truth = tuple[int, int, int, int | None]  # rows, clicks, impressions, digest


@dataclass
class Play:
    """What is done to the sites, and what must be seen of it.

    Args:
        empty: days that come back without rows, for good or until ``empty_until``. expected: truth at the last fetch.
    """

    stage: Any
    rng: random.Random = field(default_factory=lambda: random.Random(5))
    expected: dict[Day, Truth] = field(default_factory=dict)
    generations: dict[Day, int] = field(default_factory=dict)
    empty_for_good: set[Day] = field(default_factory=set)
    empty_until: dict[Day, int] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=dict)  # site → day of the play on which it comes back
    passed: int = 0
    wrong: list[str] = field(default_factory=list)

    def day(self, *, restated: int = 0, emptied: tuple[int, int] = (0, 0), lost: int = 0, late: bool = False) -> None:
        """Another day passes; so many days are restated, so many come back empty (for good, for a time), and so on."""
        today = TODAY + dt.timedelta(days=self.passed)
        self.stage.pass_to(today, final_lag_days=5 if late else 3)
        for site in self.rng.sample(self.stage.sites, lost):
            self.lost[site] = self.passed + 2
        self._restate(today, restated)
        self._empty(today, *emptied)
        self._configure()
        code = self.stage.finish()
        if code != (75 if self._lost_now() else 0):
            self.wrong.append(f"{today}: the daemon left with {code}")
        self._look(today)
        self.passed += 1

    def _lost_now(self) -> set[str]:
        return {site for site, back in self.lost.items() if back > self.passed}

    def _restate(self, today: dt.date, count: int) -> None:
        """Google corrects days that are long final, and somebody has read of it."""
        for _ in range(count):
            site = self.rng.choice([site for site in self.stage.sites if site not in self._lost_now()])
            date = today - dt.timedelta(days=self.rng.randint(8, 10))
            if Day(site, "query_page", "web", date) in self.empty_until:
                continue
            self.stage.emulator.restate(site, date, date)
            words = ("sync", "range", "--site", site, "--from", str(date), "--to", str(date), "--force")
            assert self.stage.gscd(*words).returncode == 0

    def _empty(self, today: dt.date, for_good: int, for_a_time: int) -> None:
        """From tomorrow's date on, so that the day never had rows."""
        for number in range(for_good + for_a_time):
            day = Day(self.rng.choice(self.stage.sites), "query_page", "web", today + dt.timedelta(days=1))
            self.empty_until[day] = 10**9 if number < for_good else self.passed + 9
            if number < for_good:
                self.empty_for_good.add(day)

    def _configure(self) -> None:
        faults = [
            {"kind": "empty", "rate": 1.0, "site": day.site, "date": str(day.date), "rows": True}
            for day, until in self.empty_until.items()
            if until > self.passed
        ]
        permissions = {site: "" if site in self._lost_now() else "siteOwner" for site in self.lost}
        self.stage.emulator.configure(faults=faults, permissions=permissions)

    def _look(self, today: dt.date) -> None:
        """Note the truth of what has been fetched since the last look."""
        fetched: dict[str, list[Day]] = {}
        for one in self._held():
            if one.receipt is not None and self.generations.get(one.day) != one.receipt.generation:
                self.generations[one.day] = one.receipt.generation
                fetched.setdefault(one.day.site, []).append(one.day)
        for site, days in fetched.items():
            dates = [day.date for day in days]
            truths = {one["date"]: one for one in self.stage.emulator.truth(site, min(dates), max(dates))}
            for day in days:
                self.expected[day] = self._truth(day, truths[str(day.date)])

    def _truth(self, day: Day, truth: dict[str, Any]) -> Truth:
        if day.report == "totals":
            return int(truth["total_impressions"] > 0), truth["total_clicks"], truth["total_impressions"], None
        if self.empty_until.get(day, 0) > self.passed:
            return 0, 0, 0, 0
        return truth["rows"], truth["clicks"], truth["impressions"], truth["digest"]

    def _held(self) -> list[Any]:
        sink = PostgresSink(self.stage.dsn, "gsc")
        try:
            return list(sink.audit(None, None, None, digests=True))
        finally:
            sink.close()

    def differences(self) -> Iterator[str]:
        """All that is not as it should be: days, rows, and what is marked or is not."""
        yield from self.wrong
        yield from self._wrong_days()
        yield from self._wrong_marks()

    def _wrong_days(self) -> Iterator[str]:
        held = {one.day: one for one in self._held()}
        for day, (rows, clicks, impressions, digest) in self.expected.items():
            one = held[day]
            if (one.rows, one.clicks, one.impressions) != (rows, clicks, impressions) or (
                digest is not None and one.digest != digest
            ):
                yield f"{one} is not {(rows, clicks, impressions, digest)}"
        last = TODAY + dt.timedelta(days=self.passed - 1)
        for site in set(self.stage.sites) - self._lost_now():
            dates = {day.date for day in held if day.site == site}
            for report in ("query_page", "totals"):
                for number in range((last - min(dates)).days + 1):
                    day = Day(site, report, "web", min(dates) + dt.timedelta(days=number))
                    if day not in held:
                        yield f"{day} is missing"

    def _wrong_marks(self) -> Iterator[str]:
        asked_out = TODAY + dt.timedelta(days=self.passed - 1 - 3 - 7 - 3)  # asked for seven times by now
        newest_final = TODAY + dt.timedelta(days=self.passed - 1 - 3)
        with psycopg.connect(self.stage.dsn) as connection:
            marks = connection.execute(MARKS).fetchall()
        for site, report, search_type, date, truncated, overlap, kept, suspect, state in marks:
            day = Day(site, report, search_type, date)
            if truncated != (report == "query_page" and self.expected[day][0] >= ROWS_PER_DAY):
                yield f"{day}: truncated is {truncated}"
            if overlap or kept:
                yield f"{day}: overlap is {overlap}, kept is {kept}"
            may = day in self.empty_for_good
            if (suspect and not may) or (may and date <= asked_out and not suspect):
                yield f"{day}: suspect is {suspect}"
            if site not in self._lost_now() and (state == "final") != (date <= newest_final):
                yield f"{day}: {state}"
