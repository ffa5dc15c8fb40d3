CREATE VIEW {view} AS
SELECT site_url, search_type, date, {shown}clicks, impressions, ctr, position, fetched_at
FROM {rows} JOIN sites USING (site_id)
