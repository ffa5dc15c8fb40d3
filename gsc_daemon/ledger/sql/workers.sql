SELECT worker_id, slot, pid, pid_start, boot_id FROM worker WHERE gone_ms IS NULL ORDER BY worker_id
