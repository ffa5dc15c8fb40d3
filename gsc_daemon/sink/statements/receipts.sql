SELECT site_url, report, search_type, date,
       generation, token, state, row_count, clicks, impressions, truncated, overlap, doubles, replaced, kept, suspect
FROM unnest(%(sites)s::text[], %(reports)s::text[], %(search_types)s::text[], %(dates)s::date[])
    AS wanted (site_url, report, search_type, date)
JOIN sites USING (site_url)
JOIN receipts USING (site_id, report, search_type, date)
