UPDATE site SET load_until_ms = :until WHERE site = :site
-- :last
SELECT load_until_ms FROM site WHERE site = :site
