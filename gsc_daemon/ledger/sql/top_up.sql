-- :stand
SELECT coalesce(sum(n) FILTER (WHERE what = 'day' AND state = 'planned'), 0),
       coalesce(sum(n) FILTER (WHERE what = 'item' AND state = 'ready'), 0),
       coalesce(sum(n) FILTER (WHERE what = 'item' AND state = 'waiting'), 0)
FROM tally JOIN site USING (site_id) WHERE parked IS NULL
-- :sites
SELECT site_id, priority
FROM (SELECT site_id, served_token,
             (SELECT min(priority) FROM day WHERE day.site_id = site.site_id AND state = 'planned') AS priority
      FROM site WHERE parked IS NULL)
WHERE priority IS NOT NULL ORDER BY served_token, site_id
-- :next_priority
SELECT min(priority) FROM day WHERE site_id = :site_id AND state = 'planned' AND priority > :above
-- :days_of
SELECT day_id FROM day WHERE site_id = :site_id AND state = 'planned' AND priority = :priority
ORDER BY date DESC LIMIT :limit OFFSET :offset
-- :items
INSERT INTO item (day_id, site_id, state, priority, changed_ms)
SELECT day_id, site_id, 'ready', priority, :now
FROM json_each(:days) JOIN day ON day_id = value WHERE true ORDER BY json_each.key
ON CONFLICT (day_id, part, start_row) DO UPDATE
SET state = 'ready', priority = excluded.priority, not_before_ms = NULL, alone = 0, failures = 0, crashes = 0,
    refetches = 0, claims = 0, error = NULL, error_ms = NULL, changed_ms = excluded.changed_ms, version = version + 1
-- :days
UPDATE day SET state = 'queued', changed_ms = :now, version = version + 1
WHERE day_id IN (SELECT value FROM json_each(:days))
