SELECT site_id FROM sites WHERE site_url = %(site)s
