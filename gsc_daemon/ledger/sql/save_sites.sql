INSERT INTO site (site, credential, permission) VALUES (:site, :credential, :permission)
ON CONFLICT (site) DO UPDATE SET credential = excluded.credential, permission = excluded.permission
WHERE credential <> excluded.credential OR permission <> excluded.permission
-- :listed
SELECT site FROM site WHERE credential = :credential AND permission <> ''
-- :lost
UPDATE site SET permission = '' WHERE site = :site
-- :readable
SELECT 1 FROM site WHERE site = :site AND permission NOT IN ('', 'siteUnverifiedUser')
-- :asked
UPDATE site SET credential = :credential WHERE site = :site AND credential <> :credential
-- :refused
SELECT 1 FROM site WHERE parked_for = 'credential' LIMIT 1
