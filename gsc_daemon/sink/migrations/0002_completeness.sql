ALTER TABLE receipts ADD COLUMN suspect boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN receipts.suspect IS
    'Google gave nothing, although it counts something for the day, each time that it was asked.';

CREATE OR REPLACE VIEW days AS
SELECT site_url, held.report, held.search_type, held.date, held.generation, held.state,
       held.row_count, held.clicks AS row_clicks, held.impressions AS row_impressions,
       whole.clicks AS total_clicks, whole.impressions AS total_impressions,
       held.truncated, held.overlap, held.published_at, held.checked_at,
       held.kept, held.suspect,
       held.clicks / nullif(whole.clicks, 0)::double precision AS click_coverage,
       held.impressions / nullif(whole.impressions, 0)::double precision AS impression_coverage
FROM receipts AS held
JOIN sites USING (site_id)
LEFT JOIN receipts AS whole
    ON whole.site_id = held.site_id AND whole.report = 'totals'
    AND whole.search_type = held.search_type AND whole.date = held.date;
COMMENT ON COLUMN days.kept IS 'The last fetch gave nothing; the rows of an earlier one were kept.';
COMMENT ON COLUMN days.suspect IS
    'Google gave no rows, although the day has totals or had rows before, the last of seven further times too.';
COMMENT ON COLUMN days.click_coverage IS
    'row_clicks by total_clicks: what of the property''s clicks the rows show, rare queries being left out.';
COMMENT ON COLUMN days.impression_coverage IS
    'row_impressions by total_impressions. It can be above 1: by page, each URL of a result counts.';
