INSERT INTO site (site, credential, permission) VALUES (:site, :credential, :permission)
ON CONFLICT (site) DO UPDATE SET credential = excluded.credential, permission = excluded.permission
WHERE credential <> excluded.credential OR permission <> excluded.permission
-- :listed
SELECT site FROM site WHERE credential = :credential AND permission <> ''
-- :lost
UPDATE site SET permission = '' WHERE site = :site
