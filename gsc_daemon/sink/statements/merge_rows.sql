MERGE INTO {rows} AS held
USING incoming
ON held.site_id = %(site_id)s AND held.date = %(date)s AND held.search_type = %(search_type)s
    AND held.key = incoming.key
WHEN MATCHED AND (held.clicks, held.impressions, held.ctr, held.position)
    IS DISTINCT FROM (incoming.clicks, incoming.impressions, incoming.ctr, incoming.position)
THEN UPDATE SET clicks = incoming.clicks, impressions = incoming.impressions, ctr = incoming.ctr,
    position = incoming.position, fetched_at = %(fetched_at)s
WHEN NOT MATCHED
THEN INSERT ({columns}, site_id, date, search_type, fetched_at)
    VALUES ({incoming}, %(site_id)s, %(date)s, %(search_type)s, %(fetched_at)s)
