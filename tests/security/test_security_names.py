"""Properties with names that mean harm: refused where they come in, and harmless where they would be shown."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path

import pytest

from gsc_daemon.errors import ConfigError, LedgerUnavailable, UsageError
from gsc_daemon.events import EVENTS
from gsc_daemon.journal import LineOutput, native_record
from gsc_daemon.reporter.listener import plain_page
from gsc_daemon.settings import Settings, load
from gsc_daemon.source.body import NotWhole
from gsc_daemon.source.queries import read_sites
from gsc_daemon.source.sites import match_site
from gsc_daemon.status import Facts, judge
from gsc_daemon.words import plain

# None of these can be a property, whatever Google's list or a settings file says.
REFUSED = {
    "lines": "https://example.com/\n12:00:00 error    all is lost\n",
    "a carriage return": "https://example.com/\rhalted/",
    "the terminal's escapes": "https://example.com/\x1b[2J\x1b]0;mine\x07/",
    "NUL": "https://example.com/\0/",
    "text that runs backwards": "https://example.com/\u202egpj.exe/",
    "nothing to be seen": "https://example.com/\u200b/",
    "a separator of lines": "https://example.com/\u2028/",
    "half a character": "https://example.com/\ud83d/",
    "a novel": f"https://example.com/{'a' * 2000}/",
}
LOOKALIKES = (
    "sc-domain:ex\u0430mple.com",
    "https://\u0435xample.com/",
    "sc-domain:example\u3002com",
    "https://ex%61mple.com/",
)
SPELT_WRONG = (
    "../../etc/passwd",
    "sc-domain:../x",
    "sc-domain:a.com' OR '1'='1",
    "https://a.com/'; DROP TABLE day;--/",
    "",
)


@pytest.mark.parametrize("name", REFUSED.values(), ids=REFUSED)
def test_a_list_of_properties_with_such_a_name_is_refused(name: str) -> None:
    entries = {"siteEntry": [{"siteUrl": "sc-domain:example.com"}, {"siteUrl": name, "permissionLevel": "siteOwner"}]}
    with pytest.raises(NotWhole):
        read_sites(json.dumps(entries).encode())
    with pytest.raises(NotWhole):
        read_sites(json.dumps({"siteEntry": [{"siteUrl": "sc-domain:a.com", "permissionLevel": name}]}).encode())


@pytest.mark.parametrize("name", [*REFUSED.values(), *LOOKALIKES, *SPELT_WRONG])
def test_settings_and_commands_take_no_such_name(name: str, tmp_path: Path) -> None:
    file = tmp_path / "gscd.toml"
    if "\ud83d" not in name:  # which TOML cannot spell
        file.write_text(f"[sync]\nsites = [{json.dumps(name)}]\n")
        with pytest.raises(ConfigError):
            load(file, {}, root=False)
    with pytest.raises(UsageError):
        match_site(name, ["sc-domain:example.com", "https://example.com/"])


@pytest.mark.parametrize("name", REFUSED.values(), ids=REFUSED)
def test_a_line_in_a_terminal_stays_one_record(name: str) -> None:
    reading, writing = os.pipe()
    try:
        spec = EVENTS["log.warning"]
        assert LineOutput(writing, now=lambda: 0.0).write("log.warning", spec, {"logger": "x", "text": name})
        told = os.read(reading, 65_536).decode()
    finally:
        os.close(reading)
        os.close(writing)
    first, *rest = told.rstrip("\n").split("\n")
    assert first[8:].startswith(" warning")
    assert all(line.startswith("    ") for line in rest)
    assert all(line.isprintable() for line in (first, *rest))


@pytest.mark.parametrize("name", REFUSED.values(), ids=REFUSED)
def test_a_record_in_the_journal_gets_no_field_of_its_making(name: str) -> None:
    forged = f"{name}\nPRIORITY=0\nEVENT=day.published\n"
    record = native_record("log.warning", EVENTS["log.warning"], {"logger": forged, "text": forged})
    fields = []
    while record:
        head, _, record = record.partition(b"\n")
        field, sign, _ = head.partition(b"=")
        fields.append(field.decode())
        if not sign:
            (length,) = struct.unpack("<Q", record[:8])
            record = record[8 + length + 1 :]
    assert fields == ["MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER", "EVENT", "LOGGER", "TEXT"]


def test_the_page_shows_such_a_name_as_text() -> None:
    trouble = LedgerUnavailable("<script>alert(1)</script>")
    page = plain_page(judge(Facts(0, Path("ledger.db"), trouble=trouble), Settings()))
    assert "<script>" not in page


@pytest.mark.parametrize("name", REFUSED.values(), ids=REFUSED)
def test_foreign_words_are_printable_in_ours(name: str) -> None:
    assert plain(name).isprintable()
    assert plain(plain(name)) == plain(name)


def test_honest_words_stay_as_they_are() -> None:
    assert plain("https://example.com/straße/?q=日本語") == "https://example.com/straße/?q=日本語"
