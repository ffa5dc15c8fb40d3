SELECT coalesce(sum(queries), 0) FROM send WHERE at_ms > :after AND at_ms <= :now
