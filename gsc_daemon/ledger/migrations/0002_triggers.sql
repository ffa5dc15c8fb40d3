-- What no hand may do and what follows from the rest; counters and history, so that a change by hand has them as well.

CREATE TRIGGER fence_rises BEFORE UPDATE ON fence WHEN NEW.token < OLD.token
BEGIN SELECT RAISE(ABORT, 'a token never goes down: workers that hold a lower one would come back to life'); END;

CREATE TRIGGER generation_rises BEFORE UPDATE OF generation ON day WHEN NEW.generation < OLD.generation
BEGIN SELECT RAISE(ABORT, 'a generation never goes down: what Postgres holds would be taken for the answer'); END;

-- changes by hand: what may not be, and what follows from the rest

CREATE TRIGGER item_by_hand_checked BEFORE UPDATE OF state ON item
WHEN NEW.version = OLD.version AND NEW.state <> OLD.state BEGIN
    SELECT RAISE(IGNORE) WHERE OLD.start_row > 0;  -- later items follow the first one of their day
    SELECT RAISE(ABORT, 'the item is leased: its worker would be working on it still. `gscd halt --wait` gives it back first')
     WHERE OLD.state = 'leased';
    SELECT RAISE(ABORT, 'only a worker leases an item. Set it to ready')
     WHERE NEW.state = 'leased';
    SELECT RAISE(ABORT, 'an item is done when Postgres holds its day, which only gscd can see. Set it to cancelled')
     WHERE NEW.state = 'done';
    SELECT RAISE(ABORT, 'its day is published: what is held stays. Set it to ready to have it fetched again')
     WHERE NEW.state IN ('cancelled', 'quarantined', 'waiting') AND OLD.state = 'done';
    SELECT RAISE(ABORT, 'a cancelled item can only be made ready')
     WHERE NEW.state IN ('quarantined', 'waiting') AND OLD.state = 'cancelled';
END;
CREATE TRIGGER item_by_hand_ready AFTER UPDATE OF state ON item
WHEN NEW.version = OLD.version AND NEW.state = 'ready' AND OLD.state <> 'ready' BEGIN
    UPDATE item SET failures = 0, crashes = 0, refetches = 0, alone = 0, error = NULL, error_ms = NULL
     WHERE item_id = NEW.item_id;
    UPDATE day SET version = version + 1, state = 'queued',  -- a new generation: fetched, and not adopted
           generation = generation + (state <> 'planned'),
           wanted_generation = generation + (state <> 'planned')
     WHERE day_id = NEW.day_id AND state <> 'queued';
END;
CREATE TRIGGER item_by_hand_waiting AFTER UPDATE OF state ON item
WHEN NEW.version = OLD.version AND NEW.state = 'waiting' AND OLD.state = 'quarantined' BEGIN
    UPDATE item SET failures = 0, crashes = 0, refetches = 0, alone = 0 WHERE item_id = NEW.item_id;
    UPDATE day SET version = version + 1, state = 'queued' WHERE day_id = NEW.day_id;
END;
CREATE TRIGGER item_by_hand_set_aside AFTER UPDATE OF state ON item
WHEN NEW.version = OLD.version AND NEW.state IN ('cancelled', 'quarantined') AND OLD.state <> NEW.state BEGIN
    UPDATE item SET version = version + 1, state = 'done', error = NULL, error_ms = NULL
     WHERE item_id = NEW.item_id AND NEW.state = 'cancelled' AND done_generation > 0;
    UPDATE day SET version = version + 1, wanted_generation = generation,
           state = CASE WHEN NEW.state = 'cancelled' AND published_generation > 0 THEN 'published' ELSE NEW.state END
     WHERE day_id = NEW.day_id;
END;

CREATE TRIGGER day_by_hand_checked BEFORE UPDATE OF state ON day
WHEN NEW.version = OLD.version AND NEW.state <> OLD.state BEGIN
    SELECT RAISE(ABORT, 'a worker holds the day. `gscd halt --wait` gives it back first')
     WHERE EXISTS (SELECT 1 FROM item WHERE day_id = OLD.day_id AND state = 'leased');
    SELECT RAISE(ABORT, 'by hand a day can be set to planned or cancelled; the rest is for gscd to find out')
     WHERE NEW.state NOT IN ('planned', 'cancelled');
    SELECT RAISE(ABORT, 'the day is published: what is held stays. `gscd sites forget` removes a site')
     WHERE NEW.state = 'cancelled' AND OLD.state = 'published';
END;
CREATE TRIGGER day_by_hand_planned AFTER UPDATE OF state ON day
WHEN NEW.version = OLD.version AND NEW.state = 'planned' AND OLD.state <> 'planned' BEGIN
    DELETE FROM item WHERE day_id = NEW.day_id AND done_generation = 0;
    UPDATE item SET version = version + 1, state = 'done', not_before_ms = NULL, error = NULL, error_ms = NULL
     WHERE day_id = NEW.day_id;
    UPDATE day SET version = version + 1, generation = generation + 1, wanted_generation = generation + 1
     WHERE day_id = NEW.day_id;
END;
CREATE TRIGGER day_by_hand_cancelled AFTER UPDATE OF state ON day
WHEN NEW.version = OLD.version AND NEW.state = 'cancelled' AND OLD.state <> 'cancelled' BEGIN
    UPDATE item SET version = version + 1, not_before_ms = NULL, error = NULL, error_ms = NULL,
           state = iif(done_generation > 0, 'done', 'cancelled')
     WHERE day_id = NEW.day_id AND state IN ('ready', 'waiting', 'quarantined');
    UPDATE day SET version = version + 1, wanted_generation = generation,
           state = iif(published_generation > 0, 'published', 'cancelled')
     WHERE day_id = NEW.day_id;
END;

-- counters

CREATE TRIGGER day_counted AFTER INSERT ON day BEGIN
    INSERT INTO tally VALUES (NEW.site_id, 'day', NEW.state, 1) ON CONFLICT DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER day_recounted AFTER UPDATE OF state ON day WHEN NEW.state <> OLD.state BEGIN
    INSERT INTO tally VALUES (OLD.site_id, 'day', OLD.state, -1) ON CONFLICT DO UPDATE SET n = n - 1;
    INSERT INTO tally VALUES (NEW.site_id, 'day', NEW.state, 1) ON CONFLICT DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER day_uncounted AFTER DELETE ON day BEGIN
    INSERT INTO tally VALUES (OLD.site_id, 'day', OLD.state, -1) ON CONFLICT DO UPDATE SET n = n - 1;
END;
CREATE TRIGGER item_counted AFTER INSERT ON item BEGIN
    INSERT INTO tally VALUES (NEW.site_id, 'item', NEW.state, 1) ON CONFLICT DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER item_recounted AFTER UPDATE OF state ON item WHEN NEW.state <> OLD.state BEGIN
    INSERT INTO tally VALUES (OLD.site_id, 'item', OLD.state, -1) ON CONFLICT DO UPDATE SET n = n - 1;
    INSERT INTO tally VALUES (NEW.site_id, 'item', NEW.state, 1) ON CONFLICT DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER item_uncounted AFTER DELETE ON item BEGIN
    INSERT INTO tally VALUES (OLD.site_id, 'item', OLD.state, -1) ON CONFLICT DO UPDATE SET n = n - 1;
END;

-- history; made last, these triggers fire first, so that what follows from a change is recorded after it

CREATE TRIGGER day_history AFTER UPDATE OF state ON day WHEN NEW.state <> OLD.state BEGIN
    INSERT INTO history (at_ms, what, site_id, day_id, from_state, to_state, generation, by)
    VALUES (CASE WHEN NEW.version > OLD.version THEN NEW.changed_ms
                 ELSE CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) END,
            'day', NEW.site_id, NEW.day_id, OLD.state, NEW.state, NEW.generation,
            iif(NEW.version > OLD.version, 'gscd', 'by hand'));
END;
CREATE TRIGGER item_history AFTER UPDATE OF state ON item WHEN NEW.state <> OLD.state BEGIN
    INSERT INTO history (at_ms, what, site_id, day_id, start_row, from_state, to_state, token, worker_id, by, note)
    VALUES (CASE WHEN NEW.version > OLD.version THEN NEW.changed_ms
                 ELSE CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) END,
            'item', NEW.site_id, NEW.day_id, NEW.start_row, OLD.state, NEW.state,
            coalesce(NEW.token, OLD.token), coalesce(NEW.worker_id, OLD.worker_id),
            iif(NEW.version > OLD.version, 'gscd', 'by hand'),
            iif(NEW.error IS NOT OLD.error, NEW.error, NULL));
END;
CREATE TRIGGER site_history AFTER UPDATE OF parked ON site WHEN (NEW.parked IS NULL) <> (OLD.parked IS NULL) BEGIN
    INSERT INTO history (at_ms, what, site_id, from_state, to_state, note)
    VALUES (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER), 'site', NEW.site_id,
            iif(OLD.parked IS NULL, 'open', 'parked'), iif(NEW.parked IS NULL, 'open', 'parked'), NEW.parked);
END;
CREATE TRIGGER halt_history AFTER UPDATE OF halted ON control WHEN NEW.halted <> OLD.halted BEGIN
    INSERT INTO history (at_ms, what, from_state, to_state, by, note)
    VALUES (NEW.since_ms, 'halt', iif(OLD.halted, 'halted', 'going'), iif(NEW.halted, 'halted', 'going'),
            NEW.by, NEW.reason);
END;
