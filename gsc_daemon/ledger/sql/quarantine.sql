SELECT item_id, site, report, search_type, date, generation, part, start_row, failures, crashes, refetches, allow_loss,
       empty_asks,
       error, error_ms
FROM item JOIN day USING (day_id) JOIN site ON site.site_id = day.site_id
WHERE item.state = 'quarantined' ORDER BY error_ms DESC, item_id LIMIT :limit
