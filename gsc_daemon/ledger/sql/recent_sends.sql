SELECT at_ms, site, credential, queries FROM send WHERE at_ms > :after ORDER BY at_ms, send_id
