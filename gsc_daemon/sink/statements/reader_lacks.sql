-- Views that the role cannot read yet; the schema itself as NULL; nothing without such a role.
SELECT relname FROM pg_class, pg_roles
WHERE rolname = %(role)s AND relnamespace = current_schema()::regnamespace AND relkind = 'v'
    AND NOT has_table_privilege(pg_roles.oid, pg_class.oid, 'SELECT')
UNION ALL
SELECT NULL FROM pg_roles WHERE rolname = %(role)s AND NOT has_schema_privilege(oid, current_schema(), 'USAGE')
