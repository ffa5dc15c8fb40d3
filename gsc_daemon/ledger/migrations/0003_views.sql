-- What a person reads in sqlite3. All times are UTC.

CREATE VIEW progress AS
SELECT site,
       coalesce(sum(n) FILTER (WHERE tally.state <> 'cancelled'), 0) AS days_wanted,
       coalesce(sum(n) FILTER (WHERE tally.state = 'published'), 0) AS published,
       coalesce(sum(n) FILTER (WHERE tally.state IN ('planned', 'queued')), 0) AS to_do,
       coalesce(sum(n) FILTER (WHERE tally.state = 'quarantined'), 0) AS quarantined,
       (SELECT min(date) FROM day WHERE day.site_id = site.site_id AND published_generation > 0) AS oldest,
       (SELECT max(date) FROM day WHERE day.site_id = site.site_id AND published_generation > 0) AS newest,
       coalesce(parked, '') AS parked,
       CASE WHEN parked IS NULL THEN ''
            ELSE coalesce(strftime('%Y-%m-%d %H:%M:%S', parked_until_ms / 1000, 'unixepoch'), 'unparked by hand')
       END AS parked_until,
       permission,
       CASE WHEN served_ms > 0 THEN strftime('%Y-%m-%d %H:%M:%S', served_ms / 1000, 'unixepoch') ELSE '' END AS last_served
FROM site LEFT JOIN tally ON tally.site_id = site.site_id AND what = 'day'
GROUP BY site.site_id ORDER BY site;

CREATE VIEW days AS
SELECT day_id, site, report, search_type, date, day.state, priority, generation, wanted_generation, published_generation,
       held, row_count, truncated, overlap, kept, allow_loss,
       strftime('%Y-%m-%d %H:%M:%S', published_ms / 1000, 'unixepoch') AS published_at,
       strftime('%Y-%m-%d %H:%M:%S', changed_ms / 1000, 'unixepoch') AS changed_at
FROM day JOIN site USING (site_id);

CREATE TRIGGER days_by_hand INSTEAD OF UPDATE ON days BEGIN
    SELECT RAISE(ABORT, 'of days only state and priority can be changed')
     WHERE (NEW.day_id, NEW.site, NEW.report, NEW.search_type, NEW.date, NEW.generation, NEW.wanted_generation,
            NEW.published_generation, NEW.held, NEW.row_count, NEW.truncated, NEW.overlap, NEW.kept, NEW.allow_loss)
        IS NOT (OLD.day_id, OLD.site, OLD.report, OLD.search_type, OLD.date, OLD.generation, OLD.wanted_generation,
            OLD.published_generation, OLD.held, OLD.row_count, OLD.truncated, OLD.overlap, OLD.kept, OLD.allow_loss);
    UPDATE day SET state = NEW.state, priority = NEW.priority WHERE day_id = OLD.day_id;
    UPDATE item SET priority = NEW.priority WHERE day_id = OLD.day_id AND priority <> NEW.priority;
END;

CREATE VIEW items AS
SELECT item_id, site, report, search_type, date, part, start_row, item.state, item.priority, generation,
       strftime('%Y-%m-%d %H:%M:%S', not_before_ms / 1000, 'unixepoch') AS not_before,
       token, worker_id, claims, failures, crashes, refetches, error,
       strftime('%Y-%m-%d %H:%M:%S', item.changed_ms / 1000, 'unixepoch') AS changed_at
FROM item JOIN day USING (day_id) JOIN site ON site.site_id = day.site_id;

CREATE TRIGGER items_by_hand INSTEAD OF UPDATE ON items BEGIN
    SELECT RAISE(ABORT, 'of items only state can be changed')
     WHERE (NEW.item_id, NEW.site, NEW.report, NEW.search_type, NEW.date, NEW.part, NEW.start_row, NEW.generation,
            NEW.priority, NEW.token, NEW.worker_id, NEW.claims, NEW.failures, NEW.crashes, NEW.refetches)
        IS NOT (OLD.item_id, OLD.site, OLD.report, OLD.search_type, OLD.date, OLD.part, OLD.start_row, OLD.generation,
            OLD.priority, OLD.token, OLD.worker_id, OLD.claims, OLD.failures, OLD.crashes, OLD.refetches);
    UPDATE item SET state = NEW.state, not_before_ms = NULL WHERE item_id = OLD.item_id;
END;

CREATE VIEW leases AS
SELECT token, site, worker_id, slot, pid, count(*) AS items, sum(active_ms IS NOT NULL) AS sent,
       round(min(lease_until_ms) / 1000.0 - (julianday('now') - 2440587.5) * 86400, 1) AS seconds_left
FROM item JOIN worker USING (worker_id) JOIN site USING (site_id)
WHERE state = 'leased' GROUP BY token ORDER BY token;

CREATE VIEW quarantine AS
SELECT site, date, report, search_type, error, failures, crashes,
       strftime('%Y-%m-%d %H:%M:%S', error_ms / 1000, 'unixepoch') AS since, item_id
FROM item JOIN day USING (day_id) JOIN site ON site.site_id = day.site_id
WHERE item.state = 'quarantined' ORDER BY error_ms DESC;

CREATE VIEW queue AS
SELECT what || 's' AS what, state, sum(n) AS number FROM tally GROUP BY what, state HAVING sum(n) > 0 ORDER BY what, state;

CREATE VIEW qpm AS
SELECT strftime('%Y-%m-%d %H:%M', at_ms / 1000, 'unixepoch') AS minute, site, sum(queries) AS queries
FROM send WHERE at_ms > ((julianday('now') - 2440587.5) * 86400 - 3600) * 1000
GROUP BY minute, site ORDER BY minute DESC, site;

CREATE VIEW halt AS
SELECT iif(halted, 'halted', 'going') AS work, reason, by,
       CASE WHEN since_ms > 0 THEN strftime('%Y-%m-%d %H:%M:%S', since_ms / 1000, 'unixepoch') ELSE '' END AS since
FROM control;

CREATE VIEW workers AS
SELECT worker_id, slot, pid, strftime('%Y-%m-%d %H:%M:%S', since_ms / 1000, 'unixepoch') AS since,
       coalesce(strftime('%Y-%m-%d %H:%M:%S', gone_ms / 1000, 'unixepoch'), '') AS gone, coalesce(gone_note, '') AS note
FROM worker ORDER BY worker_id DESC;

CREATE VIEW outages AS
SELECT service, strftime('%Y-%m-%d %H:%M:%S', since_ms / 1000, 'unixepoch') AS since, note FROM outage ORDER BY service;

CREATE VIEW changes AS
SELECT strftime('%Y-%m-%d %H:%M:%f', at_ms / 1000.0, 'unixepoch') AS at, what, site, date, report, search_type, start_row,
       from_state, to_state, history.generation, token, worker_id, by, note
FROM history LEFT JOIN site USING (site_id) LEFT JOIN day USING (day_id) ORDER BY history_id DESC;
