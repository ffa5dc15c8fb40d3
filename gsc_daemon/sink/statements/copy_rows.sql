COPY {rows} ({columns}, site_id, date, search_type, fetched_at) FROM STDIN (FORMAT binary)
