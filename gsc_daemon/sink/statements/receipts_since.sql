SELECT site_url, report, search_type, date,
       generation, token, state, row_count, clicks, impressions, truncated, overlap, doubles, replaced, kept, suspect
FROM receipts JOIN sites USING (site_id)
WHERE token > %(token)s
