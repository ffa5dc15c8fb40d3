-- :choose
SELECT day_id FROM day JOIN site USING (site_id)
WHERE state IN ('planned', 'queued', 'quarantined') AND (:site IS NULL OR site = :site)
  AND date BETWEEN :first AND :last
  AND NOT EXISTS (SELECT 1 FROM item WHERE item.day_id = day.day_id AND item.state = 'leased')
-- :items
UPDATE item SET not_before_ms = NULL, alone = 0, error = NULL, error_ms = NULL, changed_ms = :now, version = version + 1,
       state = iif(done_generation > 0, 'done', 'cancelled')
WHERE day_id IN (SELECT value FROM json_each(:days)) AND state IN ('ready', 'waiting', 'quarantined')
-- :days
UPDATE day SET state = iif(published_generation > 0, 'published', 'cancelled'), wanted_generation = generation,
       allow_loss = 0, allow_loss_next = 0, changed_ms = :now, version = version + 1
WHERE day_id IN (SELECT value FROM json_each(:days))
-- :again
UPDATE day SET wanted_generation = generation, allow_loss_next = 0, changed_ms = :now, version = version + 1
WHERE wanted_generation > generation AND date BETWEEN :first AND :last
  AND (:site IS NULL OR site_id = (SELECT site_id FROM site WHERE site = :site))
