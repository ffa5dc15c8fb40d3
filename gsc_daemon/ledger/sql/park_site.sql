UPDATE site SET parked = :reason, parked_until_ms = :until, parked_for = :why
WHERE site = :site AND (:until IS NULL OR parked IS NULL OR parked_until_ms < :until)
