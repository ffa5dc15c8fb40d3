INSERT INTO rollups (site_id, search_type, month, stamp)
VALUES (%(site_id)s, %(search_type)s, %(month)s, %(stamp)s)
ON CONFLICT (site_id, search_type, month) DO UPDATE SET stamp = excluded.stamp, rolled_at = now()
