DELETE FROM receipts WHERE site_id = %(site_id)s
