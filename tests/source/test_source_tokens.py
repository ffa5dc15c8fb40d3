"""Access tokens: one for all, renewed in time, renewed once when refused, and in no message."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from scripted_google import Answer, Asked, ScriptedGoogle, raw, reply, reset, rows
from source_scene import SITE, Inbox, MakeSource, fetch, make_query

from gsc_daemon.errors import Refusal, SourceError
from gsc_daemon.source import SearchConsole, tokens


def test_ten_queries_at_once_get_one_token(google: ScriptedGoogle, source: SearchConsole, inbox: Inbox) -> None:
    fetch(source, inbox, [make_query(n) for n in range(10)])
    inbox.take(10)
    assert len(google.token_calls) == 1
    assert len(google.asked) == 10


def test_a_token_is_renewed_before_it_ends(
    google: ScriptedGoogle, source: SearchConsole, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "RENEW_AT", (0.0, 0.0))
    for n in range(3):
        fetch(source, inbox, [make_query(n)])
        inbox.one()
    assert len(google.token_calls) == 3
    assert [asked.headers["authorization"] for asked in google.asked] == [f"Bearer {token}" for token in google.given]


def test_a_refused_token_is_renewed_once_for_everybody(
    google: ScriptedGoogle, source: SearchConsole, inbox: Inbox
) -> None:
    fetch(source, inbox, [make_query(0)])
    inbox.one()
    google.revoked.add(google.given[0])
    fetch(source, inbox, [make_query(n) for n in range(1, 9)])
    assert [result.row_count for result in inbox.take(8)] == [0] * 8
    assert len(google.token_calls) == 2


def test_a_new_token_that_is_refused_too_condemns_the_credential(
    google: ScriptedGoogle, source: SearchConsole, inbox: Inbox
) -> None:
    google.answer = lambda asked: reply(401, {"error": {"code": 401, "message": "no", "status": "UNAUTHENTICATED"}})
    fetch(source, inbox, [make_query()])
    error = inbox.error()
    assert error.kind is Refusal.CREDENTIAL
    assert error.site == SITE
    assert len(google.asked) == 2
    assert len(google.token_calls) == 2


def test_the_list_of_properties_renews_a_refused_token_too(google: ScriptedGoogle, source: SearchConsole) -> None:
    source.list_sites()
    google.revoked.add(google.given[0])
    assert list(source.list_sites()) == []
    google.answer = lambda asked: reply(401, {})
    with pytest.raises(SourceError) as caught:
        source.list_sites()
    assert caught.value.kind is Refusal.CREDENTIAL


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (reply(400, {"error": "invalid_grant", "error_description": "Token revoked."}, compress=False), "CREDENTIAL"),
        (reply(200, {"access": "nothing"}, compress=False), "CREDENTIAL"),
        (reply(502, b"<html>", compress=False), "TRANSIENT"),
        (reply(403, b"<html>blocked", compress=False), "TRANSIENT"),
        (reply(200, b"<html>sign in", compress=False), "TRANSIENT"),
        (reset, "TRANSIENT"),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{"), "TRANSIENT"),
    ],
)
def test_no_token_can_be_had(
    google: ScriptedGoogle, source: SearchConsole, inbox: Inbox, answer: Answer, kind: str
) -> None:
    google.token_answer = lambda asked: answer
    fetch(source, inbox, [make_query(1), make_query(2)])
    for error in inbox.take(2):
        assert isinstance(error, SourceError)
        assert error.kind is Refusal[kind]
        assert error.site == SITE
    assert google.asked == []
    google.token_answer = None
    fetch(source, inbox, [make_query(3)])
    assert inbox.one().row_count == 0


def test_who_waits_for_a_renewal_that_fails_does_not_try_again() -> None:
    waiting = threading.Barrier(3)

    class Credentials:
        """Refuses once both threads have been seen."""

        calls = 0

        def refresh(self, request: Any) -> None:
            Credentials.calls += 1
            waiting.wait(20)
            request("http://token", "POST", b"", {})

    class Lock:
        """Tells when a second thread is about to wait."""

        def __init__(self) -> None:
            self.lock, self.entered = threading.Lock(), 0

        def __enter__(self) -> None:
            self.entered += 1
            if self.entered == 2:
                threading.Thread(target=waiting.wait, args=(20,)).start()
                threading.Thread(target=waiting.wait, args=(20,)).start()
            self.lock.acquire()

        def __exit__(self, *_: object) -> None:
            self.lock.release()

    def send(method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> tokens.Reply:
        raise SourceError(Refusal.TRANSIENT, "the line is cut")

    held = tokens.Tokens(Credentials(), "reader", lambda: pytest.fail("no Retry-After here"))
    held._renewing = Lock()  # type: ignore[assignment]
    errors: list[SourceError] = []

    def ask(n: int) -> None:
        try:
            held.headers(send, make_query(n, site=f"sc-domain:{n}.example"))
        except SourceError as error:
            errors.append(error)

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert Credentials.calls == 1
    assert [error.message for error in errors] == ["the line is cut"] * 2


def test_a_user_with_a_quota_project(
    google: ScriptedGoogle, make_source: MakeSource, inbox: Inbox, tmp_path: Path
) -> None:
    google.refresh_tokens.add("1//refresh")
    file = tmp_path / "user.json"
    user = {
        "type": "authorized_user",
        "client_id": "c",
        "client_secret": "s",
        "refresh_token": "1//refresh",
        "token_uri": f"{google.url}/token",
        "quota_project_id": "my-project",
    }
    file.write_text(json.dumps(user))
    fetch(make_source(file), inbox, [make_query()])
    assert inbox.one().row_count == 0
    assert google.asked[0].headers["x-goog-user-project"] == "my-project"
    assert google.token_calls[0]["grant_type"] == "refresh_token"


def test_no_token_in_any_message(google: ScriptedGoogle, source: SearchConsole, inbox: Inbox) -> None:
    def echo(asked: Asked) -> Answer:
        text = f"bad header Authorization: {asked.headers['authorization']}"
        return reply(400, {"error": {"code": 400, "message": text, "errors": [{"reason": text}]}})

    google.answer = echo
    fetch(source, inbox, [make_query()])
    error = inbox.error()
    assert error.kind is Refusal.REQUEST
    assert google.given[0] not in f"{error} {error!r} {error.reason}"
    assert google.given[0] not in repr(source.__dict__)


def test_every_process_makes_its_own_token(google: ScriptedGoogle, make_source: MakeSource, inbox: Inbox) -> None:
    google.answer = lambda asked: reply(200, rows(["a", "b"]))
    for n, source in enumerate([make_source(), make_source()]):
        fetch(source, inbox, [make_query(n)])
        assert inbox.one().row_count == 1
    assert len(google.token_calls) == 2
