SELECT token, worker_id, slot, pid, site, count(*), min(lease_until_ms)
FROM item JOIN worker USING (worker_id) JOIN site USING (site_id)
WHERE state = 'leased' GROUP BY token
HAVING :before IS NULL OR min(lease_until_ms) < :before
ORDER BY token
