"""Over TLS, as with Google itself: kept connections, distrust, and ends in mid-answer and in mid-greeting."""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from scripted_google import Answer, Line, ScriptedGoogle, hang, reply, rows, trickle
from source_scene import Inbox, fetch, make_query

from gsc_daemon.clock import SystemClock
from gsc_daemon.errors import Refusal
from gsc_daemon.source import SearchConsole, lines


@pytest.fixture(scope="session")
def certificate(rsa_key: rsa.RSAPrivateKey, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of 127.0.0.1 with its key, signed by itself."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "google of the tests")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(rsa_key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(rsa_key, hashes.SHA256())
    )
    key = rsa_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = tmp_path_factory.mktemp("tls") / "certificate.pem"
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + key)
    return file


@pytest.fixture
def google(rsa_key: rsa.RSAPrivateKey, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedGoogle]:
    """Taken for somewhere outside, so that the environment's CA file counts."""
    monkeypatch.setattr(lines, "is_loopback", lambda host: False)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = ScriptedGoogle(rsa_key, tls=context)
    yield server
    server.close()


def test_connections_are_kept(google: ScriptedGoogle, source: SearchConsole, inbox: Inbox) -> None:
    google.answer = lambda asked: reply(200, rows(["a", "b"]))
    for n in range(3):
        fetch(source, inbox, [make_query(n)])
        assert inbox.one().row_count == 1
    assert google.connections == 1


@pytest.mark.parametrize("answer", [hang, trickle(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n")])
@pytest.mark.parametrize("reused", [False, True])
def test_abandon_in_mid_answer(
    google: ScriptedGoogle, source: SearchConsole, inbox: Inbox, answer: Answer, reused: bool
) -> None:
    fetch(source, inbox, [make_query(0)])
    inbox.one()
    left = threading.Semaphore(0)

    def slow(line: Line) -> None:
        try:
            answer(line)
        finally:
            left.release()

    google.answer = lambda asked: slow
    count = 1 if reused else 3
    fetch(source, inbox, [make_query(n) for n in range(1, 1 + count)])
    google.wait_for(lambda: len(google.asked) == 1 + count)
    source.abandon()
    assert {error.kind for error in inbox.take(count)} == {Refusal.ABANDONED}
    for _ in range(count):
        assert left.acquire(timeout=20), "a connection was not closed"
    google.answer = lambda asked: reply(200, {})
    fetch(source, inbox, [make_query(9)])
    assert inbox.one().row_count == 0


def test_abandon_in_mid_greeting(google: ScriptedGoogle, source: SearchConsole, inbox: Inbox) -> None:
    google.greet = False
    fetch(source, inbox, [make_query(1)])
    google.wait_for(lambda: google.silent == 1)
    source.abandon()
    assert inbox.error().kind is Refusal.ABANDONED
    google.wait_for(lambda: google.silent == 0)
    google.greet = True
    fetch(source, inbox, [make_query(2)])
    assert inbox.one().row_count == 0


def test_a_certificate_that_is_not_trusted(
    google: ScriptedGoogle, source: SearchConsole, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    fetch(source, inbox, [make_query()])
    error = inbox.error()
    assert error.kind is Refusal.TRANSIENT
    assert "certificate that is not trusted here" in str(error)
    assert "REQUESTS_CA_BUNDLE" in error.hint


def test_a_proxy_that_gives_no_way(
    google: ScriptedGoogle, source: SearchConsole, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    fetch(source, inbox, [make_query()])
    error = inbox.error()
    assert error.kind is Refusal.TRANSIENT
    assert "the proxy gives no way" in str(error)


def test_a_password_of_the_netrc_file_never_takes_the_tokens_place(
    google: ScriptedGoogle, key_file: Path, inbox: Inbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password something\n")
    monkeypatch.setenv("NETRC", str(netrc))
    key_file.write_text(json.dumps(google.service_account()))
    source = SearchConsole(
        key_file, google.url, transport="parallel", connections=2, deadline=30.0, clock=SystemClock()
    )
    fetch(source, inbox, [make_query()])
    assert inbox.one().row_count == 0
    assert google.asked[0].headers["authorization"].startswith("Bearer ")
    source.close()
