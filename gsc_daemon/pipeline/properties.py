"""Properties: asks Google for each credential which properties it can read, and what that changes for the sites."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gsc_daemon.clock import Clock
from gsc_daemon.errors import ConfigError, Refusal, SourceError
from gsc_daemon.events import emit
from gsc_daemon.model import SiteEntry
from gsc_daemon.pipeline.back_to_work import SITE_PARK, BackToWork
from gsc_daemon.ports import Ledger, Sources
from gsc_daemon.settings import Choice
from gsc_daemon.source.sites import suggestions

CHORE: Final = "list_sites"
EVERY: Final = 3600.0  # seconds; a property that is lost is found again by that
RETRY: Final = 60.0  # a credential that is refused is found to work again by that


class Properties:
    """What one worker does for all.

    Args:
        wanted: the properties of the settings.
    """

    def __init__(
        self, ledger: Ledger, sources: Sources, clock: Clock, wanted: Choice, back_to_work: BackToWork
    ) -> None:
        self.ledger, self.sources, self.clock = ledger, sources, clock
        self.wanted, self.back_to_work = wanted, back_to_work

    def look(self) -> None:
        """Ask for each credential whose list is due. Raises `LedgerUnavailable`."""
        for name, source in self.sources.each():
            chore = f"{CHORE} {name}"
            if not self.ledger.claim_chore(chore, EVERY):
                continue
            try:
                self._learn(name, source().list_sites())
            except (SourceError, ConfigError) as error:
                self.ledger.chore_failed(chore, RETRY)
                self._failed(name, error)

    def _learn(self, name: str, entries: Sequence[SiteEntry]) -> None:
        mine = set(self.sources.read_by(name, [entry.site for entry in entries]))
        entries = [entry for entry in entries if entry.site in mine]
        until_ms = self.clock.wall_ms() + SITE_PARK * 1000
        unread = self._unread(name, entries)
        changed = self.ledger.save_sites(name, entries, unread=unread, until_ms=until_ms)
        permissions = {entry.site: entry.permission for entry in entries}
        for site in changed.found:
            emit("site.found", site=site, permission=permissions[site])
        for site in changed.unparked:
            emit("site.unparked", site=site, reason=f"{name} can read it")
        for site in changed.lost:
            emit("site.lost", site=site, reason=unread[site])

    def _unread(self, name: str, entries: Sequence[SiteEntry]) -> dict[str, str]:
        """Sites that this credential is to read and cannot: those named, and those of which days are wanted."""
        readable = [entry.site for entry in entries if entry.readable]
        kept = [site.site for site in self.ledger.known_sites() if site.wanted and self.wanted.has(site.site)]
        sites = dict.fromkeys((*self.wanted.named, *kept))
        listed = {entry.site: entry for entry in entries}
        return {
            site: why_not(site, listed.get(site), name, readable)
            for site in self.sources.read_by(name, list(sites))
            if site not in readable
        }

    def _failed(self, name: str, error: SourceError | ConfigError) -> None:
        emit("sites.unlisted", reason=str(error))
        if isinstance(error, ConfigError) or error.kind is Refusal.CREDENTIAL:
            self.back_to_work.credential_refused(name, error)


def why_not(site: str, entry: SiteEntry | None, credential: str, readable: Sequence[str]) -> str:
    """Why a site cannot be read, as `gscd status` shows it."""
    if entry is not None:
        return f"{credential} may not read it ({entry.permission})"
    near = suggestions(site, readable)
    return f"{credential} does not see it" + (f"; did you mean {' or '.join(near)}?" if near else "")
