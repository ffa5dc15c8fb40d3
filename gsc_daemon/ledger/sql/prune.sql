-- :sends
DELETE FROM send WHERE send_id IN (SELECT send_id FROM send WHERE at_ms < :before LIMIT :limit)
-- :batches
DELETE FROM batch WHERE batch_id IN (SELECT batch_id FROM batch WHERE at_ms < :before LIMIT :limit)
-- :history
DELETE FROM history
WHERE history_id IN (SELECT history_id FROM history ORDER BY history_id LIMIT :limit) AND at_ms < :before
-- :workers
DELETE FROM worker
WHERE gone_ms < :before AND NOT EXISTS (SELECT 1 FROM item WHERE item.worker_id = worker.worker_id)
