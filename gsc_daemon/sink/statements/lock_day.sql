-- Nothing comes back where a newer token or generation has been: the lease is lost.
INSERT INTO receipts AS held (site_id, report, search_type, date, generation, token, state)
VALUES (%(site_id)s, %(report)s, %(search_type)s, %(date)s, %(generation)s, %(token)s, %(state)s)
ON CONFLICT (site_id, report, search_type, date) DO UPDATE
SET generation = EXCLUDED.generation, token = EXCLUDED.token
WHERE held.generation <= EXCLUDED.generation AND held.token <= EXCLUDED.token
RETURNING (SELECT ledger_id FROM owner)
