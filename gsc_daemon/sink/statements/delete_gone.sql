DELETE FROM {rows} AS held
WHERE site_id = %(site_id)s AND date = %(date)s AND search_type = %(search_type)s
    AND NOT EXISTS (SELECT FROM incoming WHERE incoming.key = held.key)
