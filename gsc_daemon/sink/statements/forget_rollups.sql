DELETE FROM {sums} WHERE site_id = %(site_id)s
