-- :add
INSERT INTO site (site) VALUES (:site) ON CONFLICT DO NOTHING
-- :find
SELECT site_id FROM site WHERE site = :site
-- :parked_for
SELECT parked_for FROM site WHERE site = :site
