"""The credentials file, checked without the network; its contents are never shown."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from as_nobody import as_nobody, open_folder
from scripted_google import EMAIL, ScriptedGoogle

from gsc_daemon.errors import ConfigError
from gsc_daemon.source import check_credentials, credentials

SECRET = "SECRET-THAT-NOBODY-MAY-SEE"
USER = {
    "type": "authorized_user",
    "client_id": "id.apps.googleusercontent.com",
    "client_secret": SECRET,
    "refresh_token": f"1//{SECRET}",
}
EXTERNAL = {
    "type": "external_account",
    "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/x",
    "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
    "token_url": "https://sts.googleapis.com/v1/token",
    "credential_source": {"file": "/run/token"},
}


def write(folder: Path, content: Any) -> Path:
    file = folder / "credentials.json"
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        file.write_text(json.dumps(content))
    return file


def complaint(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        check_credentials(path)
    text = str(caught.value)
    assert SECRET not in text
    assert SECRET not in repr(caught.value.__cause__)
    assert caught.value.hint
    assert text.isprintable()
    return text


def test_a_service_account_is_named_by_its_address(google: ScriptedGoogle, tmp_path: Path) -> None:
    path = write(tmp_path, google.service_account())
    check_credentials(path)
    assert credentials.load(path)[1] == EMAIL


def test_a_user_is_named_by_a_hash_that_says_nothing_and_stays_the_same(tmp_path: Path) -> None:
    name = credentials.load(write(tmp_path, USER))[1]
    assert name.startswith("authorized_user:")
    assert SECRET not in name
    assert credentials.load(write(tmp_path, USER))[1] == name
    assert credentials.load(write(tmp_path, USER | {"refresh_token": "another"}))[1] != name


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (EXTERNAL, "external_account:"),
        (
            EXTERNAL
            | {
                "service_account_impersonation_url": "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/"
                "reader@x.iam.gserviceaccount.com:generateAccessToken"
            },
            "reader@x.iam.gserviceaccount.com",
        ),
        (
            {
                "type": "impersonated_service_account",
                "service_account_impersonation_url": "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/"
                "other@x.iam.gserviceaccount.com:generateAccessToken",
                "source_credentials": USER,
                "delegates": [],
            },
            "other@x.iam.gserviceaccount.com",
        ),
    ],
)
def test_other_kinds_of_google_credentials_are_taken(tmp_path: Path, content: Any, name: str) -> None:
    assert credentials.load(write(tmp_path, content))[1].startswith(name)


def test_only_reading_is_ever_asked_for(google: ScriptedGoogle, tmp_path: Path) -> None:
    for content in (google.service_account(), USER, EXTERNAL):
        loaded, _ = credentials.load(write(tmp_path, content))
        assert list(loaded.scopes) == ["https://www.googleapis.com/auth/webmasters.readonly"]


def test_the_file_is_missing(tmp_path: Path) -> None:
    assert "there is no such credentials file" in complaint(tmp_path / "none.json")


def test_the_file_is_a_folder(tmp_path: Path) -> None:
    assert "Is a directory" in complaint(tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_the_file_may_not_be_read() -> None:
    with open_folder() as folder:
        path = write(folder, USER)
        path.chmod(0o600)
        assert "cannot be read by this user" in as_nobody(lambda: check_credentials(path))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"  \n", "is empty"),
        (b'{"type": "service_account", "private_key": "' + SECRET.encode(), "no whole JSON"),
        (b"\xff\xfe\x00", "no whole JSON"),
        (b"[" * 100_000, "no whole JSON"),
        (b"AIza" + SECRET.encode(), "is an API key"),
        (b"-----BEGIN PRIVATE KEY-----\n" + SECRET.encode(), "is a bare private key"),
        (b"0\x82\x09\xa1" + SECRET.encode(), "is a P12 key"),
        ([SECRET], "holds JSON, but no object"),
        ({"installed": {"client_secret": SECRET}}, "names an OAuth client"),
        ({"web": {"client_secret": SECRET}}, "names an OAuth client"),
        ({"keyString": SECRET}, "is an API key"),
        ({"type": "gdch_service_account", "private_key": SECRET}, "no credentials file that gscd knows"),
        ({"token": SECRET}, "no credentials file that gscd knows"),
        ({"type": SECRET}, "no credentials file that gscd knows"),
        ({"type": ["x"]}, "no credentials file that gscd knows"),
        ({"type": "authorized_user", "client_id": "x", "client_secret": SECRET}, "lack refresh_token"),
        ({"type": "service_account", "private_key": SECRET}, "lack client_email, token_uri"),
        (USER | {"token_uri": "http://example.com/token"}, "no https address"),
        (USER | {"token_uri": f"http://[{SECRET}"}, "no https address"),
        ({"type": "external_account", "audience": SECRET}, "damaged"),
        (EXTERNAL | {"credential_source": {"executable": {"command": SECRET}}}, "damaged"),
    ],
)
def test_what_is_wrong_is_said_without_showing_it(tmp_path: Path, content: Any, says: str) -> None:
    assert says in complaint(write(tmp_path, content))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda key: key.replace("-----BEGIN PRIVATE KEY-----", ""),
        lambda key: key[: len(key) // 2],
        lambda key: SECRET,
        lambda key: key[:200] + SECRET + key[200:],
    ],
)
def test_a_damaged_private_key(google: ScriptedGoogle, tmp_path: Path, spoil: Any) -> None:
    info = google.service_account()
    info["private_key"] = spoil(info["private_key"])
    text = complaint(write(tmp_path, info))
    assert "damaged" in text
    assert "Download the key again" in text
    assert info["private_key"][:60] not in text


# Application-default credentials


@pytest.fixture
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.delenv("CLOUDSDK_CONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return monkeypatch


ADC = Path("/etc/gscd") / credentials.APPLICATION_DEFAULT


def test_application_default_takes_the_file_of_the_environment(
    bare_environment: pytest.MonkeyPatch, google: ScriptedGoogle, tmp_path: Path
) -> None:
    bare_environment.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(write(tmp_path, google.service_account())))
    assert credentials.load(ADC)[1] == EMAIL


def test_application_default_takes_what_gcloud_left(bare_environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "home" / ".config" / "gcloud"
    folder.mkdir(parents=True)
    (folder / "application_default_credentials.json").write_text(json.dumps(USER | {"quota_project_id": "p"}))
    loaded, name = credentials.load(ADC)
    assert name.startswith("authorized_user:")
    assert loaded.quota_project_id == "p"


def test_application_default_without_a_file_is_the_machines_own(bare_environment: pytest.MonkeyPatch) -> None:
    check_credentials(ADC)
    assert credentials.load(ADC)[1] == "application-default"


def test_application_default_that_names_a_missing_file(bare_environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bare_environment.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "gone.json"))
    assert "there is no such credentials file" in complaint(ADC)
