SELECT service, since_ms, note FROM outage ORDER BY service
-- :note
INSERT INTO outage VALUES (:service, :now, :note) ON CONFLICT DO UPDATE SET note = excluded.note
-- :clear
DELETE FROM outage WHERE service = :service
