SELECT user_version, journal_mode, page_count * page_size
FROM pragma_user_version, pragma_journal_mode, pragma_page_count, pragma_page_size
