-- :find
SELECT day_id FROM day JOIN site USING (site_id)
WHERE site = :site AND report = :report AND search_type = :search_type AND date = :date AND state = 'published'
-- :items
DELETE FROM item WHERE day_id IN (SELECT value FROM json_each(:days))
-- :days
UPDATE day SET state = 'planned', generation = generation + 1, wanted_generation = generation + 1,
       published_generation = 0, held = NULL, row_count = NULL, published_ms = NULL, truncated = 0, overlap = 0, kept = 0,
       changed_ms = :now, version = version + 1
WHERE day_id IN (SELECT value FROM json_each(:days))
