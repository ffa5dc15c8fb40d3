INSERT INTO sites (site_url) VALUES (%(site)s) ON CONFLICT (site_url) DO NOTHING
