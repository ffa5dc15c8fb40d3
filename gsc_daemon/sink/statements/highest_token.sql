SELECT coalesce(max(token), 0) FROM receipts
