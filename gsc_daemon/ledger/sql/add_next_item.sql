INSERT INTO item (day_id, site_id, part, start_row, state, priority, token, worker_id, lease_until_ms, sole, claims, changed_ms)
SELECT day_id, site_id, part, start_row + :rows, 'leased', priority, token, worker_id, lease_until_ms, sole, 1, :now
FROM item WHERE item_id = :item_id AND state = 'leased' AND token = :token
ON CONFLICT (day_id, part, start_row) DO UPDATE
SET state = 'leased', token = excluded.token, worker_id = excluded.worker_id, lease_until_ms = excluded.lease_until_ms,
    sole = excluded.sole, claims = claims + (token IS NOT excluded.token), changed_ms = :now, version = version + 1
RETURNING item_id
-- :item
SELECT item_id, site, report, search_type, date, generation, part, start_row, failures, crashes, refetches, allow_loss,
       empty_asks
FROM item JOIN day USING (day_id) JOIN site ON site.site_id = day.site_id
WHERE item_id = :item_id
