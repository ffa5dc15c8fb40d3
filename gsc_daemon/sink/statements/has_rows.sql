SELECT EXISTS (
    SELECT FROM {rows} WHERE site_id = %(site_id)s AND date = %(date)s AND search_type = %(search_type)s
)
