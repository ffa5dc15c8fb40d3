"""`gscd sites`: what the credential can read beside what is kept; park, unpark, forget."""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Callable
from pathlib import Path

import ledger_work
import pytest

from gsc_daemon import plan
from gsc_daemon.cli import sites as command
from gsc_daemon.clock import SystemClock, pacific_today
from gsc_daemon.errors import Refusal, SourceError
from gsc_daemon.model import SiteEntry
from gsc_daemon.settings import Choice
from gsc_daemon.source import Key, Keyring, Sources

SITE = "sc-domain:example.com"
LAST = plan.newest_final(pacific_today(SystemClock()))
FIRST = LAST - dt.timedelta(days=2)
RANGE = ("sync", "range", "--from", str(FIRST), "--to", str(LAST))
DAYS = 3 * 2

Gscd = Callable[..., object]


class Google:
    """Stands for the API."""

    credential = "reader@example.com"

    def __init__(self, entries: list[SiteEntry] | None) -> None:
        self.entries = entries

    def list_sites(self) -> list[SiteEntry]:
        if self.entries is None:
            raise SourceError(Refusal.TRANSIENT, "cannot be reached")
        return self.entries

    def close(self) -> None: ...


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch) -> Google:
    """What `sites.list` gives; None: it fails."""
    wiring = pytest.importorskip("gsc_daemon.wiring")
    stands = Google([SiteEntry(SITE, "siteOwner"), SiteEntry("sc-domain:new.example", "siteFullUser")])
    key = Key(Path("key.json"), stands.credential, "", Choice(("*",)))
    monkeypatch.setattr(wiring, "make_sources", lambda settings: Sources(Keyring((key,)), lambda file: stands))
    return stands


def test_what_can_be_read_is_listed_with_what_is_kept(gscd: Gscd, folder: Path, google: Google) -> None:
    gscd(*RANGE)
    ledger_work.publish(folder)
    said = gscd("sites", "--json")
    assert said.code == 0
    assert said.data["asked_google"] is True
    rows = {row["site"]: row for row in said.data["sites"]}
    assert list(rows) == [SITE, "sc-domain:new.example"]
    assert rows[SITE] == {
        "site": SITE, "permission": "siteOwner", "synced": True, "oldest": str(FIRST), "newest": str(LAST),
        "newest_final": str(LAST), "stalled_ms": None,
        "published": DAYS, "wanted": DAYS, "quarantined": 0, "parked": "", "parked_until_ms": None,
        "credential": "reader@example.com",
    }  # fmt: skip
    assert (rows["sc-domain:new.example"]["synced"], rows["sc-domain:new.example"]["published"]) == (False, 0)


def test_as_a_table(gscd: Gscd, folder: Path, google: Google) -> None:
    gscd(*RANGE)
    gscd("sites", "park", SITE, "--reason", "moving")
    heading, first, second = gscd("sites").out.splitlines()
    assert heading.split() == [
        "site",
        "permission",
        "synced",
        "oldest",
        "newest",
        "final",
        "published",
        "wanted",
        "parked",
    ]
    assert first.split() == [SITE, "siteOwner", "yes", "-", "-", "-", "0", str(DAYS), "moving"]
    assert second.split()[0] == "sc-domain:new.example"


def test_while_google_is_away_the_ledger_answers_with_a_note(gscd: Gscd, folder: Path, google: Google) -> None:
    google.entries = None
    gscd(*RANGE)
    said = gscd("sites")
    assert said.code == 0
    assert said.err == "Google could not be asked, so this is what the ledger knows: cannot be reached\n"
    assert said.out.splitlines()[1].split()[0] == SITE
    data = gscd("sites", "--json").data
    assert (data["asked_google"], data["failure"]) == (False, "cannot be reached")


def test_without_a_ledger_there_is_still_a_list(gscd: Gscd, google: Google) -> None:
    assert [row["site"] for row in gscd("sites", "--json").data["sites"]] == [SITE, "sc-domain:new.example"]


def test_star_means_what_google_lists(
    gscd: Gscd, folder: Path, google: Google, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GSCD_SYNC__SITES", "*")
    assert google.entries is not None
    google.entries.append(SiteEntry("sc-domain:unread.example", "siteUnverifiedUser"))
    assert gscd(*RANGE, "--dry-run", "--json").data["sites"] == [SITE, "sc-domain:new.example"]
    assert gscd(*RANGE, "--json").data["new"] == DAYS * 2
    google.entries = None
    learned = gscd(*RANGE, "--json").data
    assert (learned["already"], learned["new"]) == (DAYS * 2, 0), "the ledger has learned them"
    said = gscd(*RANGE, "--site", "sc-domain:later.example")
    assert (said.code, said.err) == (1, "gscd: cannot be reached\n")


def test_park_and_unpark(gscd: Gscd, folder: Path) -> None:
    gscd(*RANGE)
    assert gscd("sites", "park", SITE, "--json").data["parked"].startswith("`gscd sites park` by ")
    with ledger_work.opened(folder) as ledger:
        assert ledger.counts().parked_days == DAYS
    assert gscd("sites", "unpark", SITE).err == f"{SITE} goes on\n"
    assert gscd("sites", "unpark", SITE, "--json").data == {"site": SITE, "was_parked": False}
    assert gscd("sites", "park", "sc-domain:exmaple.com").code == 2


def test_forget_wants_a_yes_and_leaves_nothing(gscd: Gscd, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gscd(*RANGE)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    refused = gscd("sites", "forget", SITE)
    assert (refused.code, refused.out) == (2, "")
    assert refused.err.startswith(f"{DAYS} days of {SITE} leave the ledger; its rows in Postgres stay\n")
    said = gscd("sites", "forget", SITE, "--yes", "--json")
    assert said.data == {"site": SITE, "days": DAYS, "rows": None, "asked_for_again": True}
    with ledger_work.opened(folder) as ledger:
        assert not ledger.known_sites()


def test_purge_deletes_the_rows_after_the_last_worker_has_left(
    gscd: Gscd, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wiring = pytest.importorskip("gsc_daemon.wiring")
    monkeypatch.setattr(command, "LEASE_PATIENCE", 0.2)
    purged: list[str] = []

    class Postgres:
        def forget_site(self, site: str) -> int:
            purged.append(site)
            return 7

        def close(self) -> None: ...

    monkeypatch.setattr(wiring, "make_sink", lambda settings: Postgres())
    gscd(*RANGE)
    with ledger_work.opened(folder) as ledger:
        batch = ledger_work.batch_of(ledger, 2)
    said = gscd("sites", "forget", SITE, "--purge", "--yes")
    assert (said.code, purged) == (75, [])
    assert f"gscd: {SITE}: is still being fetched; it is parked now" in said.err
    with ledger_work.opened(folder) as ledger:
        ledger.requeue_batch(batch.token)
    said = gscd("sites", "forget", SITE, "--purge", "--yes")
    assert (said.code, purged) == (0, [SITE])
    assert f"{SITE}: {DAYS} days forgotten, 7 rows deleted from Postgres\n" in said.err
