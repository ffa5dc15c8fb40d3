"""Ledger or Postgres lost, restored from an older copy, damaged, read-only: no day is fetched twice, all comes back."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

SetStage = Callable[..., Any]
Until = Callable[..., None]
DAYS = 6


def published(stage: Any) -> int:
    """Fetch all days; how many queries that took."""
    stage.wanted(DAYS)
    assert stage.finish() == 0
    return int(stage.queries())


def delete(stage: Any) -> None:
    for file in stage.folder.glob("ledger.db*"):
        file.unlink()


def restore_an_older_copy(stage: Any) -> None:
    """From before anything was published."""
    delete(stage)
    shutil.copy(stage.folder / "older.db", stage.folder / "ledger.db")


def damage(stage: Any) -> None:
    delete(stage)
    (stage.folder / "ledger.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 8_000)


@pytest.mark.parametrize("how", [delete, restore_an_older_copy, damage])
def test_a_ledger_is_rebuilt_without_a_fetch_and_is_not_fenced_out(
    set_stage: SetStage, how: Callable[[Any], None]
) -> None:
    stage = set_stage(rows=300)
    assert stage.gscd("sync", "range", *stage.span(1)).returncode == 0
    assert stage.gscd("ledger", "snapshot", str(stage.folder / "older.db")).returncode == 0
    asked = published(stage)
    how(stage)
    said = stage.gscd("ledger", "rebuild", "--yes")
    assert said.returncode == 0, said.stderr
    stage.wanted(DAYS)
    assert stage.finish() == 0
    assert stage.queries() == asked
    stage.wanted(DAYS, "--force")
    assert stage.finish() == 0
    assert stage.differences(DAYS) == []
    with psycopg.connect(stage.dsn) as postgres:
        assert postgres.execute("SELECT DISTINCT generation FROM gsc.receipts").fetchall() == [(2,)]


def test_an_older_ledger_catches_up_by_itself(set_stage: SetStage) -> None:
    stage = set_stage(rows=300)
    stage.wanted(DAYS)
    assert stage.gscd("ledger", "snapshot", str(stage.folder / "older.db")).returncode == 0
    asked = published(stage)
    restore_an_older_copy(stage)
    assert stage.finish() == 0
    assert stage.queries() == asked
    assert stage.differences(DAYS) == []


def test_postgres_from_an_older_backup_gets_back_exactly_what_it_lacks(set_stage: SetStage) -> None:
    stage = set_stage(rows=300)
    asked = published(stage)
    with psycopg.connect(stage.dsn) as postgres:
        newest = postgres.execute("SELECT date FROM gsc.receipts GROUP BY date ORDER BY date DESC LIMIT 2").fetchall()
        dates = [date for (date,) in newest]
        for relation in ("query_page", "totals", "receipts"):
            postgres.execute(f"DELETE FROM gsc.{relation} WHERE date = ANY (%s)", [dates])
    assert stage.gscd("reconcile").returncode == 1
    assert stage.gscd("reconcile", "--repair").returncode == 1
    assert stage.finish() == 0
    assert stage.queries() == asked + 2 * len(dates)
    assert stage.differences(DAYS) == []
    assert stage.gscd("reconcile").returncode == 0


@pytest.mark.parametrize("again", [("sync", "--force"), ("reconcile", "--repair")], ids=["force", "repair"])
def test_days_that_google_no_longer_has_survive(set_stage: SetStage, again: tuple[str, ...]) -> None:
    stage = set_stage(rows=300)
    published(stage)
    before = stage.differences(DAYS)
    stage.emulator.configure(months_kept=0)
    if again[0] == "sync":
        stage.gscd("sync", "range", *stage.span(DAYS), "--force")
    else:
        stage.gscd("reconcile", "--repair")
    assert stage.finish() in (0, 1)
    stage.emulator.configure(months_kept=16)
    assert before == []
    assert stage.differences(DAYS) == []


def test_postgres_read_only_for_a_while_costs_nothing(set_stage: SetStage, own_servers: Any, until: Until) -> None:
    postgres, redis = own_servers
    stage = set_stage(rows=3_000, dsn=postgres.create_database("maintained"), redis=redis.url, latency_median_s=0.3)
    stage.wanted(4 * DAYS)
    daemon = stage.daemon("--until-idle")
    until(lambda: len(stage.held()) >= 4, "published days")
    set_read_only(postgres, True)
    until(lambda: stage.ask("SELECT service FROM outages"), "an outage in the ledger")
    redis.flush()
    set_read_only(postgres, False)
    assert daemon.wait(timeout=90) == 0
    assert stage.differences(4 * DAYS) == []
    assert stage.ask("SELECT count(*) FROM item WHERE failures > 0 OR crashes > 0") == [(0,)]
    assert stage.ask("SELECT * FROM outages") == []


def set_read_only(postgres: Any, on: bool) -> None:
    with psycopg.connect(postgres.admin_dsn, autocommit=True) as line:
        line.execute(f"ALTER SYSTEM SET default_transaction_read_only = {'on' if on else 'off'}")
        line.execute("SELECT pg_reload_conf()")
