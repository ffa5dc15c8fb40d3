SELECT date, held FROM day
WHERE site_id = (SELECT site_id FROM site WHERE site = :site) AND report = :report AND search_type = :search_type
  AND published_generation > 0
