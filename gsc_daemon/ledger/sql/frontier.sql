SELECT search_type, newest_final FROM frontier
WHERE site_id = (SELECT site_id FROM site WHERE site = :site) AND newest_final IS NOT NULL
-- :due
SELECT site.site_id, site, value
FROM site CROSS JOIN json_each(:search_types)
LEFT JOIN frontier ON frontier.site_id = site.site_id AND search_type = value
WHERE parked IS NULL AND (due_ms IS NULL OR due_ms <= :now OR due_ms > :now + :every)
  AND (EXISTS (SELECT 1 FROM day WHERE day.site_id = site.site_id AND published_generation > 0 AND date >= :since)
       OR EXISTS (SELECT 1 FROM day WHERE day.site_id = site.site_id AND state = 'planned' AND date >= :since)
       OR EXISTS (SELECT 1 FROM item JOIN day USING (day_id)
                  WHERE item.site_id = site.site_id AND item.state IN ('ready', 'leased') AND date >= :since))
ORDER BY coalesce(due_ms, 0), site.site_id LIMIT :limit
-- :claim
INSERT INTO frontier (site_id, search_type, due_ms) VALUES (:site_id, :search_type, :due)
ON CONFLICT DO UPDATE SET due_ms = excluded.due_ms
-- :note
UPDATE frontier SET newest_final = :newest, told_ms = :now
WHERE site_id = (SELECT site_id FROM site WHERE site = :site) AND search_type = :search_type
-- :failed
UPDATE frontier SET due_ms = :due
WHERE site_id = (SELECT site_id FROM site WHERE site = :site) AND search_type = :search_type
