SELECT date, report, search_type, state, published_generation, coalesce(row_count, 0),
       (SELECT group_concat(start_row) FROM item
        WHERE item.day_id = day.day_id AND done_generation = published_generation AND done_generation > 0)
FROM day
WHERE site_id = (SELECT site_id FROM site WHERE site = :site) AND date BETWEEN :first AND :last
ORDER BY date, report, search_type
-- :sites
SELECT site FROM site WHERE :site IS NULL OR site = :site ORDER BY site
