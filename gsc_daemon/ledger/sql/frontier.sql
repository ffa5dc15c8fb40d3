SELECT search_type, newest_final FROM frontier
WHERE site_id = (SELECT site_id FROM site WHERE site = :site) AND newest_final IS NOT NULL
-- :due
SELECT due_ms > :now FROM frontier
WHERE site_id = (SELECT site_id FROM site WHERE site = :site) AND search_type = :search_type
-- :note
INSERT INTO frontier (site_id, search_type, newest_final, told_ms, due_ms)
VALUES ((SELECT site_id FROM site WHERE site = :site), :search_type, :newest, :now, :due)
ON CONFLICT DO UPDATE SET newest_final = excluded.newest_final, told_ms = excluded.told_ms, due_ms = excluded.due_ms
-- :failed
INSERT INTO frontier (site_id, search_type, due_ms)
VALUES ((SELECT site_id FROM site WHERE site = :site), :search_type, :due)
ON CONFLICT DO UPDATE SET due_ms = excluded.due_ms
