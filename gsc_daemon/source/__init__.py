"""Step 5, fetch: Google's Search Console API as a source, its credentials and the names of its properties."""

from gsc_daemon.source.console import SearchConsole
from gsc_daemon.source.credentials import check_credentials
from gsc_daemon.source.keyring import Key, Keyring, Sources, read_keyring
from gsc_daemon.source.sites import match_site

__all__ = ["Key", "Keyring", "SearchConsole", "Sources", "check_credentials", "match_site", "read_keyring"]
