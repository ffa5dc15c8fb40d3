"""Secrets come from files that are not open to everyone, and are shown nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from gsc_daemon.errors import ConfigError
from gsc_daemon.settings import load, mask, masked, read_secret, warnings

SITES = '[sync]\nsites = ["sc-domain:example.com"]\n'


def secret_file(folder: Path, text: str, mode: int = 0o600) -> Path:
    file = folder / "secret"
    file.write_text(text)
    file.chmod(mode)
    return file


def test_a_secret_is_read_from_its_file(tmp_path: Path) -> None:
    file = tmp_path / "gscd.toml"
    secret_file(tmp_path, "postgresql://u:hush@h/db\n")
    file.write_text(SITES + '[sink]\ndsn_file = "secret"\n')
    got = load(file, {})
    assert got.sink.dsn == "postgresql://u:hush@h/db"
    assert got.origin("sink.dsn") == str(tmp_path / "secret")
    assert load(file, {}, secrets=False).sink.dsn == "postgresql:///gsc"


def test_the_environment_may_name_the_file(tmp_path: Path) -> None:
    file = tmp_path / "gscd.toml"
    file.write_text(SITES)
    path = secret_file(tmp_path, "redis://:hush@h:6379/0")
    assert load(file, {"GSCD_RATE_LIMIT__STORAGE_FILE": str(path)}).rate_limit.storage == "redis://:hush@h:6379/0"


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [
        ("x", 0o604, "everyone on this machine may read this secret. Run `chmod o= SECRET`"),
        ("x", 0o602, "everyone on this machine may read this secret."),
        ("", 0o600, "the secrets file is empty"),
        ("\n\n", 0o600, "the secrets file is empty"),
        ("hush\nhush\nhush", 0o600, "the secrets file has 3 lines, but must hold one"),
    ],
)
def test_a_secrets_file_that_is_open_empty_or_long_is_refused(tmp_path: Path, text: str, mode: int, said: str) -> None:
    path = secret_file(tmp_path, text, mode)
    with pytest.raises(ConfigError) as caught:
        read_secret(path)
    told = str(caught.value).replace(str(path), "SECRET")
    assert told.startswith(f"SECRET: {said}")
    assert "hush" not in told


def test_group_may_read_a_secret(tmp_path: Path) -> None:
    assert read_secret(secret_file(tmp_path, " x \n", 0o640)) == "x"


def test_a_bad_secret_is_told_by_its_file_and_not_repeated(tmp_path: Path) -> None:
    file = tmp_path / "gscd.toml"
    secret_file(tmp_path, "mysql://u:hush@h/db")
    file.write_text(SITES + '[sink]\ndsn_file = "secret"\n')
    with pytest.raises(ConfigError) as caught:
        load(file, {})
    assert str(caught.value).startswith(f"{tmp_path}/secret: sink.dsn is no connection string")
    assert "hush" not in str(caught.value)


def test_a_missing_secrets_file_and_systemds_outside_of_the_service_are_told(tmp_path: Path) -> None:
    file = tmp_path / "gscd.toml"
    file.write_text(SITES + '[sink]\ndsn_file = "none"\n')
    with pytest.raises(ConfigError, match="none: no such secrets file"):
        load(file, {})
    file.write_text(SITES + '[sink]\ndsn_file = "%d/dsn"\n')
    with pytest.raises(
        ConfigError, match=r"gscd\.toml:4: sink\.dsn_file is %d/dsn, but systemd's credentials are only"
    ):
        load(file, {})


def test_a_secret_and_its_file_exclude_each_other(tmp_path: Path) -> None:
    file = tmp_path / "gscd.toml"
    secret_file(tmp_path, "postgresql:///a")
    file.write_text(SITES + '[sink]\ndsn_file = "secret"\ndsn = "postgresql:///b"\n')
    with pytest.raises(ConfigError) as caught:
        load(file, {})
    assert str(caught.value) == (f"{file}:4: sink.dsn_file and sink.dsn ({file}:5) are both given. Keep one of them")


MASKED = [
    ("postgresql://u:hush@h/db", "postgresql://u:***@h/db"),
    ("postgresql://u:hu/sh:h@us?h@h1,h2/db", "postgresql://u:***@h1,h2/db"),
    ("postgresql:///gsc?user=u&password=hush&x=1", "postgresql:///gsc?user=u&password=***&x=1"),
    ("postgresql://u@h/db?sslpassword=hush", "postgresql://u@h/db?sslpassword=***"),
    ("host=h password=hush dbname=d", "host=h password=*** dbname=d"),
    ("password = 'hu sh\\' hush' host=h", "password = *** host=h"),
    (r"password=hu\ hush host=h", "password=*** host=h"),
    ("PASSWORD='hush", "PASSWORD=***"),
    ("redis://:hush@h:6379/0", "redis://:***@h:6379/0"),
    ("rediss://u:hush@h:6379/0", "rediss://u:***@h:6379/0"),
    ("redis+unix://:hush@/run/r.sock", "redis+unix://:***@/run/r.sock"),
    (
        "redis+sentinel://:hush@h:1,h:2/m?sentinel_password=hush",
        "redis+sentinel://:***@h:1,h:2/m?sentinel_password=***",
    ),
    ("https://h/x?access_token=hush", "https://h/x?access_token=***"),
    ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
    ("postgresql://u@h:5432/db?sslmode=require", "postgresql://u@h:5432/db?sslmode=require"),
]


@pytest.mark.parametrize(("text", "shown"), MASKED, ids=[shown for _, shown in MASKED])
def test_passwords_become_stars(text: str, shown: str) -> None:
    assert mask(text) == shown


def test_neither_display_nor_repr_shows_a_password(tmp_path: Path) -> None:
    file = tmp_path / "gscd.toml"
    file.write_text(SITES)
    got = load(file, {"GSCD_SINK__DSN": "host=h password=hush", "GSCD_RATE_LIMIT__STORAGE": "redis://:hush@h/0"})
    shown = masked(got)
    assert shown["sink.dsn"] == "host=h password=***"
    assert shown["rate_limit.storage"] == "redis://:***@h/0"
    assert "hush" not in repr(got) + str(shown)


def test_a_password_in_settings_that_everyone_may_read_is_a_warning(tmp_path: Path) -> None:
    file = tmp_path / "gscd.toml"
    file.write_text(SITES + '[sink]\ndsn = "host=localhost password=hush"\n')
    file.chmod(0o644)
    (told,) = warnings(load(file, {}))
    assert told == f"{file}:4: sink.dsn holds a password that everyone on this machine may read; use sink.dsn_file"
    file.chmod(0o640)
    assert warnings(load(file, {})) == ()
