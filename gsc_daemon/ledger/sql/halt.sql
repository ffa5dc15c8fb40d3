UPDATE control SET reason = :reason, by = :by, since_ms = iif(halted, since_ms, :now), halted = 1
-- :resume
UPDATE control SET reason = '', by = :by, since_ms = :now, halted = 0 WHERE halted
-- :state
SELECT halted, reason, by, since_ms FROM control
