-- :due
SELECT 1 FROM item WHERE state = 'waiting' AND not_before_ms <= :now
UNION ALL SELECT 1 FROM site WHERE parked_until_ms <= :now LIMIT 1
-- :items
UPDATE item SET state = 'ready', not_before_ms = NULL, changed_ms = :now, version = version + 1
WHERE state = 'waiting' AND not_before_ms <= :now
-- :sites
UPDATE site SET parked = NULL, parked_until_ms = NULL WHERE parked_until_ms <= :now
