-- Keys are hashes, so the row after a random point is a random row; past the last one, the first.
WITH candidates AS (
    SELECT site_id, search_type, date, row_number() OVER () AS number, count(*) OVER () AS days
    FROM receipts JOIN sites USING (site_id)
    WHERE report = 'query_page' AND row_count > 0 AND date BETWEEN %(first)s AND %(last)s
        AND (%(site)s::text IS NULL OR site_url = %(site)s)
), draws AS (
    SELECT random() AS share, decode(md5(random()::text), 'hex') AS point FROM generate_series(1, %(count)s)
), drawn AS MATERIALIZED (
    SELECT site_id, search_type, date, point
    FROM draws JOIN candidates ON number = 1 + floor(share * days)::bigint
)
SELECT DISTINCT site_url, search_type, date, page
FROM drawn
JOIN sites USING (site_id)
CROSS JOIN LATERAL (
    SELECT page FROM (
        (SELECT 1 AS turn, page FROM query_page AS held
         WHERE held.site_id = drawn.site_id AND held.date = drawn.date AND held.search_type = drawn.search_type
             AND held.key >= point ORDER BY key LIMIT 1)
        UNION ALL
        (SELECT 2, page FROM query_page AS held
         WHERE held.site_id = drawn.site_id AND held.date = drawn.date AND held.search_type = drawn.search_type
         ORDER BY key LIMIT 1)
    ) AS either ORDER BY turn LIMIT 1
) AS random_row
