-- As query_page: fixed widths stand first, so that nothing is lost to alignment.
CREATE TABLE {rows} (
    site_id integer NOT NULL,
    date date NOT NULL,
    clicks bigint NOT NULL,
    impressions bigint NOT NULL,
    ctr double precision NOT NULL,
    position double precision,
    fetched_at timestamptz NOT NULL,
    search_type text COLLATE "C" NOT NULL,
    key bytea NOT NULL{texts},
    PRIMARY KEY (site_id, date, search_type, key)
) {partitioned}
