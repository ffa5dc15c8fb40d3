"""Step 6, in the ledger: a day is published, by a worker's receipt or by what Postgres turns out to hold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice

from gsc_daemon.ledger.statements import statement
from gsc_daemon.ledger.store import Store, as_list
from gsc_daemon.model import ROWS_PER_RESPONSE, Receipt

SEED_CHUNK = 1_000  # receipts a transaction: between them Postgres may be waited for, and nobody else must be


class Publishing(Store):
    """Days become published."""

    def needs_seed(self, run_id: str) -> bool:
        return self._one("seed.done", run_id=run_id) is None

    def seed(self, run_id: str, max_token: int, receipts: Iterable[Receipt]) -> int:
        """As `ports.Ledger`. A thousand receipts a transaction; the token is raised by the last one, so that a seeding
        that breaks off is begun anew with all of them."""
        changed = 0
        stream = iter(receipts)
        while chunk := list(islice(stream, SEED_CHUNK)):
            with self._db.write():
                changed += self._seed_chunk(chunk)
        with self._db.write():
            self._run("seed.token", token=max_token)
            self._run("seed.note", run_id=run_id)
        return changed

    def _seed_chunk(self, chunk: Sequence[Receipt]) -> int:
        """Publish what is newer in Postgres. A leased day is left to its worker, whose next claim adopts it."""
        ids = self._site_ids(dict.fromkeys(receipt.day.site for receipt in chunk))
        now = self._now()
        days = [
            (ids[receipt.day.site], receipt.day.report, receipt.day.search_type, receipt.day.date.isoformat(), now)
            for receipt in chunk
        ]
        self._db.run_many(statement("seed.unknown"), days)
        changed = 0
        for receipt, day in zip(chunk, days, strict=True):
            behind = self._one(
                "seed.behind",
                site_id=day[0],
                report=day[1],
                search_type=day[2],
                date=day[3],
                generation=receipt.generation,
            )
            if behind is not None:
                self._publish(behind[0], receipt, token=None, synthesize=True)
                changed += 1
        return changed

    def _publish(self, day_id: int, receipt: Receipt, *, token: int | None, synthesize: bool) -> None:
        """All items of the day done for the receipt's generation; the day published, or planned if wanted again.

        Args:
            synthesize: the items are not those of the sitting, so that they are made from the number of rows.
        """
        now, generation = self._now(), receipt.generation
        self._run(
            "publish.day",
            day_id=day_id,
            generation=generation,
            held=receipt.state.value,
            row_count=receipt.row_count,
            truncated=receipt.truncated,
            overlap=receipt.overlap,
            kept=receipt.kept,
            now=now,
        )
        if synthesize:
            starts = as_list(start_rows(receipt))
            self._run("publish.synthesize", day_id=day_id, starts=starts, generation=generation, now=now)
        else:
            self._run("publish.items", day_id=day_id, token=token, generation=generation, now=now)
        self._run("publish.drop", day_id=day_id, generation=generation)


def start_rows(receipt: Receipt) -> list[int]:
    """The requests that a published day has taken: each but the last gave 25,000 rows."""
    rows = 0 if receipt.kept else receipt.row_count + receipt.doubles
    return list(range(0, rows + 1, ROWS_PER_RESPONSE))
