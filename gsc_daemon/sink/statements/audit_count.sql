SELECT site_id, {report} COLLATE "C" AS report, search_type, date,
       count(*) AS row_count, sum(clicks)::bigint AS clicks, sum(impressions)::bigint AS impressions,
       {digest} AS digest
FROM {rows}
WHERE date BETWEEN %(first)s AND %(last)s AND (%(site)s::text IS NULL OR site_id = (SELECT site_id FROM sites WHERE site_url = %(site)s))
GROUP BY site_id, search_type, date
