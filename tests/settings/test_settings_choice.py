"""Which properties the words of the settings mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from gsc_daemon.errors import ConfigError
from gsc_daemon.settings import Choice, load
from gsc_daemon.source import read_keyring

KNOWN = ["sc-domain:a.com", "sc-domain:b.com", "https://a.com/", "https://staging.a.com/"]


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["*"], KNOWN),
        (["*", "!https://staging.*"], KNOWN[:3]),
        (["sc-domain:*", "!sc-domain:b.com"], KNOWN[:1]),
        (["https://*a.com/"], KNOWN[2:]),
        (["sc-domain:unlisted.com", "https://*"], ["sc-domain:unlisted.com", *KNOWN[2:]]),
        (["sc-domain:a.com", "!*"], []),
        (["sc-domain:a.co*", "!sc-domain:a.com"], []),
    ],
)
def test_words_mean(words: list[str], meant: list[str]) -> None:
    assert Choice(tuple(words)).among(KNOWN) == meant


def test_a_dot_is_a_dot_and_a_pattern_is_of_the_whole_name() -> None:
    assert not Choice(("https://*.a.com/*",)).has("https://xaxcom/")
    assert not Choice(("sc-domain:*",)).has("https://sc-domain:a.com/")


def keys(tmp_path: Path, text: str, *names: str) -> Path:
    for name in names:
        (tmp_path / f"{name}.json").write_text(
            f'{{"type": "service_account", "client_email": "{name}@x", "project_id": "p-{name}"}}'
        )
    file = tmp_path / "gscd.toml"
    file.write_text(text)
    return file


def test_the_first_credential_that_means_a_site_reads_it_and_the_default_the_rest(tmp_path: Path) -> None:
    text = """
[api]
credentials = "rest.json"
[sync]
sites = ["*"]
[[credentials]]
file = "one.json"
sites = ["sc-domain:a*"]
[[credentials]]
file = "two.json"
sites = ["sc-domain:*", "!sc-domain:c.com"]
"""
    ring = read_keyring(load(keys(tmp_path, text, "one", "two", "rest"), {}))
    assert [ring.of(f"sc-domain:{name}.com").name for name in "abc"] == ["one@x", "two@x", "rest@x"]
    assert [ring.project_of(f"{name}@x") for name in ("one", "two", "rest", "none")] == ["p-one", "p-two", "p-rest", ""]


def test_without_a_default_nobody_reads_the_rest(tmp_path: Path) -> None:
    text = '[sync]\nsites = ["*"]\n[[credentials]]\nfile = "one.json"\nsites = ["sc-domain:a.com"]\n'
    settings = load(keys(tmp_path, text, "one"), {})
    assert settings.default_credentials is None
    with pytest.raises(ConfigError, match="none of"):
        read_keyring(settings).of("sc-domain:b.com")


def test_a_file_that_cannot_be_read_is_named_by_its_path_and_no_part_of_it(tmp_path: Path) -> None:
    text = '[sync]\nsites = ["*"]\n[[credentials]]\nfile = "one.json"\nsites = ["*"]\n'
    settings = load(keys(tmp_path, text), {})
    (tmp_path / "one.json").write_text('{"private_key": "hush')
    (key,) = read_keyring(settings).keys
    assert (key.name, key.project) == (str(tmp_path / "one.json"), "")
    assert "hush" not in repr(key)


def test_credentials_of_the_units_folder(tmp_path: Path) -> None:
    text = '[sync]\nsites = ["*"]\n[[credentials]]\nfile = "%d/one.json"\nsites = ["*"]\n'
    (one,) = load(keys(tmp_path, text), {"CREDENTIALS_DIRECTORY": "/run/credentials/x"}).credentials
    assert one.file == Path("/run/credentials/x/one.json")
