-- Whether the newest final day of a site moves on, as the coordinator watches it.
ALTER TABLE site ADD COLUMN frontier TEXT CHECK (frontier IS strftime('%Y-%m-%d', frontier));  -- that day
ALTER TABLE site ADD COLUMN moved_ms INTEGER;  -- when it last moved, or the watch began anew
ALTER TABLE site ADD COLUMN watched_ms INTEGER;
ALTER TABLE site ADD COLUMN stalled INTEGER NOT NULL DEFAULT 0 CHECK (stalled IN (0, 1));
