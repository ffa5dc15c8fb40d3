"""Every mistake in the settings is one line: where it stands, what is wrong, what would be right."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from as_nobody import as_nobody, open_folder

from gsc_daemon.errors import ConfigError, Exit
from gsc_daemon.settings import load

SITES = '[sync]\nsites = ["sc-domain:example.com"]\n'


def mistake(tmp_path: Path, toml: str, environ: dict[str, str] | None = None) -> str:
    """What `load` says of this file, with FILE for its path."""
    file = tmp_path / "gscd.toml"
    file.write_text(toml)
    with pytest.raises(ConfigError) as caught:
        load(file, environ or {}, root=True)
    assert caught.value.exit_code == Exit.CONFIG
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(str(file), "FILE")


IN_FILE = [
    # TOML itself
    ("[workers]\nbatch_size 3\n", "FILE:2: not valid TOML: Expected '=' after a key in a key/value pair, column 12."),
    ("[workers\n", "FILE:1: not valid TOML: Expected ']' at the end of a table declaration, column 9."),
    ('a = "', "FILE: not valid TOML: Unterminated string, at its end."),
    # names
    ("[worker]\nbatch_size = 3\n", "FILE:1: there is no section [worker]; did you mean [workers]?"),
    (
        "[postgres]\nx = 1\n",
        "FILE:1: there is no section [postgres]; "
        "there are ledger, halt, workers, api, rate_limit, sink, sync, telemetry",
    ),
    (
        "[workers]\n\nmax_concurency = 3\n",
        "FILE:3: there is no setting workers.max_concurency; did you mean workers.max_concurrency?",
    ),
    (
        "[sync]\nbatch_size = 3\n",
        "FILE:2: there is no setting sync.batch_size; did you mean workers.batch_size?",
    ),
    ("[halt]\ncolour = 1\n", "FILE:2: there is no setting halt.colour; [halt] has file"),
    ("batch_size = 3\n", "FILE:1: batch_size stands outside of its section; write it below [workers]"),
    ("colour = 3\n", "FILE:1: there is no setting colour; there are ledger, halt, workers, api, rate_limit, sink,"),
    ("workers = 3\n", "FILE:1: workers must be a section; write [workers] above its settings"),
    ("[[workers]]\nbatch_size = 3\n", "FILE:1: workers must be a section; write [workers] above its settings"),
    # kinds
    (
        "[workers]\nbatch_size = '3'\n",
        'FILE:2: workers.batch_size must be a whole number, but is the text "3"',
    ),
    ("[workers]\nbatch_size = true\n", "FILE:2: workers.batch_size must be a whole number, but is true"),
    ("[workers]\nbatch_size = 3.5\n", "FILE:2: workers.batch_size must be a whole number, but is the number 3.5"),
    ("[rate_limit]\nbudget_share = []\n", "FILE:2: rate_limit.budget_share must be a number, but is a list"),
    ("[sync]\nsites = 'sc-domain:a.com'\n", 'FILE:2: sync.sites must be a list of texts, but is the text "sc-domain'),
    ("[sync]\nsites = [1]\n", "FILE:2: sync.sites must be a list of texts, but is a list"),
    ("[ledger]\npath = 3\n", "FILE:2: ledger.path must be a path, but is the number 3"),
    ("[ledger]\npath = ''\n", "FILE:2: ledger.path is empty, but must be a path"),
    ("[sink]\ndsn = 3\n", "FILE:2: sink.dsn must be a text"),
    # ranges
    (SITES + "[workers]\nbatch_size = 0\n", "FILE:4: workers.batch_size = 0 must be from 1 to 1,000 items"),
    (SITES + "[workers]\nbatch_size = 1001\n", "FILE:4: workers.batch_size = 1001 must be from 1 to 1,000 items"),
    (
        SITES + "[rate_limit]\nbudget_share = 0\n",
        "FILE:4: rate_limit.budget_share = 0.0 must be more than 0 and at most 1",
    ),
    (
        SITES + "[rate_limit]\nbudget_share = 1.01\n",
        "FILE:4: rate_limit.budget_share = 1.01 must be more than 0 and at most 1",
    ),
    (
        SITES + "[rate_limit]\nbudget_share = nan\n",
        "FILE:4: rate_limit.budget_share = nan must be more than 0 and at most 1",
    ),
    (SITES + "lookback_days = -1\n", "FILE:3: sync.lookback_days = -1 must be from 0 to 90 days"),
    # words
    (
        SITES + "[api]\ntransport = 'multi-part'\n",
        'FILE:4: api.transport = "multi-part" must be one of parallel, multipart; did you mean multipart?',
    ),
    (
        SITES + "[telemetry]\nlog_level = 'WARN'\n",
        'FILE:4: telemetry.log_level = "WARN" must be one of error, warning, info, debug; did you mean warning?',
    ),
    # durations
    (
        SITES + "every = '6 hours'\n",
        'FILE:3: sync.every = "6 hours" is no duration; write it like "30m", "6h" or "1d", or "" for only when asked',
    ),
    (
        SITES + "every = '30s'\n",
        'FILE:3: sync.every = "30s" must be from "1m" to "30d", or "" for only when asked',
    ),
    (
        SITES + "new_sites = '150'\n",
        'FILE:3: sync.new_sites = "150" must be "recent", "all" or a number of days such as "150d"',
    ),
    (
        SITES + "new_sites = '900d'\n",
        'FILE:3: sync.new_sites = "900d" must be from "1d" to "496d" (Google keeps 16 months), or "all"',
    ),
    # sites and search types
    ("[workers]\n", 'FILE: sync.sites names no property; write sites = ["sc-domain:example.com"], or ["*"] for all'),
    ("[sync]\nsites = []\n", "FILE:2: sync.sites names no property;"),
    ("[sync]\nsites = ['!sc-domain:a.com']\n", 'FILE:2: sync.sites only leaves properties out; write "*" before them'),
    (
        "[sync]\nsites = ['*', '!b.com']\n",
        'FILE:2: sync.sites "!b.com" is not as Google spells it; write "sc-domain:b.com"',
    ),
    (
        "[sync]\nsites = ['foo*']\n",
        'FILE:2: sync.sites "foo*" is no pattern of properties, such as "https://*.example.com/*"',
    ),
    (
        "credentials = 3\n[sync]\nsites = ['*']\n",
        "FILE:1: write [[credentials]], in double brackets, above each file and its sites",
    ),
    (
        "[sync]\nsites = ['*']\n[[credentials]]\nsites = ['*']\n",
        'FILE:3: [[credentials]] wants a file, such as file = "',
    ),
    (
        "[sync]\nsites = ['*']\n[[credentials]]\nfile = 'a.json'\n",
        'FILE:3: sites of the credentials a.json names no property; write sites = ["sc-domain',
    ),
    (
        "[sync]\nsites = ['sc-domain:b.com']\n[[credentials]]\nfile = 'a.json'\nsites = ['sc-domain:a.com']\n",
        'FILE:2: none of [[credentials]] is for "sc-domain:b.com" of sync.sites',
    ),
    (
        "[sync]\nsites = ['sc-domain:a.com', 'sc-domain:a.com']\n",
        'FILE:2: sync.sites names "sc-domain:a.com" twice',
    ),
    (
        "[sync]\nsites = ['https://www.example.com']\n",
        'FILE:2: sync.sites "https://www.example.com" is not as Google spells it; write "https://www.example.com/"',
    ),
    (SITES + "search_types = []\n", "FILE:3: sync.search_types names none; there are web, image, video, news,"),
    (
        SITES + "search_types = ['WEB']\n",
        'FILE:3: sync.search_types "WEB" is no search type; write "web"',
    ),
    (
        SITES + "search_types = ['GOOGLE_NEWS']\n",
        'FILE:3: sync.search_types "GOOGLE_NEWS" is no search type; write "googleNews"',
    ),
    (
        SITES + "search_types = ['books']\n",
        'FILE:3: sync.search_types "books" is no search type; there are web, image, video, news, discover, googleNews',
    ),
    # addresses
    (
        SITES + "[api]\nendpoint = 'http://example.com'\n",
        'FILE:4: api.endpoint = "http://example.com" would send the credential to example.com without encryption;',
    ),
    (
        SITES + "[api]\nendpoint = 'https://a/webmasters/v3'\n",
        'FILE:4: api.endpoint = "https://a/webmasters/v3" must be scheme, host and port alone',
    ),
    (SITES + "[api]\nendpoint = 'localhost:80'\n", 'FILE:4: api.endpoint = "localhost:80" is no URL such as'),
    (
        SITES + "[telemetry]\nlisten = '0.0.0.0:9464'\n",
        'FILE:4: telemetry.listen = "0.0.0.0:9464" would listen on 0.0.0.0, which others can reach; use 127.0.0.1',
    ),
    (SITES + "[telemetry]\nlisten = '9464'\n", 'FILE:4: telemetry.listen = "9464" is no address; write it like'),
    (SITES + "[telemetry]\nlisten = '[::]:80'\n", 'FILE:4: telemetry.listen = "[::]:80" would listen on ::, which'),
    (SITES + "[telemetry]\nlisten = '::1:99999'\n", 'FILE:4: telemetry.listen = "::1:99999" is no address;'),
    (
        SITES + "[rate_limit]\nstorage = 'memcached://x:hush@h'\n",
        "FILE:4: rate_limit.storage is no address of Redis; it begins with one of redis://, rediss://,",
    ),
    (SITES + "[rate_limit]\nstorage = 'redis://'\n", "FILE:4: rate_limit.storage names no server"),
    (
        SITES + "[sink]\ndsn = 'mysql://u:hush@h/db'\n",
        'FILE:4: sink.dsn is no connection string such as "postgresql:///gsc"',
    ),
    (SITES + "[sink]\nschema = 'My Schema'\n", 'FILE:4: sink.schema = "My Schema" must be lower-case letters,'),
    (SITES + "[sink]\nschema = 'pg_x'\n", 'FILE:4: sink.schema = "pg_x" must not begin with pg_,'),
    # reports
    (SITES + "[reports]\nname = 'totals'\n", "FILE:3: write [[reports]], in double brackets, above each report"),
    ("reports = []\n" + SITES, "FILE:1: reports names none; leave it out for query_page and totals"),
    (SITES + "[[reports]]\nnam = 'totals'\n", "FILE:3: there is no setting nam in [[reports]]; there are name, dimen"),
    (SITES + "[[reports]]\n", 'FILE:3: a report wants a name, such as name = "totals"'),
    (
        SITES + "[[reports]]\nname = 'total'\n",
        'FILE:3: the report "total" wants dimensions. Did you mean totals? Ready',
    ),
    (
        SITES + "[[reports]]\nname = 'mine'\n",
        'FILE:3: the report "mine" wants dimensions. Such as dimensions = ["page"]',
    ),
    (
        SITES + "[[reports]]\nname = 'totals'\ndimensions = ['page']\n",
        'FILE:3: the report "totals" has its own dimensions (none). Leave dimensions out, or',
    ),
    (
        SITES + "[[reports]]\nname = 'totals'\n[[reports]]\nname = 'totals'\n",
        'FILE:3: the report "totals" is given twice',
    ),
    *(
        (f"{SITES}[[reports]]\nname = 'mine'\n{lines}\n", f'FILE:3: the report "mine"{said}')
        for lines, said in (
            ("dimensions = ['url']", ": there is no dimension url; there are query, page,"),
            ("dimensions = ['date', 'page']", ": date is no dimension of a report: each date is asked for by itself"),
            ("dimensions = ['page', 'page']", ": a dimension is named twice"),
            ("dimensions = ['searchAppearance', 'page']", ": Google groups by searchAppearance alone"),
            ("dimensions = ['page']\naggregation = 'byProperty'", ": Google does not count byProperty where pages"),
            ("dimensions = ['country']\naggregation = 'byUrl'", " has no aggregation byUrl; there are auto, byPage"),
            ("dimensions = ['query']\nsearch_types = ['discover']", " is not to be had: discover has no query"),
            (
                "dimensions = ['page']\nfilters = ['device equals MOBILE']\nsearch_types = ['discover']",
                " is not to be had: discover has no device",
            ),
            (
                "dimensions = ['country']\naggregation = 'byProperty'\nsearch_types = ['googleNews']",
                " is not to be had: googleNews is counted by page",
            ),
            ("dimensions = ['page']\nsearch_types = ['maps']", ": there is no search type maps; there are web,"),
            ("dimensions = ['page']\nfilters = ['hour equals 3']", ": Google does not filter by hour, but by query,"),
            ("dimensions = ['page']\nfilters = ['page like x']", ": there is no operator like; there are equals,"),
        )
    ),
    (
        SITES + "[[reports]]\nname = 'mine'\ndimensions = ['page']\nfilters = ['country']\n",
        'FILE:3: the filter "country" of the report "mine" is not "dimension operator expression". Such as "country',
    ),
    *(
        (
            f"{SITES}[[reports]]\nname = '{name}'\n{line}\n",
            f'FILE:3: the report "{name}" takes no filters and no aggregation: other figures are judged by it. Give',
        )
        for name in ("query_page", "totals")
        for line in ("filters = ['country equals deu']", "aggregation = 'byPage'")
    ),
    (
        SITES + "search_types = ['googleNews']\n[[reports]]\nname = 'queries'\n",
        'FILE:4: the report "queries" is not to be had for any of sync.search_types: googleNews has no query',
    ),
    *(
        (
            f"{SITES}[[reports]]\nname = '{name}'\ndimensions = ['page']\n",
            f'FILE:3: the report "{name}" cannot have that name: it names a relation, and gscd has its own. Take',
        )
        for name in ("days", "search_analytics", "my pages", "Pages", "pages_rows", "pages_2025_03", "monthly_pages")
    ),
    (
        SITES + "[[reports]]\nname = 'mine'\ndimensions = 'page'\n",
        'FILE:3: dimensions of the report "mine" must be a list of texts',
    ),
]


@pytest.mark.parametrize(("toml", "said"), IN_FILE, ids=[said[:70] for _, said in IN_FILE])
def test_a_mistake_in_the_file_is_told_with_its_line(tmp_path: Path, toml: str, said: str) -> None:
    told = mistake(tmp_path, toml)
    assert told.startswith(said)
    assert "hush" not in told


IN_ENVIRONMENT = [
    (
        {"GSCD_WORKERS__BATCHSIZE": "3"},
        "GSCD_WORKERS__BATCHSIZE: there is no setting workers.batchsize; did you mean GSCD_WORKERS__BATCH_SIZE?",
    ),
    ({"GSCD_ZEBRA__STRIPES": "3"}, "GSCD_ZEBRA__STRIPES: there is no setting zebra.stripes"),
    (
        {"GSCD_WORKERS__BATCH_SIZE": "ten"},
        "GSCD_WORKERS__BATCH_SIZE: workers.batch_size must be a whole number, but is 'ten'",
    ),
    (
        {"GSCD_RATE_LIMIT__BUDGET_SHARE": ""},
        "GSCD_RATE_LIMIT__BUDGET_SHARE: rate_limit.budget_share must be a number, but is ''",
    ),
    ({"GSCD_SYNC__SITES": "[1"}, "GSCD_SYNC__SITES: sync.sites must be a list of texts, but is '[1'"),
    ({"GSCD_SYNC__SITES": "[1]"}, "GSCD_SYNC__SITES: sync.sites must be a list of texts, but is a list"),
    ({"GSCD_SYNC__SITES": ""}, "GSCD_SYNC__SITES: sync.sites names no property;"),
    ({"GSCD_WORKERS__BATCH_SIZE": "0"}, "GSCD_WORKERS__BATCH_SIZE: workers.batch_size = 0 must be from 1 to 1,000"),
    ({"GSCD_REPORTS__NAME": "totals"}, "GSCD_REPORTS__NAME: reports are given in the settings file only"),
]


@pytest.mark.parametrize(("environ", "said"), IN_ENVIRONMENT, ids=[said[:60] for _, said in IN_ENVIRONMENT])
def test_a_mistake_in_the_environment_is_told_with_its_variable(
    tmp_path: Path, environ: dict[str, str], said: str
) -> None:
    assert mistake(tmp_path, SITES, environ).startswith(said)


SPELLINGS = [
    ("example.com", 'write "sc-domain:example.com" or "https://example.com/"'),
    ("Example.com/path", 'write "sc-domain:example.com" or "https://example.com/"'),
    ("sc-domain:Example.com", 'write "sc-domain:example.com"'),
    ("sc-domain:https://example.com/", 'write "sc-domain:example.com"'),
    ("sc-domain:example.com/", 'write "sc-domain:example.com"'),
    ("https://Example.com/Path", 'write "https://example.com/Path/"'),
    ("https://example.com/?utm=1", 'write "https://example.com/"'),
    (
        "https://search.google.com/search-console?resource_id=sc-domain%3Aexample.com",
        'write "sc-domain:example.com"',
    ),
    ("https://", "is not a property as Google spells it"),
    ("ftp://example.com/", "is not a property as Google spells it"),
    ("sc-domain:", "is not a property as Google spells it"),
    ("", "is not a property as Google spells it"),
    ("https://u:p@example.com/", "is not a property as Google spells it"),
    ("https://exa mple.com/", "is not a property as Google spells it"),
    ("https://example.com:port/", "is not a property as Google spells it"),
]


@pytest.mark.parametrize(("site", "said"), SPELLINGS, ids=[site or "empty" for site, _ in SPELLINGS])
def test_a_misspelt_site_is_told_how_google_spells_it(tmp_path: Path, site: str, said: str) -> None:
    assert said in mistake(tmp_path, f'[sync]\nsites = ["{site}"]\n')


@pytest.mark.parametrize(
    "site",
    [
        "sc-domain:example.com",
        "sc-domain:xn--bcher-kva.example",
        "https://www.example.com/",
        "http://example.com:8080/shop/",
        "https://example.com/Caf%C3%A9/",
    ],
)
def test_a_site_as_google_spells_it_is_taken(tmp_path: Path, site: str) -> None:
    (tmp_path / "gscd.toml").write_text(f'[sync]\nsites = ["{site}"]\n')
    assert load(tmp_path / "gscd.toml", {}).sync.sites == (site,)


def test_without_a_file_the_places_looked_at_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gsc_daemon.settings.files.SYSTEM_FILE", tmp_path / "etc" / "gscd.toml")
    with pytest.raises(ConfigError) as caught:
        load(None, {"HOME": str(tmp_path)}, root=False)
    assert str(caught.value) == (
        f"there are no settings: neither GSCD_CONFIG nor {tmp_path}/etc/gscd.toml nor "
        f"{tmp_path}/.config/gscd/gscd.toml. "
        "Write one with `gscd config example > FILE`, or name one with --config"
    )
    with pytest.raises(ConfigError) as caught:
        load(None, {"HOME": str(tmp_path)}, root=True)
    assert ".config" not in str(caught.value)


def test_a_named_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    said = f"{tmp_path}/none.toml: no such settings file. Write one with `gscd config example > FILE`"
    for path, environ in ((tmp_path / "none.toml", {}), (None, {"GSCD_CONFIG": f"{tmp_path}/none.toml"})):
        with pytest.raises(ConfigError) as caught:
            load(path, environ)
        assert str(caught.value).startswith(said)


def test_a_folder_and_a_binary_file_are_no_settings(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the settings file: Is a directory"):
        load(tmp_path, {})
    (tmp_path / "bin").write_bytes(b"a = 1\n\xff")
    with pytest.raises(ConfigError, match=r"is not UTF-8 text \(byte 6\)"):
        load(tmp_path / "bin", {})


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a file that another user cannot read")
def test_a_file_that_may_not_be_read_is_not_permitted() -> None:
    with open_folder() as folder:
        file = folder / "gscd.toml"
        file.write_text(SITES)
        file.chmod(0o640)
        assert as_nobody(lambda: load(file, {})) == (
            f"NotPermitted: {file}: this user may not read the settings file. "
            "Run it as root, as the daemon's user, or as a member of its group"
        )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a folder that another user cannot look into")
def test_the_systems_file_counts_even_where_this_user_may_not_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else an operator's own file would silently stand for the daemon's."""
    with open_folder() as folder:
        (folder / "etc").mkdir(mode=0o700)
        monkeypatch.setattr("gsc_daemon.settings.files.SYSTEM_FILE", folder / "etc" / "gscd.toml")
        own = folder / ".config" / "gscd"
        own.mkdir(parents=True)
        (own / "gscd.toml").write_text(SITES)
        said = as_nobody(lambda: load(None, {"HOME": str(folder)}))
        assert said.startswith(f"NotPermitted: {folder}/etc/gscd.toml: this user may not read the settings file.")
