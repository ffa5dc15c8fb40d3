UPDATE item SET
       state = iif(crashes + (day_id IN (SELECT value FROM json_each(:blamed))) >= :limit, 'quarantined', 'ready'),
       crashes = crashes + (day_id IN (SELECT value FROM json_each(:blamed))),
       alone = max(alone, day_id IN (SELECT value FROM json_each(:suspects))),
       error = iif(crashes + (day_id IN (SELECT value FROM json_each(:blamed))) >= :limit, :error, error),
       error_ms = iif(crashes + (day_id IN (SELECT value FROM json_each(:blamed))) >= :limit, :now, error_ms),
       token = NULL, worker_id = NULL, lease_until_ms = NULL, active_ms = NULL,
       changed_ms = :now, version = version + 1
WHERE worker_id = :worker_id AND state = 'leased' AND start_row = 0
-- :workers
SELECT worker_id FROM worker WHERE pid = :pid AND pid_start = :pid_start AND gone_ms IS NULL
-- :held
SELECT day_id, token, item_id, active_ms IS NOT NULL, sole FROM item
WHERE worker_id = :worker_id AND state = 'leased' ORDER BY token, item_id
