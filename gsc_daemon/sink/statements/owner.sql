SELECT ledger_id FROM owner
