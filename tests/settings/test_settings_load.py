"""What is in force: defaults, the file, the environment; each value knows where it comes from."""

from __future__ import annotations

from pathlib import Path

import pytest

from gsc_daemon.errors import ConfigError
from gsc_daemon.model import QUERY_PAGE, TOTALS, Filter, Report
from gsc_daemon.settings import Settings, SyncSettings, load

SITES = '[sync]\nsites = ["sc-domain:example.com"]\n'


def settings(tmp_path: Path, toml: str = "", **environ: str) -> Settings:
    file = tmp_path / "gscd.toml"
    file.write_text(SITES + toml)
    return load(file, environ)


def test_the_defaults_are_the_designs(tmp_path: Path) -> None:
    got = settings(tmp_path)
    assert got.ledger.path == Path("/var/lib/gscd/ledger.db")
    assert got.halt.file == Path("/var/lib/gscd/HALT")
    workers = got.workers
    assert (workers.max_concurrency, workers.batch_size, workers.max_in_flight) == (3, 10, 10)
    assert (workers.max_queue_size, workers.lease_seconds) == (1000, 180)
    assert (got.api.endpoint, got.api.transport) == ("https://searchconsole.googleapis.com", "parallel")
    assert got.api.credentials == Path("/etc/gscd/service-account.json")
    rates = got.rate_limit
    assert rates.storage == "redis://127.0.0.1:6379/0"
    assert (rates.site_qpm, rates.user_qpm, rates.project_qpm, rates.budget_share) == (1200, 1200, 40_000, 0.8)
    assert (got.sink.dsn, got.sink.schema) == ("postgresql:///gsc", "gsc")
    sync = got.sync
    assert (sync.search_types, sync.every, sync.new_sites, sync.lookback_days) == (("web",), "6h", "recent", 4)
    told = got.telemetry
    assert (told.listen, told.slack_webhook_file, told.heartbeat_url_file) == ("127.0.0.1:9464", None, None)
    assert told.log_level == "info"
    assert got.reports == (QUERY_PAGE, TOTALS)


def test_each_value_knows_its_file_and_line_its_variable_or_its_default(tmp_path: Path) -> None:
    got = settings(
        tmp_path,
        "[workers]\nmax_concurrency = 4\nbatch_size = 5 # five\n",
        GSCD_WORKERS__BATCH_SIZE="7",
        GSCD_API__TRANSPORT="multipart",
    )
    assert (got.workers.max_concurrency, got.workers.batch_size, got.api.transport) == (4, 7, "multipart")
    assert got.origin("workers.max_concurrency") == f"{tmp_path}/gscd.toml:4"
    assert got.origin("workers.batch_size") == "GSCD_WORKERS__BATCH_SIZE"
    assert got.origin("api.transport") == "GSCD_API__TRANSPORT"
    assert got.origin("workers.max_in_flight") == "default"
    assert got.file == tmp_path / "gscd.toml"


@pytest.mark.parametrize("text", ["sc-domain:a.com, https://b.com/", '["sc-domain:a.com", "https://b.com/"]'])
def test_a_list_in_the_environment_is_toml_or_has_commas(tmp_path: Path, text: str) -> None:
    assert settings(tmp_path, GSCD_SYNC__SITES=text).sync.sites == ("sc-domain:a.com", "https://b.com/")


def test_other_variables_with_our_prefix_are_left_alone(tmp_path: Path) -> None:
    settings(tmp_path, GSCD_DEBUG="1", GSCD_CONFIG="x", GSCD_TEST_POSTGRES_DSN="y", GSCDX__Y="z")


def test_dotted_keys_and_inline_tables_are_found_with_their_line(tmp_path: Path) -> None:
    file = tmp_path / "gscd.toml"
    file.write_text('workers.batch_size = 5\nsync = {sites = ["*"]}\n')
    got = load(file, {})
    assert got.origin("workers.batch_size") == f"{file}:1"
    assert got.origin("sync.sites") == f"{file}:2"
    assert got.sync.all_sites


def test_the_order_of_the_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--config, GSCD_CONFIG, /etc, the user's own; the first that is there counts."""
    system = tmp_path / "etc.toml"
    monkeypatch.setattr("gsc_daemon.settings.files.SYSTEM_FILE", system)
    own = tmp_path / "xdg" / "gscd" / "gscd.toml"
    own.parent.mkdir(parents=True)
    named, option = tmp_path / "named.toml", tmp_path / "option.toml"
    environ = {"XDG_CONFIG_HOME": str(tmp_path / "xdg"), "HOME": "/nowhere"}
    for file, path, variables in (
        (own, None, environ),
        (system, None, environ),
        (named, None, environ | {"GSCD_CONFIG": str(named)}),
        (option, option, environ | {"GSCD_CONFIG": str(named)}),
    ):
        file.write_text(SITES)
        assert load(path, variables, root=False).file == file
    system.unlink()
    with pytest.raises(ConfigError, match="there are no settings"):
        load(None, environ, root=True)


def test_without_root_the_state_is_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gsc_daemon.settings.files.SYSTEM_FILE", tmp_path / "etc.toml")
    own = tmp_path / ".config" / "gscd" / "gscd.toml"
    own.parent.mkdir(parents=True)
    own.write_text(SITES)
    got = load(None, {"HOME": str(tmp_path)}, root=False)
    state = tmp_path / ".local" / "state" / "gscd"
    assert (got.ledger.path, got.halt.file, got.state_folder) == (state / "ledger.db", state / "HALT", state)
    elsewhere = load(None, {"HOME": str(tmp_path), "XDG_STATE_HOME": "/state"}, root=False)
    assert elsewhere.ledger.path == Path("/state/gscd/ledger.db")
    own.write_text(SITES + '[ledger]\npath = "~/l.db"\n')
    assert load(None, {"HOME": str(tmp_path)}, root=False).ledger.path == tmp_path / "l.db"
    named = load(own, {"HOME": str(tmp_path)}, root=False)
    assert (named.halt.file, named.state_folder) == (Path("/var/lib/gscd/HALT"), None)


def test_paths_are_the_users_systemds_absolute_or_beside_the_file(tmp_path: Path) -> None:
    toml = '[ledger]\npath = "state/l.db"\n[halt]\nfile = "~/HALT"\n[api]\ncredentials = "%d/key.json"\n'
    got = settings(tmp_path, toml, HOME="/home/u", CREDENTIALS_DIRECTORY="/run/credentials/x.service")
    assert got.ledger.path == tmp_path / "state" / "l.db"
    assert got.halt.file == Path("/home/u/HALT")
    assert got.api.credentials == Path("/run/credentials/x.service/key.json")


def test_beside_the_running_service_root_finds_its_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toml = '[api]\ncredentials = "%d/key.json"\n'
    monkeypatch.setattr("gsc_daemon.settings.files.UNIT_CREDENTIALS", tmp_path)
    assert settings(tmp_path, toml).api.credentials == tmp_path / "key.json"
    monkeypatch.setattr("gsc_daemon.settings.files.UNIT_CREDENTIALS", tmp_path / "none")
    assert str(settings(tmp_path, toml).api.credentials) == "%d/key.json"


def test_spans_are_seconds_and_days() -> None:
    assert SyncSettings(every="6h").every_seconds == 21_600
    assert SyncSettings(every="").every_seconds is None
    assert SyncSettings(new_sites="150d").new_site_days == 150
    assert SyncSettings(new_sites="recent", lookback_days=4).new_site_days == 4
    assert SyncSettings(new_sites="all").new_site_days is None


def test_built_in_reports_are_taken_by_name(tmp_path: Path) -> None:
    toml = '[[reports]]\nname = "totals"\n[[reports]]\nname = "query_page"\n'
    assert settings(tmp_path, toml).reports == (TOTALS, QUERY_PAGE)


def test_reports_of_ones_own(tmp_path: Path) -> None:
    toml = """
[[reports]]
name = "pages"
[[reports]]
name = "blog"
dimensions = ["page", "country"]
search_types = ["web", "discover"]
filters = ["page contains /my blog/", "country notEquals usa"]
aggregation = "byPage"
"""
    filters = (Filter("page", "/my blog/", "contains"), Filter("country", "usa", "notEquals"))
    assert settings(tmp_path, toml).reports == (
        Report("pages", ("page",)),
        Report("blog", ("page", "country"), ("web", "discover"), filters, "byPage"),
    )


def test_only_some_sections_can_be_asked_for_whatever_is_wrong_with_the_others(tmp_path: Path) -> None:
    file = tmp_path / "gscd.toml"
    file.write_text('[halt]\nfile = "/x/HALT"\n[workers]\nbatch_size = "ten"\n[nonsense]\na = 1\n')
    got = load(file, {"GSCD_NONSENSE__A": "1", "GSCD_LEDGER__PATH": "/x/l.db"}, only=("ledger", "halt"))
    assert (got.halt.file, got.ledger.path) == (Path("/x/HALT"), Path("/x/l.db"))
    file.write_text("[halt]\nfile = 3\n")
    with pytest.raises(ConfigError, match=r"halt\.file must be a path"):
        load(file, {}, only=("ledger", "halt"))
