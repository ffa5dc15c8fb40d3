-- The newest month whose sums are not those of its receipts.
SELECT site_id, search_type, month, stamp FROM months WHERE NOT rolled_up ORDER BY month DESC, site_id LIMIT 1
