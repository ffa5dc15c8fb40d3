"""An analyst's questions of docs/data.md, beside ten million rows; the sums by month that make them quick."""

from __future__ import annotations

import datetime as dt
import re
import statistics
import time
from pathlib import Path

import psycopg
from figures import Figure

from gsc_daemon import servers
from gsc_daemon.model import BUILT_IN_REPORTS, Day, DayState, Publication, Row
from gsc_daemon.sink import PostgresSink

SITE = "sc-domain:example.com"
ROWS = 40_000  # a day
PAGE = Path(__file__).parents[2] / "docs/data.md"
QUESTION = re.compile(r"^([^\n`|]+):\n\n```sql\n(.*?)^```$", re.MULTILINE | re.DOTALL)
DIMENSIONS = {report.name: report.dimensions for report in BUILT_IN_REPORTS}
# A day's rows in the order of their keys, queries and pages repeating themselves from day to day as real ones do.
FILL = """
INSERT INTO gsc.query_page (site_id, date, search_type, key, query, page, country, device, clicks, impressions, ctr,
    position, fetched_at)
SELECT site_id, %(date)s, 'web', decode(md5(%(date)s::text || number), 'hex'), 'how to do thing number ' || query,
    'https://www.example.com/category-' || page %% 40 || '/some-article-' || page,
    (array['usa', 'gbr', 'deu', 'fra', 'ind'])[1 + number %% 5],
    (array['MOBILE', 'DESKTOP', 'TABLET'])[1 + number %% 3],
    clicks, clicks + shown, clicks / (clicks + shown)::float, 1 + random() * 40, now()
FROM gsc.sites CROSS JOIN (
    SELECT number, (80000 * power(random(), 2.5))::int AS query, (6000 * power(random(), 2))::int AS page,
        (5 * power(random(), 3))::int AS clicks, 1 + (random() * 30)::int AS shown
    FROM generate_series(1, %(rows)s) AS number OFFSET 0
) AS drawn
WHERE site_url = %(site)s ORDER BY 4
"""


def answered(short: bool) -> list[Figure]:
    """Each question's time, the sums being ready; how long those take, and how much room."""
    with servers.postgres(private=True) as server:
        dsn = server.create_database("questions")
        sink = PostgresSink(dsn, "gsc")
        sink.migrate()
        sink.own("11111111-1111-4111-8111-111111111111")
        _fill(sink, dsn, 25 if short else 250)
        with psycopg.connect(dsn, autocommit=True) as connection:
            figures = list(_sums(sink, connection))
            for title, question in QUESTION.findall(PAGE.read_text(encoding="utf-8")):
                figures.append(Figure(title, _seconds(connection, question), "s", "< 1"))
        sink.close()
    return figures


def _fill(sink: PostgresSink, dsn: str, days: int) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        for back in range(days, 0, -1):
            date = dt.date.today() - dt.timedelta(days=back)
            for report, keys in (("query_page", ["a", "b", "usa", "MOBILE"]), ("totals", [])):
                day = Day(SITE, report, "web", date)
                wanted = Publication(
                    day,
                    1,
                    2 * (days - back) + 1,
                    DIMENSIONS[report],
                    state=DayState.FINAL,
                    fetched_at=dt.datetime.now(dt.UTC),
                )
                sink.publish(wanted, iter([[Row(10, 100, 0.1, keys, 3.0)]]))  # its receipt, month and partition
            connection.execute(FILL, {"date": date, "rows": ROWS, "site": SITE})
        connection.execute("VACUUM ANALYZE")


def _sums(sink: PostgresSink, connection: psycopg.Connection) -> list[Figure]:
    taken = []
    while True:
        began = time.monotonic()
        if not sink.roll_up():
            break
        taken.append(time.monotonic() - began)
    row = connection.execute(
        "SELECT (SELECT count(*) FROM gsc.query_page), (SELECT count(*) FROM gsc.month_queries),"
        " (SELECT count(*) FROM gsc.month_pages)"
    ).fetchone()
    assert row is not None
    connection.execute("VACUUM ANALYZE")
    return [
        Figure("rows there", float(row[0])),
        Figure("  rows of sums, by them", (row[1] + row[2]) / row[0]),
        Figure("  summing a month, by a worker with nothing to do", max(taken), "s"),
    ]


def _seconds(connection: psycopg.Connection, question: str) -> float:
    taken = []
    for _ in range(5):
        began = time.monotonic()
        connection.execute(question).fetchall()  # type: ignore[call-overload]
        taken.append(time.monotonic() - began)
    return statistics.median(taken)
