"""What a user typed, matched to the properties that the credential can read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gsc_daemon.errors import UsageError
from gsc_daemon.source.sites import match_site, normalise

KNOWN = [
    "sc-domain:example.com",
    "https://www.example.org/",
    "https://shop.example.net/de/",
    "http://old.example.info/",
]


@pytest.mark.parametrize("site", KNOWN)
def test_an_exact_name_is_itself(site: str) -> None:
    assert match_site(site, KNOWN) == site


@pytest.mark.parametrize(
    ("typed", "site"),
    [
        ("sc-domain%3Aexample.com", "sc-domain:example.com"),
        ("SC-Domain:Example.COM", "sc-domain:example.com"),
        ("sc-domain:example.com/", "sc-domain:example.com"),
        (" 'sc-domain:example.com' ", "sc-domain:example.com"),
        ("https://www.example.org", "https://www.example.org/"),
        ("HTTPS://WWW.Example.org", "https://www.example.org/"),
        ("https://www.example.org:443/", "https://www.example.org/"),
        ("https://www.example.org/?utm_source=x#top", "https://www.example.org/"),
        ("https%3A%2F%2Fwww.example.org%2F", "https://www.example.org/"),
        ("https://shop.example.net/de", "https://shop.example.net/de/"),
        ("https://search.google.com/search-console?resource_id=sc-domain:example.com", "sc-domain:example.com"),
        (
            "https://search.google.com/u/1/search-console/performance/search-analytics?hl=de&resource_id=sc-domain%3Aexample.com",
            "sc-domain:example.com",
        ),
        (
            "https://search.google.com/search-console?resource_id=https%3A%2F%2Fwww.example.org%2F",
            "https://www.example.org/",
        ),
        (
            "https://www.google.com/webmasters/tools/search-analytics?siteUrl=https://www.example.org/",
            "https://www.example.org/",
        ),
    ],
)
def test_another_spelling_of_the_same_property_is_taken(typed: str, site: str) -> None:
    assert match_site(typed, KNOWN) == site


@pytest.mark.parametrize(
    ("typed", "suggested"),
    [
        ("example.com", "sc-domain:example.com"),
        ("www.example.com", "sc-domain:example.com"),
        ("https://example.com/", "sc-domain:example.com"),
        ("https://www.example.com/", "sc-domain:example.com"),
        ("https://blog.example.com/", "sc-domain:example.com"),
        ("sc-domain:example.org", "https://www.example.org/"),
        ("sc-domain:www.example.org", "https://www.example.org/"),
        ("http://www.example.org/", "https://www.example.org/"),
        ("https://old.example.info/", "http://old.example.info/"),
        ("https://shop.example.net/", "https://shop.example.net/de/"),
        ("https://shop.example.net/DE/", "https://shop.example.net/de/"),
        ("sc-domain:example.net", "https://shop.example.net/de/"),
        ("sc-domain:exampel.com", "sc-domain:example.com"),
        ("https://search.google.com/search-console?resource_id=sc-domain:www.example.com", "sc-domain:example.com"),
    ],
)
def test_another_property_is_suggested_and_never_taken(typed: str, suggested: str) -> None:
    with pytest.raises(UsageError) as caught:
        match_site(typed, KNOWN)
    assert caught.value.hint.startswith(f"Did you mean {suggested}")


def test_the_likeliest_comes_first() -> None:
    known = ["https://a.example.com/", "sc-domain:example.com", "sc-domain:other.com"]
    with pytest.raises(UsageError, match=r"Did you mean sc-domain:example.com or https://a.example.com/\?"):
        match_site("example.com", known)


def test_nothing_alike_names_the_command_that_lists() -> None:
    with pytest.raises(UsageError, match=r"the credential can read no property .* `gscd sites` shows the 4"):
        match_site("sc-domain:unrelated.dev", KNOWN)


def test_a_credential_that_can_read_nothing() -> None:
    with pytest.raises(UsageError, match="add its e-mail address"):
        match_site("sc-domain:example.com", [])


@pytest.mark.parametrize(
    "typed", ["", "hello", "*", "https://", "https://[", "https://x:port/", "sc-domain:", "\n", "%"]
)
def test_nonsense_is_refused_in_words(typed: str) -> None:
    with pytest.raises(UsageError, match="is not a property as Google spells it"):
        match_site(typed, KNOWN)


@given(st.text(max_size=40) | st.sampled_from(KNOWN))
def test_normal_names_stay_as_they_are(typed: str) -> None:
    try:
        site = match_site(typed, KNOWN)
    except UsageError:
        return
    assert site in KNOWN
    assert normalise(site) == site
