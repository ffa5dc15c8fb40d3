UPDATE item SET active_ms = :now, lease_until_ms = :until
WHERE item_id IN (SELECT value FROM json_each(:items)) AND state = 'leased' AND token = :token
-- :sends
INSERT INTO send (at_ms, site, credential, queries) VALUES (?, ?, ?, ?)
