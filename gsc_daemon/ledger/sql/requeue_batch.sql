UPDATE item SET
       state = CASE WHEN :failed AND failures + 1 >= :limit THEN 'quarantined'
                    WHEN :not_before IS NOT NULL THEN 'waiting' ELSE 'ready' END,
       not_before_ms = iif(:failed AND failures + 1 >= :limit, NULL, :not_before),
       token = NULL, worker_id = NULL, lease_until_ms = NULL, active_ms = NULL,
       failures = failures + :failed, refetches = refetches + :refetched,
       error = coalesce(:error, error), error_ms = iif(:error IS NULL, error_ms, :now),
       changed_ms = :now, version = version + 1
WHERE day_id IN (SELECT value FROM json_each(:days)) AND state = 'leased' AND token = :token AND start_row = 0
-- :held
SELECT 1 FROM item WHERE state = 'leased' AND token = :token
   AND (:items IS NULL OR item_id IN (SELECT value FROM json_each(:items))) LIMIT 1
-- :days
SELECT day_id, count(*) FROM item
WHERE state = 'leased' AND token = :token
  AND day_id IN (SELECT day_id FROM item WHERE state = 'leased' AND token = :token
                   AND (:items IS NULL OR item_id IN (SELECT value FROM json_each(:items))))
GROUP BY day_id
