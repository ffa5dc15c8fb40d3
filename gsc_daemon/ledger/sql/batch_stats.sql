SELECT count(*), sum(queries), avg(seconds) FROM batch WHERE at_ms > :after
-- :nth
SELECT seconds FROM batch WHERE at_ms > :after ORDER BY seconds DESC LIMIT 1 OFFSET :nth
