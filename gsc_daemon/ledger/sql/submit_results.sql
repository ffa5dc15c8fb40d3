-- :held
SELECT day_id, generation
FROM day JOIN site USING (site_id)
WHERE site = :site AND report = :report AND search_type = :search_type AND date = :date
  AND EXISTS (SELECT 1 FROM item WHERE item.day_id = day.day_id AND item.state = 'leased' AND token = :token)
