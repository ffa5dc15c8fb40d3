"""Freshness in the ledger: up to which date Google calls its data final, and when that is asked for again."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from typing import Final

from gsc_daemon.ledger.store import Store

STALL: Final = 48 * 3600.0  # seconds; the newest final day moves once a day
WATCH_GAP: Final = 3600.0  # seconds without a daemon after which the watch begins anew


class Freshness(Store):
    """What Google tells of its own progress."""

    def frontier_due(self, site: str, search_type: str) -> bool:
        return not self._value("frontier.due", site=site, search_type=search_type, now=self._now())

    def note_final(self, site: str, search_type: str, newest: dt.date | None, again_seconds: float) -> None:
        now = self._now()
        told = newest.isoformat() if newest else None
        due = now + round(again_seconds * 1000)
        with self._db.write("note_final"):
            self._site_ids([site])
            self._run("frontier.note", site=site, search_type=search_type, newest=told, now=now, due=due)

    def probe_failed(self, site: str, search_type: str, retry_seconds: float) -> None:
        due = self._now() + round(retry_seconds * 1000)
        with self._db.write("probe_failed"):
            self._site_ids([site])
            self._run("frontier.failed", site=site, search_type=search_type, due=due)

    def watch(
        self, sites: Sequence[str], wanted: Sequence[tuple[str, str]], expected: dt.date
    ) -> Sequence[tuple[str, bool]]:
        now = self._now()
        given = {"sites": json.dumps(list(sites)), "wanted": json.dumps(wanted)}
        changed = []
        with self._db.write("watch"):
            for site_id, site, seen, moved, watched, stalled, newest in self._all("watch", **given):
                if newest is None:
                    continue
                if newest != seen or watched is None or not 0 <= now - watched <= WATCH_GAP * 1000:
                    moved = now
                stands = now - moved > STALL * 1000 and newest < expected.isoformat()
                self._run("watch.note", site_id=site_id, newest=newest, moved=moved, now=now, stalled=stands)
                if stands != bool(stalled):
                    changed.append((site, stands))
        return changed

    def newest_final(self, site: str) -> Mapping[str, dt.date]:
        return {kind: dt.date.fromisoformat(newest) for kind, newest in self._all("frontier", site=site)}
