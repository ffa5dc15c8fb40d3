-- :known
SELECT date, day_id, state, priority, generation, wanted_generation, allow_loss, allow_loss_next
FROM day WHERE site_id = :site_id AND report = :report AND search_type = :search_type
-- :insert
INSERT INTO day (site_id, report, search_type, date, priority, allow_loss, changed_ms) VALUES (?, ?, ?, ?, ?, ?, ?)
-- :update
UPDATE day SET state = ?, priority = ?, generation = ?, wanted_generation = ?, allow_loss = ?, allow_loss_next = ?,
       changed_ms = ?, version = version + 1
WHERE day_id = ?
-- :hasten
UPDATE item SET priority = ? WHERE day_id = ? AND state IN ('ready', 'waiting', 'leased')
