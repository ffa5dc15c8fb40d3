INSERT INTO batch (at_ms, worker_id, token, site, queries, seconds, status)
VALUES (:now, :worker_id, :token, :site, :queries, :seconds, :status)
