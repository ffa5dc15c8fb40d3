SELECT coalesce(sum(pg_total_relation_size(pg_class.oid)), 0)::bigint
FROM pg_class JOIN pg_namespace AS space ON space.oid = relnamespace
WHERE space.nspname = %(schema)s AND relkind = 'r'
