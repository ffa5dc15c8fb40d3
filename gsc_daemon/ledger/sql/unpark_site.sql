UPDATE site SET parked = NULL, parked_until_ms = NULL, load_until_ms = 0 WHERE site = :site AND parked IS NOT NULL
-- :again
UPDATE site SET parked = NULL, parked_until_ms = NULL WHERE site = :site AND parked_for IS NOT NULL
