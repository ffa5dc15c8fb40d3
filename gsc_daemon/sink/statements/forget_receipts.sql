-- Before the rows: this waits for whoever is publishing, and what they wrote is then seen.
DELETE FROM receipts WHERE site_id = %(site_id)s
