"""Step 5, fetch, which credential reads a property: one source for each, made when it is first needed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gsc_daemon.errors import ConfigError, GscdError
from gsc_daemon.model import SiteEntry
from gsc_daemon.ports import Source
from gsc_daemon.settings import Choice, Settings
from gsc_daemon.source.credentials import identity

EVERYTHING: Final = Choice(("*",))


@dataclass(frozen=True, slots=True)
class Key:
    """One credential; nothing of it is secret.

    Args:
        name: for budget scopes, the ledger and messages. project: its Cloud project, "" where the file does not say.
        sites: what it reads, unless an earlier one does.
    """

    file: Path
    name: str
    project: str
    sites: Choice


@dataclass(frozen=True, slots=True)
class Keyring:
    """All credentials, in the order in which they are asked whether a property is theirs."""

    keys: tuple[Key, ...]

    def of(self, site: str) -> Key:
        """Who reads this property. Raises `ConfigError` where nobody does."""
        for key in self.keys:
            if key.sites.has(site):
                return key
        raise ConfigError(
            "none of [[credentials]] is for it",
            hint="Name it in sites of one of them, or set api.credentials for all that they are not for",
            site=site,
        )

    def reads(self, key: Key, site: str) -> bool:
        """Whether it is this one that reads the property."""
        return next((one for one in self.keys if one.sites.has(site)), None) is key

    def project_of(self, name: str) -> str:
        """The Cloud project of a credential; "" for one that is unknown or does not say."""
        return next((key.project for key in self.keys if key.name == name), "")


def read_keyring(settings: Settings) -> Keyring:
    """The credentials of these settings. A file that cannot be read gives a key named after it, for its error later."""
    keys = [_key(one.file, one.choice) for one in settings.credentials]
    if settings.default_credentials is not None:
        keys.append(_key(settings.default_credentials, EVERYTHING))
    return Keyring(tuple(keys))


def _key(file: Path, sites: Choice) -> Key:
    try:
        name, project = identity(file)
    except ConfigError:
        name, project = str(file), ""
    return Key(file, name, project, sites)


@dataclass
class Sources:
    """Implements `ports.Sources`. To be made after the fork, as each source is.

    Args:
        build: makes the source of a credentials file; raises `ConfigError`.
    """

    keyring: Keyring
    build: Callable[[Path], Source]
    _built: dict[Key, Source] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def credential_of(self, site: str) -> str:
        """See `ports.Sources`."""
        return self.keyring.of(site).name

    def of(self, site: str) -> Source:
        """See `ports.Sources`."""
        return self.source(self.keyring.of(site))

    def source(self, key: Key) -> Source:
        """The source of a credential. Raises `ConfigError`: it cannot work."""
        with self._lock:
            if key not in self._built:
                self._built[key] = self.build(key.file)
            return self._built[key]

    def read_by(self, credential: str, sites: Sequence[str]) -> list[str]:
        """See `ports.Sources`."""
        mine = [key for key in self.keyring.keys if key.name == credential]
        return [site for site in sites if any(self.keyring.reads(key, site) for key in mine)]

    def each(self) -> Iterator[tuple[str, Callable[[], Source]]]:
        """See `ports.Sources`."""
        for name in dict.fromkeys(key.name for key in self.keyring.keys):
            key = next(key for key in self.keyring.keys if key.name == name)
            yield name, lambda key=key: self.source(key)  # type: ignore[misc]

    def lists(self) -> Iterator[tuple[str, Sequence[SiteEntry], GscdError | None]]:
        """For each credential its name, those of its properties that it is to read, and why they could not be had."""
        for name, source in self.each():
            try:
                entries = source().list_sites()
            except GscdError as error:
                yield name, (), error
                continue
            mine = set(self.read_by(name, [entry.site for entry in entries]))
            yield name, [entry for entry in entries if entry.site in mine], None

    def abandon(self) -> None:
        """See `ports.Sources`."""
        for source in self._all():
            source.abandon()

    def close(self) -> None:
        """Close those that were made."""
        for source in self._all():
            source.close()

    def _all(self) -> list[Source]:
        with self._lock:
            return list(self._built.values())
