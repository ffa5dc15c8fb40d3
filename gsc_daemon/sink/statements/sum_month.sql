-- NULL positions count for nothing: neither in the sum nor in the impressions that it is divided by.
INSERT INTO {sums} (site_id, search_type, month, {column}, clicks, impressions, position)
SELECT site_id, search_type, %(month)s, {column}, sum(clicks), sum(impressions),
       sum(position * impressions) / nullif(sum(impressions) FILTER (WHERE position IS NOT NULL), 0)
FROM query_page
WHERE site_id = %(site_id)s AND search_type = %(search_type)s
    AND date >= %(month)s AND date < %(month)s + interval '1 month'
GROUP BY site_id, search_type, {column}
