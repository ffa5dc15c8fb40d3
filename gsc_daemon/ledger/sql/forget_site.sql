DELETE FROM site WHERE site = :site
-- :days
SELECT count(*) FROM day WHERE site_id = (SELECT site_id FROM site WHERE site = :site)
-- :items
DELETE FROM item WHERE day_id IN (SELECT day_id FROM day WHERE site_id = (SELECT site_id FROM site WHERE site = :site))
-- :tally
DELETE FROM tally WHERE site_id NOT IN (SELECT site_id FROM site)
