-- The reports that have a relation: a view of the report's name, on the table NAME_rows.
CREATE TABLE reports (
    name text COLLATE "C" PRIMARY KEY,
    dimensions text[] NOT NULL,
    filters text[] NOT NULL DEFAULT '{}',
    aggregation text NOT NULL DEFAULT 'auto',
    made_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE reports IS 'The reports that have a relation, wanted now or not.';
INSERT INTO reports (name, dimensions) VALUES ('query_page', '{query,page,country,device}'), ('totals', '{}');
