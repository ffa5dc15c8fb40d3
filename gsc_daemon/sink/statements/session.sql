SELECT set_config('search_path', quote_ident(%(schema)s), false),
       set_config('statement_timeout', %(statement_ms)s, false),
       set_config('lock_timeout', %(lock_ms)s, false),
       set_config('idle_in_transaction_session_timeout', %(idle_ms)s, false),
       set_config('temp_buffers', '32MB', false),
       set_config('work_mem', '32MB', false),
       set_config('cursor_tuple_fraction', '1', false),
       -- The ledger forgets a day's work once it is committed here, so a commit must outlive a crash.
       set_config('synchronous_commit', coalesce(nullif(current_setting('synchronous_commit'), 'off'), 'on'), false)
