SELECT site,
       coalesce(sum(n) FILTER (WHERE tally.state <> 'cancelled'), 0),
       coalesce(sum(n) FILTER (WHERE tally.state = 'published'), 0),
       coalesce(sum(n) FILTER (WHERE tally.state = 'quarantined'), 0),
       (SELECT min(date) FROM day WHERE day.site_id = site.site_id AND published_generation > 0),
       (SELECT max(date) FROM day WHERE day.site_id = site.site_id AND published_generation > 0),
       coalesce(parked, ''), parked_until_ms, permission,
       (SELECT date FROM day WHERE day.site_id = site.site_id AND published_generation > 0 AND held = 'final'
        ORDER BY date DESC LIMIT 1),
       iif(stalled AND parked IS NULL, moved_ms, NULL),
       credential, coalesce(parked_for, '')
FROM site LEFT JOIN tally ON tally.site_id = site.site_id AND what = 'day'
GROUP BY site.site_id ORDER BY site
