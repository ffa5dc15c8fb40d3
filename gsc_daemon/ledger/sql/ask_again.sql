-- :due
SELECT day_id FROM day
WHERE site_id = (SELECT site_id FROM site WHERE site = :site) AND state = 'published' AND held = 'final'
  AND (row_count = 0 OR kept = 1) AND empty_asks < :most AND date >= :oldest
  AND report IN (SELECT value FROM json_each(:reports))
  AND (coalesce(asked_again_ms, published_ms) <= :now - :every OR asked_again_ms > :now)
  AND (kept = 1 OR EXISTS (
      SELECT 1 FROM day AS other
      WHERE other.site_id = day.site_id AND other.search_type = day.search_type AND other.date = day.date
        AND other.report IN (SELECT value FROM json_each(:reports)) AND other.row_count > 0))
-- :plan
UPDATE day SET state = 'planned', priority = :priority, generation = generation + 1, wanted_generation = generation + 1,
       allow_loss = 0, allow_loss_next = 0, empty_asks = empty_asks + 1, asked_again_ms = :now,
       changed_ms = :now, version = version + 1
WHERE day_id IN (SELECT value FROM json_each(:days))
