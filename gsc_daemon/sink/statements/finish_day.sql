UPDATE receipts
SET state = %(state)s, row_count = %(row_count)s, clicks = %(clicks)s, impressions = %(impressions)s,
    truncated = %(truncated)s, overlap = %(overlap)s, doubles = %(doubles)s, replaced = %(replaced)s, kept = false,
    suspect = %(last_ask)s AND %(row_count)s = 0 AND EXISTS (
        SELECT FROM receipts AS other
        WHERE other.site_id = %(site_id)s AND other.search_type = %(search_type)s AND other.date = %(date)s
          AND other.report <> %(report)s AND other.row_count > 0),
    published_at = clock_timestamp(), checked_at = %(fetched_at)s
WHERE site_id = %(site_id)s AND report = %(report)s AND search_type = %(search_type)s AND date = %(date)s
RETURNING generation, token, state, row_count, clicks, impressions, truncated, overlap, doubles, replaced, kept, suspect
