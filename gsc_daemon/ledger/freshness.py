"""Freshness in the ledger: up to which date Google calls its data final, and when that is asked for again."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from gsc_daemon.ledger.store import Store

STALL: Final = 48 * 3600.0  # seconds; the newest final day moves once a day
WATCH_GAP: Final = 3600.0  # seconds without a daemon after which the watch begins anew


class Freshness(Store):
    """What Google tells of its own progress."""

    def claim_probes(
        self, search_types: Sequence[str], since: dt.date, every_seconds: float, limit: int
    ) -> Sequence[tuple[str, str]]:
        now, every_ms = self._now(), round(every_seconds * 1000)
        asked: dict[str, Any] = {
            "search_types": json.dumps(list(search_types)),
            "since": since.isoformat(),
            "now": now,
            "every": every_ms,
            "limit": limit,
        }
        if self._one("frontier.due", **asked) is None:
            return ()
        with self._db.write():
            due = self._all("frontier.due", **asked)
            for site_id, _, search_type in due:
                self._run("frontier.claim", site_id=site_id, search_type=search_type, due=now + every_ms)
        return [(site, search_type) for _, site, search_type in due]

    def note_final(self, site: str, search_type: str, newest: dt.date | None) -> None:
        told = newest.isoformat() if newest else None
        with self._db.write():
            self._run("frontier.note", site=site, search_type=search_type, newest=told, now=self._now())

    def probe_failed(self, site: str, search_type: str, retry_seconds: float) -> None:
        due = self._now() + round(retry_seconds * 1000)
        with self._db.write():
            self._run("frontier.failed", site=site, search_type=search_type, due=due)

    def watch(
        self, sites: Sequence[str], reports: Sequence[str], search_types: Sequence[str], expected: dt.date
    ) -> Sequence[tuple[str, bool]]:
        now = self._now()
        wanted = {"sites": sites, "reports": reports, "search_types": search_types}
        changed = []
        with self._db.write():
            for site_id, site, seen, moved, watched, stalled, newest in self._all(
                "watch", **{name: json.dumps(list(values)) for name, values in wanted.items()}
            ):
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
