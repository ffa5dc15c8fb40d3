-- Waits for whoever is publishing a day of this site, and keeps others waiting until it is gone.
SELECT site_id FROM sites WHERE site_url = %(site)s FOR UPDATE
