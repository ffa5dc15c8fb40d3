"""The schema: made by whoever comes first, checked, and as users rely on it."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import conninfo
from sink_world import DAY, SCHEMA, TOTALS_DAY, ask, many, publish

from gsc_daemon import servers
from gsc_daemon.errors import ConfigError
from gsc_daemon.model import BUILT_IN_REPORTS, Row
from gsc_daemon.sink import PostgresSink, migrate
from gsc_daemon.sink.statements import relation_of

COLUMNS = {
    "search_analytics": "site_url search_type date query page country device clicks impressions ctr position "
    "fetched_at",
    "days": "site_url report search_type date generation state row_count row_clicks row_impressions total_clicks "
    "total_impressions truncated overlap published_at checked_at kept suspect click_coverage impression_coverage",
}


@pytest.mark.parametrize("view", COLUMNS)
def test_users_find_exactly_these_columns(sink: PostgresSink, dsn: str, view: str) -> None:
    query = "SELECT column_name FROM information_schema.columns WHERE table_schema = %s AND table_name = %s"
    found = ask(dsn, f"{query} ORDER BY ordinal_position", SCHEMA, view)
    assert COLUMNS[view].split() == [name for (name,) in found]


def test_every_relation_and_every_report_has_its_place(sink: PostgresSink, dsn: str) -> None:
    undocumented = ask(
        dsn,
        "SELECT relname FROM pg_class WHERE relnamespace = %s::regnamespace AND relkind IN ('r', 'p', 'v') "
        "AND NOT relispartition AND obj_description(oid, 'pg_class') IS NULL",
        SCHEMA,
    )
    assert undocumented == []
    for report in BUILT_IN_REPORTS:
        relation = relation_of(report.name, report.dimensions)
        found = {
            name for (name,) in ask(dsn, "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass", report.name)
        }
        assert {*relation.columns, "site_id", "date", "search_type", "fetched_at"} <= found


def _migrate_and_publish(dsn: str, number: int, go: object) -> None:
    go.wait()  # type: ignore[attr-defined]
    sink = PostgresSink(dsn, SCHEMA)
    sink.migrate()
    for month in (1, 2, 3, 4):
        day = DAY._replace(date=DAY.date.replace(month=month, day=number + 1))
        publish(sink, many(5), day=day, token=number)
        publish(sink, [Row(1, 1, 1)], day=day._replace(report="totals"), token=number)
    sink.close()


def test_workers_that_start_together_make_schema_and_partitions_once(dsn: str) -> None:
    context = multiprocessing.get_context("fork")
    go = context.Event()
    workers = [context.Process(target=_migrate_and_publish, args=(dsn, number, go)) for number in range(4)]
    for worker in workers:
        worker.start()
    go.set()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert ask(dsn, "SELECT count(*) FROM search_analytics") == [(4 * 4 * 5,)]
    assert ask(dsn, "SELECT count(*) FROM pg_inherits WHERE inhparent = 'query_page'::regclass") == [(4,)]
    assert ask(dsn, "SELECT version, name FROM migrations ORDER BY 1") == [
        (step.version, step.name) for step in migrate.migrations()
    ]


def test_a_new_partition_waits_for_no_reader_and_keeps_none_waiting(sink: PostgresSink, dsn: str) -> None:
    publish(sink, many(5))
    with psycopg.connect(dsn) as reader:
        reader.execute("SELECT count(*) FROM gsc.search_analytics")  # and the transaction stays open
        publish(sink, many(5), day=DAY._replace(date=DAY.date.replace(month=8)))
        reader.rollback()
    with psycopg.connect(dsn) as maker:
        maker.execute("CREATE TABLE gsc.query_page_2030_01 (LIKE gsc.query_page INCLUDING ALL)")
        maker.execute(
            "ALTER TABLE gsc.query_page ATTACH PARTITION gsc.query_page_2030_01 "
            "FOR VALUES FROM ('2030-01-01') TO ('2030-02-01')"
        )
        with psycopg.connect(dsn, options="-c lock_timeout=5s") as reader:
            assert reader.execute("SELECT count(*) FROM gsc.search_analytics").fetchone() == (10,)
        publish(sink, many(6), generation=2)
        maker.rollback()


def test_a_newer_schema_is_left_alone(sink: PostgresSink, dsn: str) -> None:
    ask(dsn, "INSERT INTO migrations (version, name) VALUES (99, '0099_later')")
    with pytest.raises(ConfigError, match="version 99, newer than this program"):
        sink.migrate()


def test_an_old_server_is_refused_and_still_described(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrate, "OLDEST_SERVER", 990000)
    sink = PostgresSink(dsn, SCHEMA)
    with pytest.raises(ConfigError, match="needs 15 or newer"):
        sink.migrate()
    assert sink.facts().schema_version == 0
    sink.close()


def test_a_database_that_cannot_hold_every_query_is_refused(breakable: servers.Postgres) -> None:
    with psycopg.connect(breakable.admin_dsn, autocommit=True) as admin:
        admin.execute("CREATE DATABASE narrow TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C' OWNER gscd")
    sink = PostgresSink(conninfo.make_conninfo(breakable.dsn, dbname="narrow"), SCHEMA)
    with pytest.raises(ConfigError, match="encoded in LATIN1"):
        sink.migrate()
    sink.close()


@pytest.fixture
def stranger(breakable: servers.Postgres, private_dsn: str) -> Iterator[PostgresSink]:
    """A role that owns nothing in the database."""
    with psycopg.connect(breakable.admin_dsn, autocommit=True) as admin:
        admin.execute('CREATE ROLE "str anger" LOGIN')
    sink = PostgresSink(conninfo.make_conninfo(private_dsn, user="str anger"), SCHEMA)
    yield sink
    sink.close()
    with psycopg.connect(as_admin(breakable, private_dsn), autocommit=True) as admin:
        admin.execute('DROP OWNED BY "str anger" CASCADE; DROP ROLE "str anger"')


def as_admin(server: servers.Postgres, dsn: str) -> str:
    return conninfo.make_conninfo(server.admin_dsn, dbname=conninfo.conninfo_to_dict(dsn)["dbname"])


@pytest.mark.parametrize("schema_there", [False, True])
def test_a_missing_right_comes_with_the_sql_that_gives_it(
    breakable: servers.Postgres, private_dsn: str, stranger: PostgresSink, schema_there: bool
) -> None:
    with psycopg.connect(as_admin(breakable, private_dsn), autocommit=True) as admin:
        if schema_there:
            admin.execute("CREATE SCHEMA gsc")
        assert not stranger.facts().may_create
        with pytest.raises(ConfigError, match="may not make") as caught:
            stranger.migrate()
        admin.execute(caught.value.hint.partition("run there: ")[2])  # type: ignore[arg-type]
    assert stranger.facts().may_create
    stranger.migrate()
    publish(stranger, many(3))


def test_tables_of_another_role_are_no_reason_to_go_on_trying(private_dsn: str, stranger: PostgresSink) -> None:
    sink = PostgresSink(private_dsn, SCHEMA)
    sink.migrate()
    sink.close()
    ask(private_dsn, 'GRANT USAGE, CREATE ON SCHEMA gsc TO "str anger"')
    for work in (stranger.facts, stranger.migrate, stranger.owner, lambda: publish(stranger, many(3))):
        with pytest.raises(ConfigError, match="may not do this"):
            work()


def test_a_schema_with_somebody_elses_tables_is_refused(dsn: str) -> None:
    ask(dsn, "CREATE SCHEMA gsc; CREATE TABLE gsc.sites (id integer)")
    sink = PostgresSink(dsn, SCHEMA)
    with pytest.raises(ConfigError, match=r"not gscd's.*another sink.schema"):
        sink.migrate()
    assert sink.facts().schema_version == 0
    sink.close()


def test_a_schema_whose_name_is_a_word_of_sql(dsn: str) -> None:
    sink = PostgresSink(dsn, "order")
    sink.migrate()
    publish(sink, many(3), day=TOTALS_DAY._replace(report="query_page"))
    with psycopg.connect(dsn) as reader:
        assert reader.execute('SELECT count(*) FROM "order".search_analytics').fetchone() == (3,)
    sink.close()
