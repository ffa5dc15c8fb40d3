-- Held until the end: nobody publishes a day of this site that has no receipt yet.
SELECT site_id FROM sites WHERE site_url = %(site)s FOR UPDATE
