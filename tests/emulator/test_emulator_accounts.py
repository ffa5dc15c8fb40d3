"""Signing in: assertions and refresh tokens are verified, tokens run out, are revoked, and are held to their scope."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from emulator_client import SCOPE, Client, Start
from google.auth import crypt, jwt
from google.auth.transport.requests import Request
from google.oauth2 import credentials as user_credentials

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
GOOGLE = "https://oauth2.googleapis.com/token"


def assertion(client: Client, *, key_id: str | None = None, by_stranger: bool = False, **claims: Any) -> str:
    """Signed as google-auth does it, with other claims where given."""
    key = json.loads(client.key_file.read_text())
    now = int(time.time())
    signer = crypt.RSASigner.from_string(
        strangers_key() if by_stranger else key["private_key"], key_id or key["private_key_id"]
    )
    payload = {"iss": key["client_email"], "aud": GOOGLE, "scope": SCOPE, "iat": now, "exp": now + 3600} | claims
    return jwt.encode(signer, payload).decode()


def grant(client: Client, **form: str) -> requests.Response:
    return requests.post(f"{client.emulator.url}/token", data=form, timeout=10)


def strangers_key() -> str:
    from cryptography.hazmat.primitives import serialization

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return pem.decode()


@pytest.mark.parametrize("audience", ["google", "own"])
def test_a_signed_assertion_gets_a_token_for_an_hour(served: Client, audience: str) -> None:
    aud = GOOGLE if audience == "google" else f"{served.emulator.url}/token"
    given = grant(served, grant_type=JWT_BEARER, assertion=assertion(served, aud=aud)).json()
    assert (given["token_type"], given["expires_in"], given["scope"]) == ("Bearer", 3600, SCOPE)
    headers = {"Authorization": f"Bearer {given['access_token']}"}
    response = requests.get(f"{served.emulator.url}/webmasters/v3/sites", headers=headers, timeout=10)
    assert response.status_code == 200


@pytest.mark.parametrize(
    ("changes", "status", "error", "said"),
    [
        ({"aud": "https://example.com/token"}, 400, "invalid_grant", "Failed audience check"),
        (
            {"iat": 1_000_000_000, "exp": 1_000_003_600},
            400,
            "invalid_grant",
            "Invalid JWT: Token must be a short-lived",
        ),
        ({"exp": 4_000_000_000}, 400, "invalid_grant", "Invalid JWT: Token must be a short-lived"),
        ({"iss": "nobody@example.com"}, 400, "invalid_grant", "Invalid grant: account not found"),
        ({"key_id": "another"}, 400, "invalid_grant", "Invalid JWT Signature."),
        ({"by_stranger": True}, 400, "invalid_grant", "Invalid JWT Signature."),
        ({"scope": ""}, 400, "invalid_scope", "Invalid OAuth scope"),
        ({"sub": "boss@example.com"}, 401, "unauthorized_client", "Client is unauthorized"),
    ],
)
def test_an_assertion_that_is_wrong_gets_none(
    served: Client, changes: dict[str, Any], status: int, error: str, said: str
) -> None:
    response = grant(served, grant_type=JWT_BEARER, assertion=assertion(served, **changes))
    assert (response.status_code, response.json()["error"]) == (status, error)
    assert response.json()["error_description"].startswith(said)


def test_a_changed_assertion_and_one_without_signature_get_none(served: Client) -> None:
    head, _, signature = assertion(served).split(".")
    key = json.loads(served.key_file.read_text())
    now = int(time.time())
    forged = {"iss": key["client_email"], "aud": GOOGLE, "scope": SCOPE, "iat": now, "exp": now + 60}
    body = base64.urlsafe_b64encode(json.dumps(forged).encode()).decode().rstrip("=")
    unsigned = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    for made in (f"{head}.{body}.{signature}", f"{unsigned}.{body}."):
        response = grant(served, grant_type=JWT_BEARER, assertion=made)
        assert response.json()["error_description"] == "Invalid JWT Signature."
    assert grant(served, grant_type=JWT_BEARER, assertion="rubbish").json()["error"] == "invalid_grant"
    assert grant(served, grant_type="password").json()["error"] == "unsupported_grant_type"


def test_a_users_refresh_token_gets_an_access_token(start: Start, tmp_path: Path) -> None:
    client = start()
    info = json.loads(client.emulator.authorized_user_file(tmp_path / "user.json").read_text())
    credentials = user_credentials.Credentials(
        None,
        **{name: info[name] for name in ("refresh_token", "client_id", "client_secret", "token_uri")},
        scopes=[SCOPE],
    )
    with requests.Session() as session:
        credentials.refresh(Request(session))
    client.session.headers["Authorization"] = f"Bearer {credentials.token}"
    assert client.ask().status_code == 200
    assert "person@example.com" in client.emulator.stats()["most_in_60s"]["user"]

    known = {"grant_type": "refresh_token", **{name: info[name] for name in ("client_id", "client_secret")}}
    response = grant(client, **known, refresh_token="1//unknown")
    assert response.json() == {
        "error": "invalid_grant",
        "error_description": "Token has been expired or revoked.",
    }
    response = grant(client, **{**known, "client_secret": "wrong"}, refresh_token=info["refresh_token"])
    assert (response.status_code, response.json()["error"]) == (401, "invalid_client")
    wide = "https://www.googleapis.com/auth/drive"
    assert grant(client, **known, refresh_token=info["refresh_token"], scope=wide).json()["error"] == "invalid_scope"


def test_key_files_can_be_read_by_their_owner_only(start: Start, tmp_path: Path) -> None:
    emulator = start().emulator
    for path in (emulator.service_account_file(tmp_path / "a"), emulator.authorized_user_file(tmp_path / "b")):
        assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("header", ["", "Bearer ", "Bearer ya29.abc.def", "Bearer nonsense", "Basic eDp5"])
def test_without_a_good_token_there_is_nothing(served: Client, header: str) -> None:
    response = requests.post(served.url(), json={}, headers={"Authorization": header}, timeout=10)
    error = response.json()["error"]
    assert (response.status_code, error["status"]) == (401, "UNAUTHENTICATED")
    missing = "Request is missing required authentication credential."
    wrong = "Request had invalid authentication credentials."
    assert error["message"].startswith(missing if header.strip() in ("", "Bearer") else wrong)
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_token_for_something_else_is_not_enough(start: Start) -> None:
    client = start()
    client.sign_in("https://www.googleapis.com/auth/drive")
    response = client.ask()
    assert response.status_code == 403
    assert response.json()["error"]["details"][0]["reason"] == "ACCESS_TOKEN_SCOPE_INSUFFICIENT"
    client.sign_in("https://www.googleapis.com/auth/webmasters")
    assert client.ask().status_code == 200


def test_tokens_expire_when_told_and_new_ones_are_good(start: Start) -> None:
    client = start()
    client.emulator.expire_tokens()
    assert client.ask().status_code == 401
    client.sign_in()
    assert client.ask().status_code == 200


def test_tokens_last_as_long_as_is_set(start: Start) -> None:
    client = start(token_lifetime_s=0)
    assert client.ask().status_code == 401
    client.emulator.configure(token_lifetime_s=3600, require_auth=False)
    assert client.ask().status_code == 200


def test_a_revoked_account_is_dead_and_others_live(start: Start, tmp_path: Path) -> None:
    client = start()
    other = client.emulator.service_account_file(tmp_path / "other.json", name="other")
    client.emulator.revoke("sync")
    assert client.ask().status_code == 401
    response = grant(client, grant_type=JWT_BEARER, assertion=assertion(client))
    assert response.json() == {"error": "invalid_grant", "error_description": "Token has been expired or revoked."}
    first, client.key_file = client.key_file, other
    client.sign_in()
    assert client.ask().status_code == 200
    client.emulator.restore("sync")
    client.key_file = first
    client.sign_in()
    assert client.ask().status_code == 200


def test_a_restart_changes_nothing_for_those_who_are_signed_in(start: Start) -> None:
    client = start()
    before = client.ask().json()
    url = client.emulator.url
    client.emulator.restart()
    assert client.emulator.url == url
    client.session.close()
    assert client.ask().json() == before
    client.sign_in()
