INSERT INTO migrations (version, name) VALUES (%(version)s, %(name)s)
