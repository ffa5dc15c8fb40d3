"""/batch: parts are answered, charged and refused one by one; more than a thousand are refused together."""

from __future__ import annotations

import email
import json
from email.message import Message

import pytest
import requests
from emulator_client import ALL_FOUR, SITE, Client, Start

from gsc_daemon.emulator import Fault


def part(number: int, site: str = SITE, **body: object) -> str:
    asked = json.dumps({"startDate": "2026-11-10", "endDate": "2026-11-10"} | body)
    path = f"/webmasters/v3/sites/{requests.utils.quote(site, safe='')}/searchAnalytics/query"
    return (
        f"Content-Type: application/http\r\nContent-ID: <one+{number}>\r\n\r\n"
        f"POST {path} HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {len(asked)}\r\n\r\n{asked}\r\n"
    )


def send(client: Client, parts: list[str], path: str = "/batch") -> requests.Response:
    body = "".join(f"--limit\r\n{one}" for one in parts) + "--limit--\r\n"
    headers = {"Content-Type": 'multipart/mixed; boundary="limit"'}
    return client.session.post(client.emulator.url + path, data=body.encode(), headers=headers, timeout=30)


def answers(response: requests.Response) -> dict[str, tuple[int, dict[str, object]]]:
    """Content-ID → status and body, by the standard library's parser."""
    assert response.status_code == 200, response.text
    head = f"Content-Type: {response.headers['Content-Type']}\r\n\r\n"
    outer = email.message_from_string(head + response.content.decode())
    found = {}
    payload = outer.get_payload()
    assert isinstance(payload, list)
    for one in payload:
        assert isinstance(one, Message)
        status, _, rest = str(one.get_payload()).partition("\r\n")
        inner = email.message_from_string(rest)
        text = str(inner.get_payload())
        assert int(str(inner["Content-Length"])) == len(text.encode())
        found[str(one["Content-ID"])] = (int(status.split(" ")[1]), json.loads(text))
    return found


@pytest.mark.parametrize("path", ["/batch", "/batch/webmasters/v3"])
def test_each_part_gets_its_own_answer(served: Client, path: str) -> None:
    parts = [
        part(1, dimensions=ALL_FOUR, rowLimit=5),
        part(2, site="sc-domain:stranger.com"),
        part(3, rowLimit=0),
        part(4, dimensions=ALL_FOUR, rowLimit=2500),
    ]
    found = answers(send(served, parts, path))
    assert {key: status for key, (status, _) in found.items()} == {
        "<response-one+1>": 200,
        "<response-one+2>": 403,
        "<response-one+3>": 400,
        "<response-one+4>": 200,
    }
    assert found["<response-one+4>"][1] == served.ask(dimensions=ALL_FOUR, rowLimit=2500).json()


def test_every_part_counts_and_a_burst_of_them_is_refused_part_by_part(start: Start) -> None:
    client = start(user_qps=5)
    found = answers(send(client, [part(n) for n in range(20)]))
    assert sorted(status for status, _ in found.values()) == [200] * 5 + [403] * 15
    stats = client.emulator.stats()
    assert stats["most_in_1s"]["site"] == {SITE: 20}
    assert (stats["seen"]["batch"]["count"], stats["seen"]["query"]["count"]) == (1, 20)
    assert sum(one["served"] for one in stats["fetches"]) == 5


def test_a_thousand_parts_are_taken_and_one_more_is_not(served: Client) -> None:
    assert len(answers(send(served, [part(n, rowLimit=1) for n in range(1000)]))) == 1000
    response = send(served, [part(n) for n in range(1001)])
    assert response.status_code == 400
    assert "the limit is 1000" in response.json()["error"]["message"]


def test_what_is_no_batch_is_refused(served: Client) -> None:
    assert served.session.post(f"{served.emulator.url}/batch", data=b"x").status_code == 400
    assert send(served, ["Content-Type: application/http\r\n\r\nnothing\r\n"]).status_code == 400


def test_batches_can_be_switched_off(start: Start) -> None:
    client = start(batch=False)
    response = send(client, [part(1)])
    assert (response.status_code, response.headers["Content-Type"]) == (404, "text/html; charset=UTF-8")


def test_a_batch_fails_as_a_whole_or_in_a_part(start: Start) -> None:
    client = start(faults=(Fault("503", times=1, path="batch"), Fault("500", times=1)))
    assert send(client, [part(1), part(2)]).status_code == 503
    found = answers(send(client, [part(1), part(2)]))
    assert sorted(status for status, _ in found.values()) == [200, 500]


def test_a_part_that_breaks_the_connection_breaks_it_for_all(start: Start) -> None:
    client = start(faults=(Fault("reset", times=1),))
    with pytest.raises(requests.ConnectionError):
        send(client, [part(1), part(2)])
    assert len(answers(send(client, [part(1), part(2)]))) == 2


def test_parts_need_a_token_as_any_call(served: Client) -> None:
    with requests.Session() as session:
        body = f"--limit\r\n{part(1)}--limit--\r\n"
        headers = {"Content-Type": "multipart/mixed; boundary=limit"}
        response = session.post(f"{served.emulator.url}/batch", data=body, headers=headers, timeout=10)
    assert [status for status, _ in answers(response).values()] == [401]
