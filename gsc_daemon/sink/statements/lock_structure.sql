-- One at a time changes what relations there are in this schema, even before it is there.
SELECT pg_advisory_xact_lock(hashtextextended('gscd structure of ' || current_setting('search_path'), 0))
