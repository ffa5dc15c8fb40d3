UPDATE day SET state = 'planned', generation = generation + 1, wanted_generation = generation + 1,
       changed_ms = :now, version = version + 1
WHERE day_id IN (SELECT value FROM json_each(:days))
-- :choose
SELECT day_id FROM day JOIN site USING (site_id)
WHERE state = 'quarantined' AND (:site IS NULL OR site = :site) AND date BETWEEN :first AND :last
