-- What an unfinished generation has of items goes; those that the published one consisted of are done again.
-- :drop
DELETE FROM item WHERE day_id IN (SELECT value FROM json_each(:days)) AND state <> 'leased'
   AND (done_generation = 0
        OR done_generation <> (SELECT published_generation FROM day WHERE day.day_id = item.day_id))
-- :restore
UPDATE item SET state = 'done', not_before_ms = NULL, alone = 0, failures = 0, crashes = 0, refetches = 0,
       error = NULL, error_ms = NULL, changed_ms = :now, version = version + 1
WHERE day_id IN (SELECT value FROM json_each(:days)) AND state IN ('ready', 'waiting', 'quarantined', 'cancelled')
