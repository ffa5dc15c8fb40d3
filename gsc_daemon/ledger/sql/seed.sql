-- :done
SELECT 1 FROM meta WHERE key = 'seeded_run' AND value = :run_id
-- :note
INSERT INTO meta VALUES ('seeded_run', :run_id) ON CONFLICT DO UPDATE SET value = excluded.value
-- :token
UPDATE fence SET token = :token WHERE token < :token
-- :unknown
INSERT INTO day (site_id, report, search_type, date, priority, changed_ms) VALUES (?, ?, ?, ?, 20, ?)
ON CONFLICT DO NOTHING
-- :behind
SELECT day_id FROM day
WHERE site_id = :site_id AND report = :report AND search_type = :search_type AND date = :date
  AND published_generation < :generation
  AND (generation <= :generation OR state IN ('published', 'cancelled'))
  AND NOT EXISTS (SELECT 1 FROM item WHERE item.day_id = day.day_id AND item.state = 'leased')
