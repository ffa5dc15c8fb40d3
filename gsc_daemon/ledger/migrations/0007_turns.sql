-- Whose turn it is, found without a look at every site: each claim asks for it.
CREATE INDEX item_priority ON item (priority) WHERE state = 'ready';
CREATE INDEX site_turn ON site (served_token, site_id) WHERE parked IS NULL;
