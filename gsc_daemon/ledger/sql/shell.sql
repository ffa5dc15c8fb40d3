PRAGMA busy_timeout = 10000;
PRAGMA wal_autocheckpoint = 0;
PRAGMA foreign_keys = ON;
CREATE TEMP TRIGGER by_whom AFTER INSERT ON main.history WHEN NEW.by = 'by hand' BEGIN
    UPDATE history SET by = :operator WHERE history_id = NEW.history_id;
END;
