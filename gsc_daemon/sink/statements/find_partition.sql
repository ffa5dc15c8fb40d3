SELECT EXISTS (
    SELECT FROM pg_inherits WHERE inhparent = {rows}::regclass AND inhrelid = to_regclass(%(partition)s)
)
