-- Dates of a site and search type, newest first: whether all that is wanted of them is published, and their most rows.
SELECT date, min(published_generation > 0 AND state = 'published'), max(coalesce(row_count, 0))
FROM day
WHERE site_id = (SELECT site_id FROM site WHERE site = :site) AND search_type = :search_type AND state <> 'cancelled'
GROUP BY date ORDER BY date DESC
-- :under_way
SELECT DISTINCT search_type FROM day
WHERE site_id = (SELECT site_id FROM site WHERE site = :site) AND state = 'planned' AND priority = :priority
-- :choose
SELECT day_id FROM day
WHERE site_id = (SELECT site_id FROM site WHERE site = :site) AND search_type = :search_type
  AND state IN ('planned', 'queued') AND priority = :priority AND date < :before
  AND NOT EXISTS (SELECT 1 FROM item WHERE item.day_id = day.day_id AND item.state = 'leased')
