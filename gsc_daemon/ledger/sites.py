"""Sites in the ledger: who may read them, which are set aside; beside them halt, outages and chores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from gsc_daemon.ledger.store import Store
from gsc_daemon.model import HaltState, Listed, Parked, SiteEntry

NONE: Final[Mapping[str, str]] = MappingProxyType({})
LOAD_MEMORY: Final = 3600.0  # seconds after a parking for load in which another refusal means: not today


class Sites(Store):
    """Sites and what holds them, or everything, up."""

    def save_sites(
        self, credential: str, entries: Sequence[SiteEntry], *, unread: Mapping[str, str] = NONE, until_ms: int = 0
    ) -> Listed:
        listed = {entry.site: entry for entry in entries}
        found, unparked = [], []
        with self._db.write("save_sites"):
            for (site,) in self._all("save_sites.listed", credential=credential):
                if site not in listed:
                    self._run("save_sites.lost", site=site)
            for site, entry in listed.items():
                new = self._value("save_sites.readable", site=site) is None and entry.readable
                self._run("save_sites", site=site, credential=credential, permission=entry.permission)
                if new:
                    found.append(site)
                if entry.readable and self._run("unpark_site.again", site=site):
                    unparked.append(site)
            lost = [site for site, reason in unread.items() if self._lose(site, reason, until_ms, credential)]
            if not self._value("save_sites.refused"):
                self._run("outage.clear", service="source")
        return Listed(tuple(lost), tuple(found), tuple(unparked))

    def _lose(self, site: str, reason: str, until_ms: int, credential: str) -> bool:
        self._site_ids([site])
        before = self._value("site.parked_for", site=site)
        self._run("save_sites.asked", site=site, credential=credential)
        return self._park(site, reason, until_ms, Parked.LOST) and before != Parked.LOST

    def lose_site(self, site: str, reason: str, until_ms: int) -> bool:
        with self._db.write("park_site"):
            before = self._value("site.parked_for", site=site)
            return self._park(site, reason, until_ms, Parked.LOST) and before != Parked.LOST

    def refuse_credential(self, credential: str, sites: Sequence[str], reason: str, until_ms: int) -> int:
        newly = 0
        with self._db.write("note_outage"):
            self._run("outage.note", service="source", note=reason, now=self._now())
            for site in sites:
                self._site_ids([site])
                self._run("save_sites.asked", site=site, credential=credential)
                if self._value("site.parked_for", site=site) is None:
                    newly += self._park(site, reason, until_ms, Parked.CREDENTIAL)
        return newly

    def ensure_sites(self, sites: Sequence[str]) -> None:
        with self._db.write("ensure_sites"):
            self._site_ids(sites)

    def park_site(self, site: str, reason: str, until_ms: int | None) -> None:
        with self._db.write("park_site"):
            self._park(site, reason, until_ms)

    def _park(self, site: str, reason: str, until_ms: int | None, why: str | None = None) -> bool:
        """A person's parking without an end is not given one by a refusal."""
        self._site_ids([site])
        return self._run("park_site", site=site, reason=reason or "parked", until=until_ms, why=why) > 0

    def load_refused(self, site: str, reason: str, seconds: float, next_day_ms: int) -> int:
        now = self._now()
        with self._db.write("load_refused"):
            self._site_ids([site])
            last = int(self._value("load_refused.last", site=site))
            if now < last:  # the other answers of the batch that was refused
                return last
            again = bool(last) and now < last + LOAD_MEMORY * 1000
            until = next_day_ms if again else now + round(seconds * 1000)
            self._run("load_refused", site=site, until=until)
            self._park(site, reason, until)
        return until

    def unpark_site(self, site: str) -> bool:
        with self._db.write("unpark_site"):
            return self._run("unpark_site", site=site) > 0

    def forget_site(self, site: str) -> int:
        with self._db.write("forget_site"):
            days = int(self._value("forget_site.days", site=site))
            self._run("forget_site.items", site=site)
            self._run("forget_site", site=site)
            self._run("forget_site.tally")
        return days

    # chores

    def claim_chore(self, name: str, every_seconds: float) -> bool:
        now, every_ms = self._now(), round(every_seconds * 1000)
        if self._value("chore.due", name=name, now=now, every=every_ms) == 0:
            return False
        with self._db.write("claim_chore"):
            if self._value("chore.due", name=name, now=now, every=every_ms) == 0:
                return False
            self._run("chore.set", name=name, due=now + every_ms)
        return True

    def chore_failed(self, name: str, retry_seconds: float) -> None:
        with self._db.write("chore_failed"):
            self._run("chore.set", name=name, due=self._now() + round(retry_seconds * 1000))

    def renew_chores(self, prefix: str) -> None:
        with self._db.write("renew_chores"):
            self._run("chore.renew", prefix=prefix)

    # halt

    def halt(self, reason: str, by: str) -> None:
        with self._db.write("halt"):
            self._run("halt", reason=reason, by=by, now=self._now())

    def resume(self, by: str) -> None:
        with self._db.write("resume"):
            self._run("halt.resume", by=by, now=self._now())

    def halt_state(self) -> HaltState:
        row = self._one("halt.state")
        assert row is not None
        halted, reason, by, since_ms = row
        return HaltState(True, reason, by, since_ms) if halted else HaltState(False)

    # trouble with services

    def note_outage(self, service: str, note: str) -> None:
        with self._db.write("note_outage"):
            self._run("outage.note", service=service, note=note, now=self._now())

    def clear_outage(self, service: str) -> None:
        if service not in self.outages():
            return
        with self._db.write("clear_outage"):
            self._run("outage.clear", service=service)

    def outages(self) -> Mapping[str, tuple[int, str]]:
        return {service: (since_ms, note) for service, since_ms, note in self._all("outage")}
