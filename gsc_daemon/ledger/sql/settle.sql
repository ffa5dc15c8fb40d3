-- :drop
DELETE FROM item
WHERE day_id IN (SELECT value FROM json_each(:days)) AND state = 'leased' AND token = :token AND start_row > 0
  AND (done_generation = 0
       OR done_generation <> (SELECT published_generation FROM day WHERE day.day_id = item.day_id))
-- :restore
UPDATE item SET state = 'done', token = NULL, worker_id = NULL, lease_until_ms = NULL, active_ms = NULL,
       changed_ms = :now, version = version + 1
WHERE day_id IN (SELECT value FROM json_each(:days)) AND state = 'leased' AND token = :token AND start_row > 0
-- :quarantine
UPDATE day SET state = 'quarantined', changed_ms = :now, version = version + 1
WHERE day_id IN (SELECT value FROM json_each(:days)) AND state = 'queued'
  AND EXISTS (SELECT 1 FROM item WHERE item.day_id = day.day_id AND item.state = 'quarantined')
