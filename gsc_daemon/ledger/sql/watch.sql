-- The newest final day of the report and search type that has come least far; those that nobody wants are left out.
SELECT site_id, site, frontier, moved_ms, watched_ms, stalled, (
    SELECT min(coalesce((
        SELECT date FROM day
        WHERE day.site_id = site.site_id AND day.report = json_extract(value, '$[0]') AND day.search_type = json_extract(value, '$[1]')
          AND published_generation > 0 AND held = 'final'
        ORDER BY date DESC LIMIT 1), '0000-01-01'))
    FROM json_each(:wanted)
    WHERE EXISTS (
        SELECT 1 FROM day
        WHERE day.site_id = site.site_id AND day.report = json_extract(value, '$[0]') AND day.search_type = json_extract(value, '$[1]')
          AND state <> 'cancelled')
) AS newest
FROM site
WHERE parked IS NULL AND site IN (SELECT value FROM json_each(:sites))
-- :note
UPDATE site SET frontier = :newest, moved_ms = :moved, watched_ms = :now, stalled = :stalled WHERE site_id = :site_id
