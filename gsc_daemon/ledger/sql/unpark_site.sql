UPDATE site SET parked = NULL, parked_until_ms = NULL, load_until_ms = 0 WHERE site = :site AND parked IS NOT NULL
