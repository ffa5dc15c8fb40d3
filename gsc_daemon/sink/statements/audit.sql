WITH counted AS (
    {counted}
), vouched AS (
    SELECT * FROM receipts
    WHERE date BETWEEN %(first)s AND %(last)s AND (%(site)s::text IS NULL OR site_id = (SELECT site_id FROM sites WHERE site_url = %(site)s))
)
SELECT site_url, report, search_type, date,
       coalesce(counted.row_count, 0), coalesce(counted.clicks, 0), coalesce(counted.impressions, 0),
       coalesce(counted.digest, 0), vouched.generation, vouched.token, vouched.state, vouched.row_count,
       vouched.clicks, vouched.impressions, truncated, overlap, doubles, replaced, kept, suspect
FROM counted
FULL JOIN vouched USING (site_id, report, search_type, date)
JOIN sites USING (site_id)
ORDER BY site_url, date, report, search_type
