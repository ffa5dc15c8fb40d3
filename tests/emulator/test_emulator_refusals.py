"""What Google refuses, in its own words: bad requests, sites without permission, paths that are not there."""

from __future__ import annotations

import json
from typing import Any

import pytest
from emulator_client import ALL_FOUR, SITE, URL_SITE, Client, Start

from gsc_daemon.emulator import SiteSpec, replies

BAD: list[tuple[dict[str, Any], str]] = [
    ({"startDate": None}, "Required field 'startDate' is missing."),
    ({"endDate": "2026-11-31"}, "Invalid value at 'endDate'"),
    ({"endDate": "10.11.2026"}, "Invalid value at 'endDate'"),
    ({"startDate": "2026-11-11"}, "The start date must be before or the same as the end date."),
    ({"rowLimit": 25_001}, "Invalid value at 'rowLimit'"),
    ({"rowLimit": 0}, "Invalid value at 'rowLimit'"),
    ({"rowLimit": "many"}, "Invalid value at 'rowLimit'"),
    ({"startRow": -1}, "Invalid value at 'startRow'"),
    ({"startRow": 2**31}, "Invalid value at 'startRow'"),
    ({"dimensions": ["city"]}, "Invalid value at 'dimensions[0]'"),
    ({"dimensions": ["query", "query"]}, "Duplicate dimension"),
    ({"type": "podcast"}, "Invalid value at 'type'"),
    ({"searchType": "discover"}, "Invalid value at 'searchType'"),
    ({"dataState": "fresh"}, "Invalid value at 'dataState'"),
    ({"aggregationType": "bySite"}, "Invalid value at 'aggregationType'"),
    ({"dimensions": ["page"], "aggregationType": "byProperty"}, "'BY_PROPERTY' is not a valid aggregation type"),
    ({"aggregationType": "byNewsShowcasePanel"}, "'BY_NEWS_SHOWCASE_PANEL' is not a valid aggregation type"),
    (
        {"dimensions": ["searchAppearance", "page"]},
        "Cannot group by search appearance dimension together with another dimension",
    ),
    ({"dimensions": ["hour"]}, "Grouping by hour requires"),
    ({"type": "discover", "dimensions": ["query"]}, "Dimension 'query' is not valid"),
    ({"type": "discover", "dimensions": ["device"]}, "Dimension 'device' is not valid"),
    ({"type": "googleNews", "dimensions": ["query"]}, "Dimension 'query' is not valid"),
    ({"type": "googleNews", "aggregationType": "byProperty"}, "'BY_PROPERTY' is not a valid aggregation type"),
    ({"rows": 10}, 'Invalid JSON payload received. Unknown name "rows"'),
    ({"dimensionFilterGroups": [{"groupType": "or"}]}, "Invalid value at 'groupType'"),
    ({"dimensionFilterGroups": ["query"]}, "Invalid value at 'dimension_filter_groups'"),
    ({"dimensionFilterGroups": [{"filters": ["query"]}]}, "Invalid value at 'dimension_filter_groups.filters'"),
    (
        {"dimensionFilterGroups": [{"filters": [{"dimension": "date", "expression": "x"}]}]},
        "Invalid value at 'filters.dimension'",
    ),
    (
        {"dimensionFilterGroups": [{"filters": [{"dimension": "page", "operator": "like", "expression": "x"}]}]},
        "Invalid value at 'filters.operator'",
    ),
    (
        {
            "dimensionFilterGroups": [
                {"filters": [{"dimension": "page", "operator": "includingRegex", "expression": "("}]}
            ]
        },
        "Invalid regular expression",
    ),
]


@pytest.mark.parametrize(("body", "said"), BAD, ids=[said for _, said in BAD])
def test_a_bad_request_is_refused_for_good(served: Client, body: dict[str, Any], said: str) -> None:
    response = served.ask(**body)
    error = response.json()["error"]
    assert response.status_code == error["code"] == 400
    assert error["message"].startswith(said)
    assert error["errors"] == [{"message": error["message"], "domain": "global", "reason": "badRequest"}]
    assert error["status"] == "INVALID_ARGUMENT"


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b"\xff"])
def test_what_is_no_json_object_is_refused(served: Client, body: bytes) -> None:
    response = served.session.post(served.url(), data=body)
    assert response.status_code == 400
    assert response.json()["error"]["message"] == "Invalid JSON payload received."


@pytest.mark.parametrize(
    "body",
    [
        {"type": "GOOGLE_NEWS"},
        {"type": "googleNews", "aggregationType": "BY_PAGE"},
        {"type": "WEB", "dataState": "FINAL", "dimensions": ["QUERY", "Device"]},
        {"searchType": "image", "rowLimit": "10", "startRow": 5.0},
        {"dimensions": "page", "aggregationType": "auto"},
        {"dimensionFilterGroups": [{"groupType": "AND", "filters": [{"dimension": "PAGE", "expression": "x"}]}]},
    ],
)
def test_every_spelling_that_clients_use_is_taken(served: Client, body: dict[str, Any]) -> None:
    assert served.ask(**body).status_code == 200


@pytest.mark.parametrize(
    ("site", "status"),
    [
        (SITE, 200),
        (URL_SITE, 200),
        ("https://www.example.com", 403),  # without its final slash it is no property of ours
        ("http://www.example.com/", 403),
        ("sc-domain:example.org", 403),
        ("http://", 400),
        ("example.com", 400),
    ],
)
def test_a_site_must_be_spelled_exactly(served: Client, site: str, status: int) -> None:
    response = served.ask(site)
    assert response.status_code == status
    if status == 403:
        assert response.json() == replies_forbidden(site)
    if status == 400:
        assert response.json()["error"]["message"] == f"'{site}' is not a valid Search Console site URL."


def replies_forbidden(site: str) -> dict[str, Any]:
    """Word for word."""
    message = (
        f"User does not have sufficient permission for site '{site}'. "
        "See also: https://support.google.com/webmasters/answer/2451999."
    )
    errors = [{"message": message, "domain": "global", "reason": "forbidden"}]
    return {"error": {"code": 403, "message": message, "errors": errors}}


@pytest.mark.parametrize(
    ("segment", "status"),
    [("sc-domain:example.com", 200), ("sc-domain%3Aexample.com", 200), ("https://www.example.com/", 404)],
)
def test_the_site_is_one_segment_of_the_path(served: Client, segment: str, status: int) -> None:
    url = f"{served.emulator.url}/webmasters/v3/sites/{segment}/searchAnalytics/query"
    body = {"startDate": "2026-11-10", "endDate": "2026-11-10"}
    response = served.session.post(url, json=body)
    assert response.status_code == status
    assert response.headers["Content-Type"].startswith("text/html" if status == 404 else "application/json")


def test_what_the_emulator_does_not_have_is_not_found(served: Client) -> None:
    for path in ("/", "/v1/urlInspection/index:inspect", "/webmasters/v3/sites/x/sitemaps", "/emulator/nothing"):
        assert served.session.get(served.emulator.url + path).status_code == 404
    assert served.session.get(served.url()).status_code == 404


def test_permissions_are_listed_and_can_be_taken_and_given_while_it_runs(start: Start) -> None:
    sites = (
        SiteSpec(SITE, rows_per_day=5),
        SiteSpec(URL_SITE, "siteUnverifiedUser"),
        SiteSpec("sc-domain:new.com", ""),
    )
    client = start(sites=sites)
    url = f"{client.emulator.url}/webmasters/v3/sites"

    def listed() -> dict[str, str]:
        entries = client.session.get(url).json().get("siteEntry", [])
        return {entry["siteUrl"]: entry["permissionLevel"] for entry in entries}

    assert listed() == {SITE: "siteOwner", URL_SITE: "siteUnverifiedUser"}
    assert [client.ask(site).status_code for site in (SITE, URL_SITE, "sc-domain:new.com")] == [200, 403, 403]
    client.emulator.configure(permissions={SITE: "siteUnverifiedUser", "sc-domain:new.com": "siteRestrictedUser"})
    assert listed()[SITE] == "siteUnverifiedUser"
    assert [client.ask(site).status_code for site in (SITE, URL_SITE, "sc-domain:new.com")] == [403, 403, 200]
    assert client.session.get(f"{url}/sc-domain%3Anew.com").json()["permissionLevel"] == "siteRestrictedUser"
    client.emulator.configure(permissions=dict.fromkeys((SITE, URL_SITE), ""))
    assert client.session.get(url).json() == {}
    assert client.session.get(f"{url}/sc-domain%3Aexample.com").json() == replies_forbidden(SITE)


LIMITS = "https://developers.google.com/webmaster-tools/v3/limits"
WORDS: list[tuple[replies.ApiError, int, str, str, str]] = [
    (
        replies.qps_exceeded(),
        *(403, f"Search Analytics QPS quota exceeded. Learn about usage limits: {LIMITS}."),
        *("usageLimits", "quotaExceeded"),
    ),
    (
        replies.load_exceeded(),
        *(403, f"Search Analytics load quota exceeded. Learn about usage limits: {LIMITS}."),
        *("usageLimits", "quotaExceeded"),
    ),
    (replies.rate_limited(), 429, "Rate Limit Exceeded", "usageLimits", "rateLimitExceeded"),
    (replies.backend_error(500), 500, "Backend Error", "global", "backendError"),
    (replies.backend_error(503), 503, "Backend Error", "global", "backendError"),
]


@pytest.mark.parametrize(("error", "status", "message", "domain", "reason"), WORDS)
def test_refusals_have_googles_words(
    error: replies.ApiError, status: int, message: str, domain: str, reason: str
) -> None:
    reply = error.reply()
    body = json.loads(b"".join(replies_bytes(reply)))["error"]
    assert (reply.status, body["code"], body["message"]) == (status, status, message)
    assert body["errors"] == [{"message": message, "domain": domain, "reason": reason}]


def replies_bytes(reply: replies.Reply) -> list[bytes]:
    from gsc_daemon.emulator.deflate import inflate

    return [inflate(reply.pieces)]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (replies.scope_insufficient(), "ACCESS_TOKEN_SCOPE_INSUFFICIENT"),
        (replies.service_disabled(), "SERVICE_DISABLED"),
    ],
)
def test_what_stops_a_whole_credential_has_details(error: replies.ApiError, reason: str) -> None:
    body = json.loads(b"".join(replies_bytes(error.reply())))["error"]
    assert (body["code"], body["status"]) == (403, "PERMISSION_DENIED")
    assert body["details"][0]["@type"] == "type.googleapis.com/google.rpc.ErrorInfo"
    assert body["details"][0]["reason"] == reason


def test_pages_are_indented_unless_the_client_says_otherwise(served: Client) -> None:
    body = {"startDate": "2026-11-10", "endDate": "2026-11-10", "dimensions": ALL_FOUR, "rowLimit": 700}
    pretty = served.session.post(served.url(), json=body)
    compact = served.session.post(f"{served.url()}?prettyPrint=false", json=body)
    assert pretty.json() == compact.json()
    assert b"\n" in pretty.content
    assert b"\n" not in compact.content
