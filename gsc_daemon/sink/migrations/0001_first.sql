COMMENT ON TABLE migrations IS 'Versions of this schema, as gscd applied them.';

CREATE TABLE sites (
    site_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    site_url text COLLATE "C" NOT NULL UNIQUE
);
COMMENT ON TABLE sites IS 'Search Console properties, as Google spells them.';

CREATE TABLE owner (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    ledger_id text NOT NULL,
    since timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE owner IS 'The one ledger that feeds this schema; gscd run --take-over changes it.';

CREATE TABLE receipts (
    site_id integer NOT NULL REFERENCES sites,
    date date NOT NULL,
    token bigint NOT NULL,
    row_count bigint NOT NULL DEFAULT 0 CHECK (row_count >= 0),
    clicks bigint NOT NULL DEFAULT 0,
    impressions bigint NOT NULL DEFAULT 0,
    published_at timestamptz NOT NULL DEFAULT now(),
    checked_at timestamptz NOT NULL DEFAULT now(),
    generation integer NOT NULL,
    doubles integer NOT NULL DEFAULT 0,
    replaced integer NOT NULL DEFAULT 0,
    truncated boolean NOT NULL DEFAULT false,
    overlap boolean NOT NULL DEFAULT false,
    kept boolean NOT NULL DEFAULT false,
    report text COLLATE "C" NOT NULL,
    search_type text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL CHECK (state IN ('provisional', 'final')),
    PRIMARY KEY (site_id, report, search_type, date)
);
CREATE INDEX receipts_token ON receipts (token);
COMMENT ON TABLE receipts IS
    'One row for each published day, written in the transaction of its rows. Read the view days instead.';
COMMENT ON COLUMN receipts.token IS 'Fencing token of the batch that published; an older one can publish nothing more.';
COMMENT ON COLUMN receipts.doubles IS 'Rows dropped because an earlier response of the same day had their key.';
COMMENT ON COLUMN receipts.replaced IS 'Characters that text cannot hold (NUL, lone surrogates), each made U+FFFD.';
COMMENT ON COLUMN receipts.kept IS 'The last fetch gave nothing; the rows of an earlier generation were kept.';

-- Each report has a relation of its name. Fixed widths stand first, so that nothing is lost to alignment.
CREATE TABLE query_page (
    site_id integer NOT NULL,
    date date NOT NULL,
    clicks bigint NOT NULL,
    impressions bigint NOT NULL,
    ctr double precision NOT NULL,
    position double precision,
    fetched_at timestamptz NOT NULL,
    search_type text COLLATE "C" NOT NULL,
    key bytea NOT NULL,
    query text COLLATE "C" NOT NULL,
    page text COLLATE "C" NOT NULL,
    country text COLLATE "C" NOT NULL,
    device text COLLATE "C" NOT NULL,
    PRIMARY KEY (site_id, date, search_type, key)
) PARTITION BY RANGE (date);
COMMENT ON TABLE query_page IS
    'Rows of the report query_page, a partition a month. Read the view search_analytics instead.';
COMMENT ON COLUMN query_page.key IS
    '16-byte BLAKE2b of the dimension values, each preceded by its length in UTF-8 bytes (4 bytes, big-endian).';

CREATE TABLE totals (
    site_id integer NOT NULL,
    date date NOT NULL,
    clicks bigint NOT NULL,
    impressions bigint NOT NULL,
    ctr double precision NOT NULL,
    position double precision,
    fetched_at timestamptz NOT NULL,
    search_type text COLLATE "C" NOT NULL,
    key bytea NOT NULL,
    PRIMARY KEY (site_id, date, search_type, key)
);
COMMENT ON TABLE totals IS 'Rows of the report totals: figures of the whole property, one row a day and search type.';

CREATE VIEW search_analytics AS
SELECT site_url, search_type, date, query, page, country, device, clicks, impressions, ctr, position, fetched_at
FROM query_page JOIN sites USING (site_id);
COMMENT ON VIEW search_analytics IS
    'Search performance by query, page, country and device: published rows only, one for each key. Filter by date '
    'where you can; the view days says which days are there and how far they can be trusted.';
COMMENT ON COLUMN search_analytics.site_url IS 'Search Console property, as Google spells it.';
COMMENT ON COLUMN search_analytics.search_type IS 'web, image, video, news, discover or googleNews.';
COMMENT ON COLUMN search_analytics.date IS 'Google''s date, in Pacific time.';
COMMENT ON COLUMN search_analytics.query IS 'What was searched for. Google leaves out rare queries.';
COMMENT ON COLUMN search_analytics.page IS 'URL.';
COMMENT ON COLUMN search_analytics.country IS 'ISO 3166-1 alpha-3, in lower case; zzz where unknown.';
COMMENT ON COLUMN search_analytics.device IS 'DESKTOP, MOBILE or TABLET.';
COMMENT ON COLUMN search_analytics.ctr IS 'Clicks by impressions, from 0 to 1.';
COMMENT ON COLUMN search_analytics.position IS 'Mean position, from 1; null for discover and googleNews.';
COMMENT ON COLUMN search_analytics.fetched_at IS 'When this row was last seen to change.';

CREATE VIEW days AS
SELECT site_url, held.report, held.search_type, held.date, held.generation, held.state,
       held.row_count, held.clicks AS row_clicks, held.impressions AS row_impressions,
       whole.clicks AS total_clicks, whole.impressions AS total_impressions,
       held.truncated, held.overlap, held.published_at, held.checked_at
FROM receipts AS held
JOIN sites USING (site_id)
LEFT JOIN receipts AS whole
    ON whole.site_id = held.site_id AND whole.report = 'totals'
    AND whole.search_type = held.search_type AND whole.date = held.date;
COMMENT ON VIEW days IS 'What is there, a row for each published day, and how far it can be trusted.';
COMMENT ON COLUMN days.report IS 'A named list of dimensions; search_analytics shows query_page.';
COMMENT ON COLUMN days.date IS 'Google''s date, in Pacific time.';
COMMENT ON COLUMN days.generation IS 'Rises each time that the day was fetched afresh.';
COMMENT ON COLUMN days.state IS 'provisional: Google may still change it; final: it stays.';
COMMENT ON COLUMN days.row_clicks IS 'Clicks summed over the rows.';
COMMENT ON COLUMN days.row_impressions IS 'Impressions summed over the rows.';
COMMENT ON COLUMN days.total_clicks IS
    'Clicks of the whole property, rare queries included; null where the report totals was not fetched.';
COMMENT ON COLUMN days.total_impressions IS
    'Impressions of the whole property, rare queries included; null where the report totals was not fetched.';
COMMENT ON COLUMN days.truncated IS 'Google gave as many rows as it ever gives for a day (50,000): there were more.';
COMMENT ON COLUMN days.overlap IS 'Responses overlapped at every try, so some rows may be missing.';
COMMENT ON COLUMN days.published_at IS 'When these rows became visible.';
COMMENT ON COLUMN days.checked_at IS 'When the day was last fetched.';
