SELECT count(*) FROM worker WHERE gone_note = 'died' AND gone_ms > :after
