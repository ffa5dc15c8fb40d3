INSERT INTO owner (ledger_id) VALUES (%(ledger_id)s)
ON CONFLICT (one) DO UPDATE SET ledger_id = EXCLUDED.ledger_id, since = now()
WHERE %(take_over)s AND owner.ledger_id <> EXCLUDED.ledger_id
