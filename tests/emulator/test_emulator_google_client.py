"""Google's own client library takes the emulator for Search Console."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import google_auth_httplib2
import httplib2
import pytest
from emulator_client import ALL_FOUR, SCOPE, SITE, Client, Start
from google.auth.exceptions import RefreshError
from google.oauth2 import service_account
from googleapiclient.discovery import build
from googleapiclient.errors import HttpError
from googleapiclient.http import BatchHttpRequest

from gsc_daemon.emulator import Fault, SiteSpec

# For parts of a batch the library signs in over a connection of its own, which it leaves to the garbage collector.
leaves_a_socket = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
DAY = {"startDate": "2026-11-10", "endDate": "2026-11-10"}


@contextmanager
def console(client: Client, version: str = "v1") -> Iterator[Any]:
    """The library's service object, made from the description of the API that it brings along."""
    credentials = service_account.Credentials.from_service_account_file(client.key_file, scopes=[SCOPE])
    http = google_auth_httplib2.AuthorizedHttp(credentials, http=httplib2.Http(timeout=30))
    name = "searchconsole" if version == "v1" else "webmasters"
    options = {"api_endpoint": client.emulator.url + ("" if version == "v1" else "/webmasters/v3")}
    with build(name, version, http=http, client_options=options, static_discovery=True) as service:
        yield service


@pytest.mark.parametrize("version", ["v1", "v3"])
def test_sites_and_all_rows_of_a_day(served: Client, version: str) -> None:
    with console(served, version) as service:
        entries = service.sites().list().execute()["siteEntry"]
        assert [entry["permissionLevel"] for entry in entries] == ["siteOwner", "siteOwner"]
        assert service.sites().get(siteUrl=SITE).execute() == {"siteUrl": SITE, "permissionLevel": "siteOwner"}
        rows: list[dict[str, Any]] = []
        while True:
            body = DAY | {"dimensions": ALL_FOUR, "rowLimit": 1000, "startRow": len(rows)}
            got = service.searchanalytics().query(siteUrl=SITE, body=body).execute().get("rows", [])
            if not got:
                break
            rows += got
    assert rows == served.emulator.rows(SITE, served_day())


def served_day() -> Any:
    from emulator_client import DAY as DATE

    return DATE


def test_a_403_says_why(served: Client) -> None:
    with console(served) as service, pytest.raises(HttpError) as caught:
        service.searchanalytics().query(siteUrl="sc-domain:stranger.com", body=DAY).execute()
    assert caught.value.status_code == 403
    assert caught.value.reason.startswith("User does not have sufficient permission for site 'sc-domain:stranger.com'.")
    assert caught.value.error_details[0]["reason"] == "forbidden"


def test_its_own_retries_pass_a_429_and_a_503_but_not_a_used_up_quota(start: Start, monkeypatch: Any) -> None:
    client = start(faults=(Fault("429", times=1), Fault("503", times=1), Fault("qps", times=2)))
    with console(client) as service:
        request = service.searchanalytics().query(siteUrl=SITE, body=DAY)
        request._sleep = lambda seconds: None
        with pytest.raises(HttpError, match="Search Analytics QPS quota exceeded"):
            request.execute(num_retries=4)
    assert client.emulator.stats()["faults"] == {"429": 1, "503": 1, "qps": 1}


def test_an_expired_token_is_refreshed_and_a_revoked_one_is_not(start: Start) -> None:
    client = start()
    with console(client) as service:
        query: Callable[[], Any] = lambda: service.searchanalytics().query(siteUrl=SITE, body=DAY).execute()  # noqa: E731
        assert query()["rows"]
        client.emulator.expire_tokens()
        assert query()["rows"]
        client.emulator.revoke("sync")
        with pytest.raises(RefreshError, match="invalid_grant"):
            query()


@leaves_a_socket
def test_batches_with_parts_that_fail(start: Start) -> None:
    client = start(faults=(Fault("qps", times=1),))
    answered: dict[str, Any] = {}

    def note(request_id: str, response: Any, error: Exception | None) -> None:
        answered[request_id] = error.error_details[0]["reason"] if isinstance(error, HttpError) else response

    with console(client) as service:
        batch = service.new_batch_http_request(callback=note)
        assert isinstance(batch, BatchHttpRequest)
        batch._batch_uri = f"{client.emulator.url}/batch"
        asked = [(SITE, 700), (SITE, 3), ("sc-domain:stranger.com", 1), (SITE, 2)]
        for number, (site, limit) in enumerate(asked):
            body = DAY | {"dimensions": ALL_FOUR, "rowLimit": limit}
            batch.add(service.searchanalytics().query(siteUrl=site, body=body), request_id=f"ä b/{number}")
        batch.execute()
    assert answered.pop("ä b/0") == "quotaExceeded"
    assert answered.pop("ä b/2") == "forbidden"
    assert {key: len(value["rows"]) for key, value in answered.items()} == {"ä b/1": 3, "ä b/3": 2}


@leaves_a_socket
def test_a_batch_signs_in_again_for_parts_with_an_expired_token(start: Start) -> None:
    client = start()
    answered: list[Any] = []
    with console(client) as service:
        service.sites().list().execute()
        client.emulator.expire_tokens()
        batch = service.new_batch_http_request(callback=lambda _, response, error: answered.append(error or response))
        batch._batch_uri = f"{client.emulator.url}/batch"
        for _ in range(3):
            batch.add(service.searchanalytics().query(siteUrl=SITE, body=DAY))
        batch.execute()
    assert [len(one["rows"]) for one in answered] == [1, 1, 1]


def test_a_user_can_sign_in_too(start: Start, tmp_path: Path) -> None:
    from google.oauth2.credentials import Credentials

    client = start()
    info = json.loads(client.emulator.authorized_user_file(tmp_path / "user.json").read_text())
    info.pop("type")
    http = google_auth_httplib2.AuthorizedHttp(Credentials(None, **info), http=httplib2.Http(timeout=30))
    options = {"api_endpoint": client.emulator.url}
    with build("searchconsole", "v1", http=http, client_options=options, static_discovery=True) as service:
        assert service.sites().list().execute()["siteEntry"]


def test_a_date_whose_rows_stay_away_has_its_totals(served: Client) -> None:
    served.emulator.configure(faults=(Fault("empty", rate=1.0, site=SITE, date=served_day(), rows=True),))
    with console(served) as service:
        ask = service.searchanalytics().query
        nothing = ask(siteUrl=SITE, body=DAY | {"dimensions": ALL_FOUR}).execute()
        total = ask(siteUrl=SITE, body=DAY).execute()["rows"]
        other = ask(siteUrl=SITE, body={"startDate": "2026-11-09", "endDate": "2026-11-09", "dimensions": ["page"]})
        assert other.execute()["rows"]
    served.emulator.configure(faults=())
    assert "rows" not in nothing
    assert total[0]["impressions"] > 0


@pytest.mark.parametrize(("metadata", "name"), [("camel", "firstIncompleteDate"), ("snake", "first_incomplete_date")])
def test_a_range_by_date_says_from_when_on_it_is_incomplete(served: Client, metadata: str, name: str) -> None:
    served.emulator.configure(metadata=metadata)
    today = served.emulator.config.today
    asked = {"startDate": "2026-11-10", "endDate": f"{today}", "dimensions": ["date"], "dataState": "all"}
    with console(served) as service:
        told = service.searchanalytics().query(siteUrl=SITE, body=asked).execute()["metadata"]
    served.emulator.configure(metadata="camel")
    assert told == {name: f"{today - dt.timedelta(days=2)}"}


def test_a_peak_is_cut_off_at_the_cap(start: Start) -> None:
    site = SiteSpec(SITE, rows_per_day=500, peaks=(served_day(),), peak_rows=3_000)
    client = start(sites=(site,), cap=2_000)
    with console(client) as service:
        body = DAY | {"dimensions": ALL_FOUR, "rowLimit": 25_000}
        rows = service.searchanalytics().query(siteUrl=SITE, body=body).execute()["rows"]
    (truth,) = client.emulator.truth(SITE, served_day(), served_day())
    assert (len(rows), truth["rows"], truth["all_rows"]) == (2_000, 2_000, 3_000)
