SELECT name, dimensions, filters, aggregation FROM reports ORDER BY made_at, name
