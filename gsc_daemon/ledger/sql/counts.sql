WITH stand AS (
    SELECT what, state, parked IS NOT NULL AS parked, sum(n) AS n FROM tally JOIN site USING (site_id) GROUP BY 1, 2, 3
), at_work AS (
    SELECT count(DISTINCT day_id) AS days FROM item
    WHERE state = 'leased' AND site_id IN (SELECT site_id FROM site WHERE parked IS NOT NULL)
), sums AS (
    SELECT coalesce(sum(n) FILTER (WHERE what = 'day' AND state = 'planned' AND NOT parked), 0) AS planned,
           coalesce(sum(n) FILTER (WHERE what = 'day' AND state IN ('planned', 'queued') AND parked), 0)
               - (SELECT days FROM at_work) AS parked_days,
           coalesce(sum(n) FILTER (WHERE what = 'item' AND state = 'ready' AND NOT parked), 0) AS ready,
           coalesce(sum(n) FILTER (WHERE what = 'item' AND state = 'waiting' AND NOT parked), 0) AS waiting,
           coalesce(sum(n) FILTER (WHERE what = 'item' AND state = 'leased'), 0) AS leased,
           coalesce(sum(n) FILTER (WHERE what = 'item' AND state = 'done'), 0) AS done,
           coalesce(sum(n) FILTER (WHERE what = 'item' AND state = 'quarantined'), 0) AS quarantined,
           coalesce(sum(n) FILTER (WHERE what = 'item' AND state = 'cancelled'), 0) AS cancelled
    FROM stand
)
SELECT planned + parked_days, ready, waiting, leased, done, quarantined, cancelled,
       (SELECT count(DISTINCT token) FROM item WHERE state = 'leased'), parked_days
FROM sums
