-- :due
SELECT due_ms <= :now OR due_ms > :now + :every FROM chore WHERE name = :name
-- :set
INSERT INTO chore VALUES (:name, :due) ON CONFLICT DO UPDATE SET due_ms = excluded.due_ms
-- :renew
UPDATE chore SET due_ms = 0 WHERE substr(name, 1, length(:prefix)) = :prefix
