-- Days that came back empty, although something else says that there is something.
ALTER TABLE day ADD COLUMN empty_asks INTEGER NOT NULL DEFAULT 0 CHECK (empty_asks BETWEEN 0 AND 7);  -- asked again so often
ALTER TABLE day ADD COLUMN asked_again_ms INTEGER;  -- the last time
ALTER TABLE day ADD COLUMN suspect INTEGER NOT NULL DEFAULT 0 CHECK (suspect IN (0, 1));  -- empty the last time too
CREATE INDEX day_empty ON day (site_id) WHERE state = 'published' AND held = 'final' AND (row_count = 0 OR kept = 1);

DROP VIEW days;  -- and its trigger
CREATE VIEW days AS
SELECT day_id, site, report, search_type, date, day.state, priority, generation, wanted_generation, published_generation,
       held, row_count, truncated, overlap, kept, suspect, empty_asks, allow_loss,
       strftime('%Y-%m-%d %H:%M:%S', published_ms / 1000, 'unixepoch') AS published_at,
       strftime('%Y-%m-%d %H:%M:%S', changed_ms / 1000, 'unixepoch') AS changed_at
FROM day JOIN site USING (site_id);

CREATE TRIGGER days_by_hand INSTEAD OF UPDATE ON days BEGIN
    SELECT RAISE(ABORT, 'of days only state and priority can be changed')
     WHERE (NEW.day_id, NEW.site, NEW.report, NEW.search_type, NEW.date, NEW.generation, NEW.wanted_generation,
            NEW.published_generation, NEW.held, NEW.row_count, NEW.truncated, NEW.overlap, NEW.kept, NEW.suspect,
            NEW.empty_asks, NEW.allow_loss)
        IS NOT (OLD.day_id, OLD.site, OLD.report, OLD.search_type, OLD.date, OLD.generation, OLD.wanted_generation,
            OLD.published_generation, OLD.held, OLD.row_count, OLD.truncated, OLD.overlap, OLD.kept, OLD.suspect,
            OLD.empty_asks, OLD.allow_loss);
    UPDATE day SET state = NEW.state, priority = NEW.priority WHERE day_id = OLD.day_id;
    UPDATE item SET priority = NEW.priority WHERE day_id = OLD.day_id AND priority <> NEW.priority;
END;
