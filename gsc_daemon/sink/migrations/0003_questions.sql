COMMENT ON COLUMN search_analytics.clicks IS 'Clicks that led from Google to this page.';
COMMENT ON COLUMN search_analytics.impressions IS 'Times that this page was shown. A result with several pages counts for each.';
COMMENT ON COLUMN days.site_url IS 'Search Console property, as Google spells it.';
COMMENT ON COLUMN days.search_type IS 'web, image, video, news, discover or googleNews.';
COMMENT ON COLUMN days.row_count IS 'Rows that are held of the day.';

CREATE VIEW daily_clicks AS
SELECT site_url, search_type, date, clicks, impressions, ctr, position
FROM totals JOIN sites USING (site_id);
COMMENT ON VIEW daily_clicks IS 'Figures of the whole property by day, rare queries included; from the report totals.';
COMMENT ON COLUMN daily_clicks.site_url IS 'Search Console property, as Google spells it.';
COMMENT ON COLUMN daily_clicks.search_type IS 'web, image, video, news, discover or googleNews.';
COMMENT ON COLUMN daily_clicks.date IS 'Google''s date, in Pacific time.';
COMMENT ON COLUMN daily_clicks.clicks IS 'Clicks of the whole property.';
COMMENT ON COLUMN daily_clicks.impressions IS 'Impressions of the whole property; a result counts once, whatever its pages.';
COMMENT ON COLUMN daily_clicks.ctr IS 'Clicks by impressions, from 0 to 1.';
COMMENT ON COLUMN daily_clicks.position IS 'Mean of the topmost position, from 1; null for discover and googleNews.';

CREATE VIEW site_dates AS
SELECT site_url, report, search_type, min(date) AS first_date, max(date) AS last_date,
       max(date) FILTER (WHERE state = 'final') AS last_final_date, count(*) AS days
FROM receipts JOIN sites USING (site_id)
GROUP BY site_url, report, search_type;
COMMENT ON VIEW site_dates IS 'First and last date that is held of each site, report and search type.';
COMMENT ON COLUMN site_dates.site_url IS 'Search Console property, as Google spells it.';
COMMENT ON COLUMN site_dates.report IS 'A named list of dimensions.';
COMMENT ON COLUMN site_dates.search_type IS 'web, image, video, news, discover or googleNews.';
COMMENT ON COLUMN site_dates.first_date IS 'Oldest published date.';
COMMENT ON COLUMN site_dates.last_date IS 'Newest published date.';
COMMENT ON COLUMN site_dates.last_final_date IS 'Newest published date that Google will not change in its daily course.';
COMMENT ON COLUMN site_dates.days IS 'Published dates; fewer than the span has where some are missing.';
