INSERT INTO reports (name, dimensions, filters, aggregation)
VALUES (%(name)s, %(dimensions)s, %(filters)s, %(aggregation)s)
