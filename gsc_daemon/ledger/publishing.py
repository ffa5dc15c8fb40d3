"""Step 6, in the ledger: a day is published, by a worker's receipt or by what Postgres turns out to hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
            with self._db.write("seed"):
                changed += self._seed_chunk(chunk)
        with self._db.write("seed_done"):
            self._run("seed.token", token=max_token)
            self._run("seed.note", run_id=run_id)
        return changed

    def _seed_chunk(self, chunk: Sequence[Receipt]) -> int:
        """Publish what is newer in Postgres. A leased day is left to its worker, whose next claim adopts it."""
        ids = self._site_ids(dict.fromkeys(receipt.day.site for receipt in chunk))
        unknown: list[Receipt] = []
        changed = 0
        for receipt in chunk:
            day = receipt.day
            found = self._one(
                "seed.known",
                site_id=ids[day.site],
                report=day.report,
                search_type=day.search_type,
                date=day.date.isoformat(),
                generation=receipt.generation,
            )
            if found is None:
                unknown.append(receipt)
            elif found[1]:
                self._publish(found[0], receipt, token=None, synthesize=True)
                changed += 1
        self._add_published(ids, unknown)
        return changed + len(unknown)

    def _add_published(self, ids: Mapping[str, int], receipts: Sequence[Receipt]) -> None:
        """Days that were never wanted here, with the items that they took; many at once, for a ledger made anew."""
        now = self._now()
        days, items = [], []
        for receipt in receipts:
            day, generation = receipt.day, receipt.generation
            key = (ids[day.site], day.report, day.search_type, day.date.isoformat())
            figures = (
                receipt.state.value,
                receipt.row_count,
                receipt.truncated,
                receipt.overlap,
                receipt.kept,
                receipt.suspect,
            )
            days.append((*key, generation, *figures, now))
            items += [(start, generation, now, *key) for start in start_rows(receipt)]
        self._db.run_many(statement("seed.days"), days)
        self._db.run_many(statement("seed.items"), items)

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
            suspect=receipt.suspect,
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
