SELECT current_setting('server_version_num')::integer AS version,
       split_part(current_setting('server_version'), ' ', 1) AS version_text,
       pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean AS read_only,
       getdatabaseencoding() AS encoding,
       current_database() AS database,
       current_user AS role,
       (SELECT oid FROM pg_namespace WHERE nspname = %(schema)s) AS schema_oid,
       to_regclass('migrations') IS NOT NULL AS made
