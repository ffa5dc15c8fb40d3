SELECT clicks::double precision, impressions::double precision, ctr, ARRAY[{dimensions}], position
FROM {rows} JOIN sites USING (site_id)
WHERE site_url = %(site)s AND date = %(date)s AND search_type = %(search_type)s AND page = %(page)s
ORDER BY key
