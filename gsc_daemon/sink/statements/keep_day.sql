-- The rows are counted and not believed: where they were written by hand, no receipt knew of them.
UPDATE receipts
SET row_count = counted.row_count, clicks = counted.clicks, impressions = counted.impressions,
    state = %(state)s, kept = true, suspect = %(last_ask)s, checked_at = %(fetched_at)s
FROM (
    SELECT count(*) AS row_count, sum(clicks) AS clicks, sum(impressions) AS impressions
    FROM {rows} WHERE site_id = %(site_id)s AND date = %(date)s AND search_type = %(search_type)s
) AS counted
WHERE site_id = %(site_id)s AND report = %(report)s AND search_type = %(search_type)s AND date = %(date)s
RETURNING generation, token, state, receipts.row_count, receipts.clicks, receipts.impressions,
    truncated, overlap, doubles, replaced, kept, suspect
