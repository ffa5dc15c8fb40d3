"""Faults: each kind as a client meets it, counted down, by chance, by path and by site."""

from __future__ import annotations

import json
import zlib

import pytest
import requests
from emulator_client import ALL_FOUR, SITE, URL_SITE, Client, Start
from google.auth.exceptions import RefreshError

from gsc_daemon.emulator import FAULT_KINDS, EmulatorConfig, Fault
from gsc_daemon.errors import UsageError

ANSWERS = {
    "400": (400, "badRequest"),
    "401": (401, "authError"),
    "forbidden": (403, "forbidden"),
    "disabled": (403, "forbidden"),
    "qps": (403, "quotaExceeded"),
    "load": (403, "quotaExceeded"),
    "429": (429, "rateLimitExceeded"),
    "500": (500, "backendError"),
    "503": (503, "backendError"),
}
SPOILT = {"html", "invalid_grant", "reset", "late", "hang", "trickle", "cut", "truncate", "garbage", "empty"}


def faulty(client: Client, kind: str, **more: object) -> None:
    """The next query goes wrong."""
    client.emulator.configure(faults=(Fault(kind, times=1, **more),))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def client(served: Client) -> Client:
    return served


def test_every_kind_is_tested_here() -> None:
    assert {*ANSWERS, *SPOILT} == set(FAULT_KINDS)


@pytest.mark.parametrize("kind", ANSWERS)
def test_an_error_comes_once_and_then_all_is_well(client: Client, kind: str) -> None:
    faulty(client, kind)
    refused = client.emulator.stats()["refused"]
    response = client.ask()
    error = response.json()["error"]
    assert (response.status_code, error["errors"][0]["reason"]) == ANSWERS[kind]
    assert client.ask().status_code == 200
    assert client.emulator.stats()["refused"] == refused  # what looks like a quota is none


def test_an_error_page_is_html(client: Client) -> None:
    faulty(client, "html")
    response = client.ask()
    assert (response.status_code, response.headers["Content-Type"]) == (502, "text/html; charset=UTF-8")
    assert response.text.startswith("<!DOCTYPE html>")


def test_a_reset_gives_no_answer(client: Client) -> None:
    faulty(client, "reset")
    with pytest.raises(requests.ConnectionError, match="ConnectionResetError"):
        client.ask()
    assert client.ask().status_code == 200


def test_a_hang_gives_none_until_it_breaks(client: Client) -> None:
    faulty(client, "hang")
    with pytest.raises(requests.ReadTimeout):
        client.session.post(client.url(), json={"startDate": "2026-11-10", "endDate": "2026-11-10"}, timeout=0.2)
    faulty(client, "hang", seconds=0.05)
    with pytest.raises(requests.ConnectionError, match=r"reset|aborted"):
        client.ask()


def test_a_late_answer_comes_when_the_work_was_done_long_since(client: Client) -> None:
    before = client.emulator.stats()["fetches"]
    faulty(client, "late", seconds=600)
    with pytest.raises(requests.ReadTimeout):
        client.session.post(client.url(), json={"startDate": "2026-11-02", "endDate": "2026-11-02"}, timeout=0.2)
    (new,) = [one for one in client.emulator.stats()["fetches"] if one not in before]
    assert (new["dates"], new["asked"], new["served"]) == ("2026-11-02", 1, 0)
    faulty(client, "late", seconds=0.05)
    assert client.ask().status_code == 200


def test_a_trickle_is_whole_in_the_end(client: Client) -> None:
    expected = client.ask(dimensions=ALL_FOUR).json()
    faulty(client, "trickle", seconds=0.2)
    response = client.ask(dimensions=ALL_FOUR)
    assert response.json() == expected


def test_a_cut_body_is_shorter_than_announced(client: Client) -> None:
    faulty(client, "cut")
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="IncompleteRead"):
        client.ask(dimensions=ALL_FOUR)
    assert client.ask().status_code == 200


def test_a_truncated_body_looks_whole_and_is_half_a_gzip_stream(client: Client) -> None:
    faulty(client, "truncate")
    body = {"startDate": "2026-11-10", "endDate": "2026-11-10", "dimensions": ALL_FOUR}
    with client.session.post(client.url(), json=body, stream=True) as response:
        raw = response.raw.read(decode_content=False)
        assert (response.status_code, int(response.headers["Content-Length"])) == (200, len(raw))
    engine = zlib.decompressobj(16 + zlib.MAX_WBITS)
    text = engine.decompress(raw)
    assert text.startswith(b'{\n  "rows"')
    assert not engine.eof


def test_garbage_is_no_json(client: Client) -> None:
    faulty(client, "garbage")
    response = client.ask()
    assert (response.status_code, response.headers["Content-Type"]) == (200, "application/json; charset=UTF-8")
    with pytest.raises(json.JSONDecodeError):
        json.loads(response.text)


def test_an_empty_answer_denies_rows_that_are_there(client: Client) -> None:
    faulty(client, "empty")
    assert client.ask(dimensions=ALL_FOUR).json() == {"responseAggregationType": "byPage"}
    assert client.ask(dimensions=ALL_FOUR).json()["rows"]
    faulty(client, "empty", path="sites")
    assert client.session.get(f"{client.emulator.url}/webmasters/v3/sites").json() == {}


def test_a_token_can_be_refused(client: Client) -> None:
    faulty(client, "invalid_grant", path="token")
    with pytest.raises(RefreshError, match="Token has been expired or revoked"):
        client.token()
    assert client.token()
    faulty(client, "503", path="sites")
    assert client.session.get(f"{client.emulator.url}/webmasters/v3/sites").status_code == 503


def test_faults_hit_their_site_only_and_each_as_often_as_told(start: Start) -> None:
    client = start(faults=(Fault("503", times=2, site=URL_SITE), Fault("500", times=1)))
    assert [client.ask(site).status_code for site in (SITE, URL_SITE, SITE, URL_SITE, URL_SITE)] == [
        *(500, 503, 200, 503, 200),
    ]
    assert client.emulator.stats()["faults"] == {"503": 2, "500": 1}


def test_faults_by_chance_come_in_the_same_places_with_the_same_seed(start: Start) -> None:
    runs = []
    for seed in (3, 3, 4):
        client = start(seed=seed, faults=(Fault("503", rate=0.3),))
        runs.append([client.ask().status_code for _ in range(60)])
    assert runs[0] == runs[1] != runs[2]
    assert 5 < runs[0].count(503) < 35


def test_faults_use_up_quota_as_any_call(start: Start) -> None:
    client = start(site_qpm=3, faults=(Fault("500", times=3),))
    assert [client.ask().status_code for _ in range(4)] == [500, 500, 500, 403]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault("flood"), "knows no kind of fault 'flood'"),
        (Fault("503", path="nowhere"), "knows no path of a fault 'nowhere'"),
        (Fault("invalid_grant"), "only the token endpoint says invalid_grant"),
    ],
)
def test_a_fault_that_cannot_be_is_refused(fault: Fault, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        EmulatorConfig(faults=(fault,))
