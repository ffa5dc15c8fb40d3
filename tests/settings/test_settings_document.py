"""The example and the pages of docs/ are made from the program, so they cannot say anything else."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from gsc_daemon.model import QUERY_PAGE
from gsc_daemon.settings import Settings, load
from gsc_daemon.settings.document import example, page
from gsc_daemon.settings.schema import every_setting

ROOT = Path(__file__).resolve().parents[2]


def test_the_example_works_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "gscd.toml"
    file.write_text(example())
    got = load(file, {})
    assert dataclasses.replace(got, file=None, sync=Settings().sync) == Settings()
    assert got.sync.sites == ("sc-domain:example.com",)


def test_the_example_uncommented_is_every_setting_at_its_default(tmp_path: Path) -> None:
    bare = re.sub(r"^# (\[\[\w+\]\]|\w+ = )", r"\1", example(), flags=re.MULTILINE)
    written = tomllib.loads(bare)
    names = {
        f"{section}.{key}"
        for section, table in written.items()
        if section not in ("reports", "credentials")
        for key in table
    }
    assert names == set(every_setting())
    without_files = re.sub(r"^(dsn|storage)_file = .*$", "", bare, flags=re.MULTILINE)
    file = tmp_path / "gscd.toml"
    file.write_text(without_files.replace("dimensions = []\n", ""))
    got = load(file, {})
    assert got.reports == (QUERY_PAGE,)  # the example's own [[reports]]
    assert [one.sites for one in got.credentials] == [("sc-domain:client.example", "https://*.client.example/*")]
    defaults = Settings()
    plain = dataclasses.replace(got, file=None, sync=defaults.sync, reports=defaults.reports, credentials=())
    assert plain == defaults


def test_empty_secrets_files_mean_none(tmp_path: Path) -> None:
    file = tmp_path / "gscd.toml"
    file.write_text('[sync]\nsites = ["*"]\n[sink]\ndsn = "dbname=x"\ndsn_file = ""\n')
    assert load(file, {}).sink.dsn == "dbname=x"


def test_every_example_value_is_a_value_that_is_taken(tmp_path: Path) -> None:
    """Each alone, above the defaults; secrets files are not read."""
    from gsc_daemon.settings.document import toml

    file = tmp_path / "gscd.toml"
    for name, about in every_setting().items():
        section, key = name.split(".")
        sites = "" if name == "sync.sites" else 'sync.sites = ["*"]\n'
        rest = "workers.lease_seconds = 300\nworkers.max_in_flight = 20\n" if section not in ("workers",) else ""
        extra = "workers.max_in_flight = 20\n" if name == "workers.max_concurrency" else ""
        file.write_text(f"{sites}{rest}{extra}{section}.{key} = {toml(about.example)}\n")
        load(file, {"HOME": str(tmp_path)}, secrets=False)


def test_every_setting_is_on_the_page() -> None:
    for name in every_setting():
        assert f"\n| `{name.split('.')[1]}` | " in page()


def test_the_pages_are_fresh() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "docs"), "--check"], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
