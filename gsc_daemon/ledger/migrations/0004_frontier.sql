-- Up to which date Google calls its data final, by property and search type.
CREATE TABLE frontier (
    site_id INTEGER NOT NULL REFERENCES site ON DELETE CASCADE,
    search_type TEXT NOT NULL CHECK (search_type <> ''),
    newest_final TEXT CHECK (newest_final IS strftime('%Y-%m-%d', newest_final)),  -- nothing: Google has not said
    told_ms INTEGER,  -- when it said so
    due_ms INTEGER NOT NULL,  -- when it is asked again
    PRIMARY KEY (site_id, search_type)
) STRICT, WITHOUT ROWID;
