"""Step 5, fetch, credentials: the file that lets us read, checked without the network, its contents never shown."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import google.auth.aws
import google.auth.compute_engine
import google.auth.external_account_authorized_user
import google.auth.identity_pool
import google.auth.impersonated_credentials
import google.oauth2.credentials
import google.oauth2.service_account
from google.auth.exceptions import GoogleAuthError

from gsc_daemon.errors import ConfigError
from gsc_daemon.settings.values import is_loopback

SCOPE: Final = "https://www.googleapis.com/auth/webmasters.readonly"
GOOGLE_TOKEN_URI: Final = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
# As the path of the credentials: whatever this machine is given, https://google.aip.dev/auth/4110
APPLICATION_DEFAULT: Final = "application-default"
_WELL_KNOWN: Final = Path("gcloud") / "application_default_credentials.json"
_LARGEST_FILE: Final = 1024 * 1024

HOW_TO_GET: Final = "Download the JSON key of a service account in the Cloud Console (IAM, service accounts, keys)"
AGAIN: Final = "Download the key again, and copy the file as it is"

Info = dict[str, Any]

# google-auth has no types of its own.
_MACHINE: Final[Any] = google.auth.compute_engine.Credentials
_SERVICE_ACCOUNT: Final[Any] = google.oauth2.service_account.Credentials
_USER: Final[Any] = google.oauth2.credentials.Credentials
_AWS: Final[Any] = google.auth.aws.Credentials
_POOL: Final[Any] = google.auth.identity_pool.Credentials
_POOL_USER: Final[Any] = google.auth.external_account_authorized_user.Credentials
_IMPERSONATED: Final[Any] = google.auth.impersonated_credentials.Credentials


def check_credentials(path: Path) -> None:
    """Whether the credentials can work, as far as that shows without the network. Raises `ConfigError`."""
    load(path)


def load(path: Path) -> tuple[Any, str]:
    """google-auth's credentials for the read-only scope, and their name, which is no secret.

    Args:
        path: the file, or `APPLICATION_DEFAULT` as its last part.

    Raises:
        ConfigError: missing, unreadable, malformed, another kind of file, a broken key.
    """
    if path.name == APPLICATION_DEFAULT and not path.exists():
        given = _application_default_file()
        if given is None:
            return _MACHINE(scopes=[SCOPE]), APPLICATION_DEFAULT
        path = given
    info = _read(path)
    make = _KINDS.get(str(info.get("type")))
    if make is None:
        raise _another_kind(path, info)
    try:
        return make(path, info), _name(info)
    except (GoogleAuthError, ValueError, TypeError, KeyError, AttributeError) as error:
        # The text of these errors may hold parts of the file.
        raise ConfigError(
            f"{path}: the {info['type']} credentials in it are damaged ({type(error).__name__})", hint=AGAIN
        ) from None


def identity(path: Path) -> tuple[str, str]:
    """Name and Cloud project ("" where the file does not say) of the credentials; neither is secret.

    Quota is counted in the project that ``quota_project_id`` names, else in the one that the credentials belong to:
    cloud.google.com/docs/quotas/quota-project. Raises `ConfigError` as `load`, as far as it looks.
    """
    if path.name == APPLICATION_DEFAULT and not path.exists():
        given = _application_default_file()
        if given is None:
            return APPLICATION_DEFAULT, ""
        path = given
    info = _read(path)
    if info.get("type") not in _KINDS:
        raise _another_kind(path, info)
    try:
        return _name(info), str(info.get("quota_project_id") or info.get("project_id") or "")
    except KeyError as error:
        raise ConfigError(f"{path}: the credentials lack {error.args[0]}", hint=AGAIN) from None


def _application_default_file() -> Path | None:
    """Where application-default credentials are, or None: the metadata server of the machine gives them."""
    named = os.environ.get("GOOGLE_APPLICATION_CREDENTIALS")
    if named:
        return Path(named)
    folder = os.environ.get("CLOUDSDK_CONFIG")
    file = Path(folder) / _WELL_KNOWN.name if folder else Path.home() / ".config" / _WELL_KNOWN
    return file if file.is_file() else None


def _read(path: Path) -> Info:
    try:
        data = _read_bytes(path)
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: there is no such credentials file", hint=HOW_TO_GET) from error
    except PermissionError as error:
        raise ConfigError(
            f"{path}: the credentials cannot be read by this user",
            hint="Make the daemon's user its owner, or its group the file's group with mode 0640",
        ) from error
    except OSError as error:
        raise ConfigError(f"{path}: the credentials cannot be read: {error.strerror}", hint=HOW_TO_GET) from error
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        raise _no_json(path, data) from None
    if not isinstance(value, dict):
        raise ConfigError(f"{path} is no credentials file: it holds JSON, but no object", hint=HOW_TO_GET)
    return value


def _read_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_LARGEST_FILE)


def _no_json(path: Path, data: bytes) -> ConfigError:
    start = data.lstrip()
    if not start:
        return ConfigError(f"{path} is empty", hint=AGAIN)
    if start.startswith(b"-----BEGIN"):
        return ConfigError(f"{path} is a bare private key, not the JSON key file that holds it", hint=HOW_TO_GET)
    if start.startswith(b"AIza"):
        return ConfigError(f"{path} is an API key, which cannot read Search Console's data", hint=HOW_TO_GET)
    if start.startswith(b"0\x82") or path.suffix == ".p12":
        return ConfigError(f"{path} is a P12 key", hint="Make a key of the type JSON for the same service account")
    return ConfigError(f"{path} is no credentials file: it holds no whole JSON", hint=AGAIN)


def _another_kind(path: Path, info: Info) -> ConfigError:
    if "installed" in info or "web" in info:
        return ConfigError(
            f"{path} names an OAuth client, which alone may read nothing",
            hint=f"{HOW_TO_GET}, or log in with that client and give the authorized_user file",
        )
    if "keyString" in info or "api_key" in info or "apiKey" in info:
        return ConfigError(f"{path} is an API key, which cannot read Search Console's data", hint=HOW_TO_GET)
    known = ", ".join(_KINDS)
    return ConfigError(f"{path} is no credentials file that gscd knows (its type is none of {known})", hint=HOW_TO_GET)


def _service_account(path: Path, info: Info) -> Any:
    _want(path, info, "client_email", "private_key", "token_uri")
    _check_token_uri(path, info["token_uri"])
    return _SERVICE_ACCOUNT.from_service_account_info(
        info, scopes=[SCOPE], quota_project_id=info.get("quota_project_id")
    )


def _authorized_user(path: Path, info: Info) -> Any:
    _want(path, info, "refresh_token", "client_id", "client_secret")
    token_uri = info.get("token_uri", GOOGLE_TOKEN_URI)
    _check_token_uri(path, token_uri)
    return _USER(
        None,
        refresh_token=info["refresh_token"],
        token_uri=token_uri,
        client_id=info["client_id"],
        client_secret=info["client_secret"],
        scopes=[SCOPE],
        quota_project_id=info.get("quota_project_id"),
    )


def _external_account(_path: Path, info: Info) -> Any:
    aws = str(info.get("subject_token_type", "")).endswith("aws4_request")
    kind = _AWS if aws else _POOL
    return kind.from_info(info, scopes=[SCOPE])


def _external_user(_path: Path, info: Info) -> Any:
    return _POOL_USER.from_info(info, scopes=[SCOPE])


def _impersonated(_path: Path, info: Info) -> Any:
    return _IMPERSONATED.from_impersonated_service_account_info(info, scopes=[SCOPE])


_KINDS: Final[dict[str, Callable[[Path, Info], Any]]] = {
    "service_account": _service_account,
    "authorized_user": _authorized_user,
    "external_account": _external_account,
    "external_account_authorized_user": _external_user,
    "impersonated_service_account": _impersonated,
}


def _want(path: Path, info: Info, *fields: str) -> None:
    missing = [field for field in fields if not isinstance(info.get(field), str) or not info[field].strip()]
    if missing:
        raise ConfigError(f"{path}: the credentials lack {', '.join(missing)}", hint=AGAIN)


def _check_token_uri(path: Path, uri: str) -> None:
    """What is sent there opens the door, so nobody may listen."""
    try:
        url = urlsplit(uri)
        host = url.hostname or ""
        safe = bool(host) and (url.scheme == "https" or (url.scheme == "http" and is_loopback(host)))
    except (ValueError, AttributeError):
        safe = False
    if not safe:
        raise ConfigError(f"{path}: its token_uri is no https address", hint=AGAIN)


def _name(info: Info) -> str:
    """A name for budget scopes, the ledger and messages: an e-mail address, or a hash of what never changes."""
    if info["type"] == "service_account":
        return str(info["client_email"])
    impersonated = str(info.get("service_account_impersonation_url") or "")
    if "/serviceAccounts/" in impersonated:
        return impersonated.rpartition("/serviceAccounts/")[2].partition(":")[0]
    own = [str(info.get(field)) for field in ("client_id", "refresh_token", "audience", "subject_token_type")]
    return f"{info['type']}:{hashlib.sha256(chr(0).join(own).encode()).hexdigest()[:12]}"
