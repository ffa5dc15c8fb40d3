"""What one would write in an afternoon: Google's own client, one request after another, upserts by executemany.

Its table has the usual key, all dimensions as text (but the MD5 of the page: a long URL is no key). It is kept here as
the yardstick; nobody should use it: a kill in the middle of a day leaves half a day, rows that Google has taken back
stay, and nothing limits the rate.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Sequence

import psycopg
from google.oauth2.service_account import Credentials
from googleapiclient.discovery import build

PAGE = 25_000
DIMENSIONS = ["query", "page", "country", "device"]
TABLE = """
CREATE TABLE IF NOT EXISTS search_performance (
    site_url text, search_type text, date date, query text, page text, country text, device text,
    clicks integer, impressions integer, ctr double precision, position double precision)
"""
KEY = """
CREATE UNIQUE INDEX IF NOT EXISTS search_performance_key
ON search_performance (site_url, search_type, date, query, md5(page), country, device)
"""
UPSERT = """
INSERT INTO search_performance VALUES (%s, 'web', %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (site_url, search_type, date, query, md5(page), country, device) DO UPDATE
SET clicks = EXCLUDED.clicks, impressions = EXCLUDED.impressions, ctr = EXCLUDED.ctr, position = EXCLUDED.position
"""


def sync(url: str, key_file: str, dsn: str, site: str, dates: Sequence[dt.date]) -> tuple[float, int]:
    """Seconds and rows; the client, its token and the table are made before the clock runs."""
    credentials = Credentials.from_service_account_file(
        key_file, scopes=["https://www.googleapis.com/auth/webmasters.readonly"]
    )
    service = build(
        "searchconsole",
        "v1",
        credentials=credentials,
        client_options={"api_endpoint": url},
        static_discovery=True,
        cache_discovery=False,
    )
    service.sites().list().execute()
    rows_written = 0
    with psycopg.connect(dsn) as connection:
        connection.execute(TABLE)
        connection.execute(KEY)
        connection.commit()
        began = time.monotonic()
        for date in dates:
            start_row = 0
            while True:
                body = {
                    "startDate": f"{date}",
                    "endDate": f"{date}",
                    "dimensions": DIMENSIONS,
                    "rowLimit": PAGE,
                    "startRow": start_row,
                }
                answer = service.searchanalytics().query(siteUrl=site, body=body).execute()
                rows = answer.get("rows", [])
                with connection.cursor() as cursor:
                    cursor.executemany(
                        UPSERT,
                        [
                            (site, date, *row["keys"], row["clicks"], row["impressions"], row["ctr"], row["position"])
                            for row in rows
                        ],
                    )
                connection.commit()
                rows_written += len(rows)
                if len(rows) < PAGE:
                    break
                start_row += PAGE
        return time.monotonic() - began, rows_written
