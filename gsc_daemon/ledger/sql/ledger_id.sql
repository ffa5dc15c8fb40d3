SELECT value FROM meta WHERE key = 'ledger_id'
