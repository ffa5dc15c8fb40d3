-- :done
SELECT 1 FROM meta WHERE key = 'seeded_run' AND value = :run_id
-- :note
INSERT INTO meta VALUES ('seeded_run', :run_id) ON CONFLICT DO UPDATE SET value = excluded.value
-- :token
UPDATE fence SET token = :token WHERE token < :token
-- :known
SELECT day_id,
       published_generation < :generation
       AND (generation <= :generation OR state IN ('published', 'cancelled'))
       AND NOT EXISTS (SELECT 1 FROM item WHERE item.day_id = day.day_id AND item.state = 'leased')
FROM day
WHERE site_id = :site_id AND report = :report AND search_type = :search_type AND date = :date
-- :days
INSERT INTO day (site_id, report, search_type, date, state, priority, generation, wanted_generation, published_generation,
                 held, row_count, truncated, overlap, kept, suspect, empty_asks, published_ms, changed_ms)
VALUES (?1, ?2, ?3, ?4, 'published', 20, ?5, ?5, ?5, ?6, ?7, ?8, ?9, ?10, ?11, 7 * ?11, ?12, ?12)
-- :items
INSERT INTO item (day_id, site_id, start_row, state, priority, done_generation, changed_ms)
SELECT day_id, site_id, ?1, 'done', priority, ?2, ?3
FROM day WHERE site_id = ?4 AND report = ?5 AND search_type = ?6 AND date = ?7
