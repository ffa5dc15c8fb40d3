"""Many sites planned, and many rows there already: what that costs."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import time

import psycopg
from figures import Figure
from scene import LATENCY, SITE, run, scene, want

from gsc_daemon.demo.stage import Stage
from gsc_daemon.emulator import SiteSpec
from gsc_daemon.errors import GscdError

ROWS = 40_000
# Ten million rows of other days, keys and texts as long as real ones.
FILL = """
INSERT INTO gsc.query_page (site_id, date, search_type, key, query, page, country, device, clicks, impressions, ctr,
    position, fetched_at)
SELECT (SELECT min(site_id) FROM gsc.sites), %(date)s, 'image', decode(md5(%(part)s || n), 'hex'),
    'some words that ' || n || ' ask', 'https://www.example.com/a/rather/long/path/' || n, 'usa', 'MOBILE',
    n %% 100, n %% 1000, 0.1, 3.5, now()
FROM generate_series(1, %(rows)s) AS n
"""


def large(short: bool) -> list[Figure]:
    """300 sites' 16 months in the ledger; the rate of a backfill beside ten million rows."""
    return [*_planning(30 if short else 300), *_beside(20 if short else 60, 1 if short else 10)]


def _planning(number: int) -> list[Figure]:
    names = [SITE, *(f"sc-domain:site{one}.example.com" for one in range(1, number))]
    settings = {"sync": {"sites": names, "every": ""}}
    with scene(sites=tuple(SiteSpec(name, rows_per_day=10) for name in names[:1]), settings=settings) as made:
        began = time.monotonic()
        planned = json.loads(made.gscd("sync", "full-history", "--yes", "--json"))
        planning = time.monotonic() - began
        began = time.monotonic()
        with contextlib.suppress(GscdError):  # it exits with 1: work is there, and no daemon runs
            made.gscd("status", "--json")
        looking = time.monotonic() - began
    return [
        Figure("days planned", float(planned["new"])),
        Figure("  planning", planning, "s", "< 20"),
        Figure("  status beside them", looking, "s", "< 0.3"),
    ]


def _beside(days: int, millions: int) -> list[Figure]:
    with scene(ROWS, **LATENCY) as made:
        want(made, days)
        empty = run(made)
    with scene(ROWS, **LATENCY) as made:
        want(made, 1)
        run(made)
        _fill(made, millions)
        want(made, days + 1)
        full = run(made)
    return [Figure(f"rate of a backfill beside {millions} million rows", empty.seconds / full.seconds, "", ">= 0.8")]


def _fill(made: Stage, millions: int) -> None:
    with psycopg.connect(made.postgres.dsn, autocommit=True) as connection:
        row = connection.execute("SELECT max(date) FROM gsc.query_page").fetchone()
        assert row is not None
        for back in range(millions * 5):
            date = row[0].replace(day=1) + dt.timedelta(days=back % 27)
            connection.execute(FILL, {"date": date, "rows": 200_000, "part": f"{back} "})
