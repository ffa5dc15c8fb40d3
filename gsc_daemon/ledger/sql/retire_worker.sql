UPDATE worker SET gone_ms = :now, gone_note = :note WHERE worker_id = :worker_id AND gone_ms IS NULL
-- :tokens
SELECT DISTINCT token FROM item WHERE worker_id = :worker_id AND state = 'leased'
