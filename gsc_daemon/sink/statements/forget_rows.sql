DELETE FROM {rows} WHERE site_id = %(site_id)s
