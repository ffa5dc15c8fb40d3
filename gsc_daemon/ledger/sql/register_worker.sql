INSERT INTO worker (run_id, slot, pid, pid_start, boot_id, since_ms)
VALUES (:run_id, :slot, :pid, :pid_start, :boot_id, :now) RETURNING worker_id
