SELECT pg_try_advisory_xact_lock('rollups'::regclass::oid::bigint)
