SELECT qpm, changed_ms FROM pace WHERE credential = :credential
-- :save
INSERT INTO pace VALUES (:credential, :qpm, :changed_ms)
ON CONFLICT DO UPDATE SET qpm = excluded.qpm, changed_ms = excluded.changed_ms
