-- Why a site is parked, where the list of properties tells that the reason has gone; nothing: a person, or a quota.
ALTER TABLE site ADD COLUMN parked_for TEXT CHECK (parked_for IN ('lost', 'credential'));

CREATE TRIGGER site_unparked AFTER UPDATE OF parked ON site WHEN NEW.parked IS NULL AND NEW.parked_for IS NOT NULL
BEGIN UPDATE site SET parked_for = NULL WHERE site_id = NEW.site_id; END;
