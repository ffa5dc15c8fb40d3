"""The sink alone: from JSON to committed, against psql's \\copy of binary files that were made beforehand."""

from __future__ import annotations

import datetime as dt
import json
import random
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import psutil
import psycopg
from figures import Figure
from psycopg import sql

from gsc_daemon import servers
from gsc_daemon.model import QUERY_PAGE, Day, DayState, Publication, Row
from gsc_daemon.sink import PostgresSink

WIDE = """
CREATE TABLE wide (site_url text COLLATE "C", search_type text COLLATE "C", date date, query text COLLATE "C",
    page text COLLATE "C", country text COLLATE "C", device text COLLATE "C", clicks bigint, impressions bigint,
    ctr double precision, position double precision, fetched_at timestamptz,
    PRIMARY KEY (site_url, search_type, date, query, page, country, device))
"""
COLUMNS = (
    *("site_url", "search_type", "date", "query", "page", "country", "device"),
    *("clicks", "impressions", "ctr", "position", "fetched_at"),
)
FIRST = dt.date(2024, 1, 1)
Pages = list[bytes]


class _Answer(msgspec.Struct):
    rows: list[Row] = []


_decoder = msgspec.json.Decoder(_Answer)


def _pages(rows: int, *, changed: float = 0.0, page_rows: int = 25_000) -> Pages:
    """The JSON of one day's responses; the same keys each time, a part of them with other figures."""
    words = random.Random(1)
    stems = ["".join(words.choices("abcdefghijklmnopqrstuvwxyz", k=words.randint(3, 9))) for _ in range(5000)]
    pages = []
    luck = random.Random(2)
    made = []
    for number in range(rows):
        query, path = " ".join(words.choices(stems, k=4)), "/".join(words.choices(stems, k=7))
        other = luck.random() < changed
        made.append(
            {
                "keys": [query, f"https://www.example.com/{path}", words.choice(("usa", "deu", "jpn")), "MOBILE"],
                "clicks": float((rows - number) // 40 + other),
                "impressions": float((rows - number) // 10 + 7),
                "ctr": 0.1234567,
                "position": round(1 + words.random() * 50, 4),
            }
        )
    for start in range(0, rows, page_rows):
        pages.append(json.dumps({"rows": made[start : start + page_rows]}, separators=(",", ":")).encode())
    return pages


class Writer:
    """One worker's sink, and the processor time of both of its ends."""

    def __init__(self, postgres: servers.Postgres) -> None:
        self.sink = PostgresSink(postgres.dsn, "gsc")
        self.sink.migrate()
        self.sink.own("bench")
        self.side = psycopg.connect(postgres.dsn, autocommit=True)
        self.token = 0
        self.generations: dict[int, int] = {}

    def write(self, day: int, pages: Pages) -> None:
        """Decode and publish."""
        self.token += 1
        self.generations[day] = self.generations.get(day, 0) + 1
        publication = Publication(
            Day("sc-domain:example.com", "query_page", "web", FIRST + dt.timedelta(days=day)),
            self.generations[day],
            self.token,
            QUERY_PAGE.dimensions,
            DayState.FINAL,
            dt.datetime.now(dt.UTC),
        )
        self.sink.publish(publication, (_decoder.decode(page).rows for page in pages))

    def measured(self, work: Callable[[], None], rows: int) -> tuple[float, float, float]:
        """Rows a second, microseconds of the processor a row (both ends), bytes of the log a row."""
        server = psutil.Process(self.side.info.backend_pid).parent()
        assert server is not None, "a backend has a parent"
        backends = server.children()  # of this server alone: others may come and go meanwhile
        log, cpu, began = self._log(), time.process_time() + _spent(backends), time.monotonic()
        work()
        seconds = time.monotonic() - began
        return (
            rows / seconds,
            (time.process_time() + _spent(backends) - cpu) / rows * 1e6,
            (self._log() - log) / rows,
        )

    def _log(self) -> int:
        row = self.side.execute("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint").fetchone()
        assert row is not None
        return int(row[0])


def _spent(processes: list[psutil.Process]) -> float:
    total = 0.0
    for process in processes:
        try:
            total += sum(process.cpu_times()[:2])
        except psutil.Error:
            continue
    return total


def _copy_seconds(dsn: str, writer: Writer) -> float:
    """Seconds in which psql writes the same rows into the wide table, from a file made before."""
    writer.side.execute(WIDE)
    with tempfile.TemporaryDirectory(prefix="gscd-bench-") as folder:
        file = Path(folder) / "rows.bin"
        query = sql.SQL("COPY (SELECT {} FROM gsc.search_analytics ORDER BY random()) TO STDOUT (FORMAT binary)")
        columns = sql.SQL(", ").join(map(sql.Identifier, COLUMNS))
        with file.open("wb") as target, writer.side.cursor() as cursor, cursor.copy(query.format(columns)) as copy:
            for piece in copy:
                target.write(piece)
        began = time.monotonic()
        subprocess.run(["psql", "-qX", dsn, "-c", f"\\copy wide FROM '{file}' (FORMAT binary)"], check=True)
        return time.monotonic() - began


def against_copy(short: bool) -> list[Figure]:
    """First load, the same again, a tenth changed, and growth."""
    days, rows = (3 if short else 8), 40_000
    pages, changed = _pages(rows), _pages(rows, changed=0.1)
    total = days * rows
    with servers.postgres(private=True, durable=True) as postgres:
        writer = Writer(postgres)
        writer.write(999, _pages(1000))  # whatever is slow only once
        first = writer.measured(lambda: [writer.write(day, pages) for day in range(days)] and None, total)
        same = writer.measured(lambda: [writer.write(day, pages) for day in range(days)] and None, total)
        other = writer.measured(lambda: [writer.write(day, changed) for day in range(days)] and None, total)
        copied = total / _copy_seconds(postgres.dsn, writer)
        one_page = _pages(25_000)
        single = writer.measured(
            lambda: [writer.write(200 + day, one_page) for day in range(days)] and None, days * 25_000
        )
        growth = _growth(writer, pages, rows) if not short else 1.0
    return [
        Figure("first load", first[0], "rows/s"),
        Figure("  against \\copy", first[0] / copied, "", ">= 1.5"),
        Figure("  processor", first[1], "us/row", "<= 5"),
        Figure("  log", first[2], "bytes/row"),
        Figure("the same again", same[0], "rows/s"),
        Figure("  against \\copy", same[0] / copied, "", ">= 1.5"),
        Figure("  log", same[2], "bytes/row", "0"),
        Figure("a tenth changed", other[0], "rows/s"),
        Figure("  against \\copy", other[0] / copied, "", ">= 1.2"),
        Figure("  log", other[2], "bytes/row"),
        Figure("psql \\copy into a wide text key", copied, "rows/s"),
        Figure("two responses a day against one, a row", single[0] / first[0], "", "<= 1.1"),
        Figure("the tenth million against the first, time", growth, "", "<= 1.3"),
    ]


def _growth(writer: Writer, pages: Pages, rows: int) -> float:
    """How much longer the tenth million rows takes than the first."""
    million = 1_000_000 // rows
    spent = []
    for start in range(0, 10 * million, million):
        began = time.monotonic()
        for day in range(start, start + million):
            writer.write(1000 + day, pages)
        spent.append(time.monotonic() - began)
    return spent[-1] / spent[0]
