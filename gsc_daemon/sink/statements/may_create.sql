SELECT CASE
    WHEN space.oid IS NULL THEN has_database_privilege(current_database(), 'CREATE')
    ELSE has_schema_privilege(space.oid, 'CREATE')
END AND NOT EXISTS (
    SELECT FROM pg_class
    WHERE relnamespace = space.oid AND relname = 'query_page' AND NOT pg_has_role(relowner, 'USAGE')
)
FROM (SELECT) AS always LEFT JOIN pg_namespace AS space ON space.nspname = %(schema)s
