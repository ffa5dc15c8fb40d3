-- :gate
SELECT (SELECT halted FROM control),
       EXISTS (SELECT 1 FROM meta WHERE key = 'seeded_run' AND value = :run_id),
       (SELECT count(DISTINCT token) FROM item WHERE state = 'leased'),
       EXISTS (SELECT 1 FROM item WHERE state = 'ready')
-- :held
SELECT count(item_id), coalesce(max(alone), 0)
FROM worker LEFT JOIN item ON item.worker_id = worker.worker_id AND item.state = 'leased'
WHERE worker.worker_id = :worker_id AND gone_ms IS NULL
GROUP BY worker.worker_id
-- :site
WITH level (priority) AS (  -- one after another, and no more of them than it takes
    SELECT min(priority) FROM item WHERE state = 'ready'
    UNION ALL
    SELECT (SELECT min(priority) FROM item WHERE state = 'ready' AND priority > level.priority)
    FROM level WHERE priority IS NOT NULL
), turn (site_id) AS (
    SELECT (SELECT site_id FROM site
            WHERE parked IS NULL AND EXISTS (SELECT 1 FROM item WHERE item.site_id = site.site_id
                                             AND item.priority = level.priority AND state = 'ready')
            ORDER BY served_token, site_id LIMIT 1)
    FROM level WHERE priority IS NOT NULL
)
SELECT site_id, site FROM turn JOIN site USING (site_id) LIMIT 1
-- :choose
SELECT item_id, alone FROM item WHERE site_id = :site_id AND state = 'ready'
ORDER BY priority, alone DESC, item_id LIMIT :limit
-- :token
UPDATE fence SET token = token + 1 RETURNING token
-- :lease
UPDATE item SET state = 'leased', token = :token, worker_id = :worker_id, lease_until_ms = :until, sole = :sole,
       claims = claims + 1, changed_ms = :now, version = version + 1
WHERE item_id IN (SELECT value FROM json_each(:items))
-- :served
UPDATE site SET served_token = :token, served_ms = :now WHERE site_id = :site_id
-- :items
SELECT item_id, site, report, search_type, date, generation, part, start_row, failures, crashes, refetches, allow_loss,
       empty_asks
FROM item JOIN day USING (day_id) JOIN site ON site.site_id = day.site_id
WHERE token = :token AND item.state = 'leased'
ORDER BY item.priority, item_id
