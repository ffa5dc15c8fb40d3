-- Before the day's receipt is locked, as forget_lock does: the other order would end in a deadlock.
SELECT site_id FROM sites WHERE site_url = %(site)s FOR KEY SHARE
