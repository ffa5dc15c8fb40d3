-- Sums by month, for questions that would read millions of rows. An idle worker keeps them, beside the way of the data.
-- A month whose stamp is not that of its receipts is summed from its rows when somebody asks: no reader sees an old sum.

CREATE TABLE rollups (
    site_id integer NOT NULL REFERENCES sites,
    month date NOT NULL,
    stamp numeric NOT NULL,
    rolled_at timestamptz NOT NULL DEFAULT now(),
    search_type text COLLATE "C" NOT NULL,
    PRIMARY KEY (site_id, search_type, month)
);
COMMENT ON TABLE rollups IS 'Months that month_queries and month_pages have sums of.';
COMMENT ON COLUMN rollups.stamp IS
    'Sum of the tokens of the month''s receipts as of then; each publication raises a token, so an old stamp shows.';

CREATE TABLE month_queries (
    site_id integer NOT NULL,
    month date NOT NULL,
    clicks bigint NOT NULL,
    impressions bigint NOT NULL,
    position double precision,
    search_type text COLLATE "C" NOT NULL,
    query text COLLATE "C" NOT NULL
);
CREATE INDEX month_queries_month ON month_queries (site_id, search_type, month);
COMMENT ON TABLE month_queries IS 'Sums of query_page by query and month. Read the view monthly_queries instead.';

CREATE TABLE month_pages (
    site_id integer NOT NULL,
    month date NOT NULL,
    clicks bigint NOT NULL,
    impressions bigint NOT NULL,
    position double precision,
    search_type text COLLATE "C" NOT NULL,
    page text COLLATE "C" NOT NULL
);
CREATE INDEX month_pages_month ON month_pages (site_id, search_type, month);
COMMENT ON TABLE month_pages IS 'Sums of query_page by page and month. Read the view monthly_pages instead.';

CREATE VIEW months AS
SELECT site_id, site_url, search_type, month, days, held.stamp, rollups.stamp IS NOT DISTINCT FROM held.stamp AS rolled_up
FROM (
    SELECT site_id, search_type, date_trunc('month', date)::date AS month, count(*) AS days, sum(token) AS stamp
    FROM receipts WHERE report = 'query_page'
    GROUP BY 1, 2, 3
) AS held
JOIN sites USING (site_id)
LEFT JOIN rollups USING (site_id, search_type, month);
COMMENT ON VIEW months IS 'Each month of which search_analytics holds days.';
COMMENT ON COLUMN months.site_id IS 'Number of the property within this schema.';
COMMENT ON COLUMN months.site_url IS 'Search Console property, as Google spells it.';
COMMENT ON COLUMN months.search_type IS 'web, image, video, news, discover or googleNews.';
COMMENT ON COLUMN months.month IS 'Its first date.';
COMMENT ON COLUMN months.days IS 'Published dates; fewer than the month has where some are missing or yet to come.';
COMMENT ON COLUMN months.stamp IS 'Changes with each publication.';
COMMENT ON COLUMN months.rolled_up IS 'Sums are ready; if not, monthly_queries and monthly_pages read the rows.';

CREATE VIEW monthly_queries AS
SELECT site_url, search_type, month, query, clicks, impressions,
       clicks / nullif(impressions, 0)::double precision AS ctr, position
FROM months JOIN month_queries USING (site_id, search_type, month)
WHERE rolled_up
UNION ALL
SELECT site_url, search_type, month, query, clicks, impressions,
       clicks / nullif(impressions, 0)::double precision, position
FROM months CROSS JOIN LATERAL (
    SELECT query, sum(clicks)::bigint AS clicks, sum(impressions)::bigint AS impressions,
           sum(position * impressions) / nullif(sum(impressions) FILTER (WHERE position IS NOT NULL), 0) AS position
    FROM query_page AS held
    WHERE held.site_id = months.site_id AND held.search_type = months.search_type
        AND held.date >= month AND held.date < month + interval '1 month'
    GROUP BY query
) AS summed
WHERE NOT rolled_up;
COMMENT ON VIEW monthly_queries IS
    'Sums of search_analytics by query and month, whichever pages, countries and devices. Rare queries are not in it.';
COMMENT ON COLUMN monthly_queries.site_url IS 'Search Console property, as Google spells it.';
COMMENT ON COLUMN monthly_queries.search_type IS 'web, image, video, news, discover or googleNews.';
COMMENT ON COLUMN monthly_queries.month IS 'Its first date, Pacific time.';
COMMENT ON COLUMN monthly_queries.query IS 'What was searched for.';
COMMENT ON COLUMN monthly_queries.clicks IS 'Sum of the month.';
COMMENT ON COLUMN monthly_queries.impressions IS 'Sum of the month; a result with several pages counts for each.';
COMMENT ON COLUMN monthly_queries.ctr IS 'Clicks by impressions, of the sums.';
COMMENT ON COLUMN monthly_queries.position IS 'Mean position, weighted by impressions, from 1; null for discover and googleNews.';

CREATE VIEW monthly_pages AS
SELECT site_url, search_type, month, page, clicks, impressions,
       clicks / nullif(impressions, 0)::double precision AS ctr, position
FROM months JOIN month_pages USING (site_id, search_type, month)
WHERE rolled_up
UNION ALL
SELECT site_url, search_type, month, page, clicks, impressions,
       clicks / nullif(impressions, 0)::double precision, position
FROM months CROSS JOIN LATERAL (
    SELECT page, sum(clicks)::bigint AS clicks, sum(impressions)::bigint AS impressions,
           sum(position * impressions) / nullif(sum(impressions) FILTER (WHERE position IS NOT NULL), 0) AS position
    FROM query_page AS held
    WHERE held.site_id = months.site_id AND held.search_type = months.search_type
        AND held.date >= month AND held.date < month + interval '1 month'
    GROUP BY page
) AS summed
WHERE NOT rolled_up;
COMMENT ON VIEW monthly_pages IS
    'Sums of search_analytics by page and month, whichever queries, countries and devices. Rare queries are not in it.';
COMMENT ON COLUMN monthly_pages.site_url IS 'Search Console property, as Google spells it.';
COMMENT ON COLUMN monthly_pages.search_type IS 'web, image, video, news, discover or googleNews.';
COMMENT ON COLUMN monthly_pages.month IS 'Its first date, Pacific time.';
COMMENT ON COLUMN monthly_pages.page IS 'URL.';
COMMENT ON COLUMN monthly_pages.clicks IS 'Sum of the month.';
COMMENT ON COLUMN monthly_pages.impressions IS 'Sum of the month; each query that showed the page counts.';
COMMENT ON COLUMN monthly_pages.ctr IS 'Clicks by impressions, of the sums.';
COMMENT ON COLUMN monthly_pages.position IS 'Mean position, weighted by impressions, from 1; null for discover and googleNews.';
