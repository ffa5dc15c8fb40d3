DELETE FROM {sums} WHERE site_id = %(site_id)s AND search_type = %(search_type)s AND month = %(month)s
