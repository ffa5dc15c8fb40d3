-- :day
UPDATE day SET state = iif(wanted_generation > max(generation, :generation), 'planned', 'published'),
       generation = max(wanted_generation, :generation), wanted_generation = max(wanted_generation, :generation),
       published_generation = :generation, allow_loss = allow_loss_next, allow_loss_next = 0,
       held = :held, row_count = :row_count, truncated = :truncated, overlap = :overlap, kept = :kept, suspect = :suspect,
       empty_asks = iif(:row_count = 0 OR :kept, max(empty_asks, 7 * :suspect), 0),
       published_ms = :now, changed_ms = :now, version = version + 1
WHERE day_id = :day_id
-- :items
UPDATE item SET state = 'done', done_generation = :generation, token = NULL, worker_id = NULL, lease_until_ms = NULL,
       active_ms = NULL, alone = 0, error = NULL, error_ms = NULL, changed_ms = :now, version = version + 1
WHERE day_id = :day_id AND state = 'leased' AND token = :token
-- :synthesize
INSERT INTO item (day_id, site_id, start_row, state, priority, done_generation, changed_ms)
SELECT day_id, site_id, value, 'done', priority, :generation, :now
FROM json_each(:starts) JOIN day ON day_id = :day_id WHERE true
ON CONFLICT (day_id, part, start_row) DO UPDATE
SET state = 'done', done_generation = excluded.done_generation, token = NULL, worker_id = NULL, lease_until_ms = NULL,
    active_ms = NULL, not_before_ms = NULL, alone = 0, error = NULL, error_ms = NULL,
    changed_ms = excluded.changed_ms, version = version + 1
-- :drop
DELETE FROM item WHERE day_id = :day_id AND done_generation < :generation
