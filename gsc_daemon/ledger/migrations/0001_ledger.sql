-- The ledger: what work there is, who holds it, and everything that happened to it.
-- Times are UTC milliseconds (_ms); the views show them as text. Dates are Google's, Pacific time.
-- The program raises a row's version with every change of its own, so that a change by hand is known by its absence.

PRAGMA application_id = 0x67736364;  -- "gscd"

CREATE TABLE meta (
    key TEXT PRIMARY KEY,  -- ledger_id; seeded_run: the run of the daemon that has read what Postgres holds
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE fence (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    token INTEGER NOT NULL CHECK (token >= 0)  -- one per claim
) STRICT;
INSERT INTO fence VALUES (1, 0);

CREATE TABLE control (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    halted INTEGER NOT NULL CHECK (halted IN (0, 1)),
    reason TEXT NOT NULL DEFAULT '',
    by TEXT NOT NULL DEFAULT '',
    since_ms INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO control (one, halted) VALUES (1, 0);

CREATE TABLE site (
    site_id INTEGER PRIMARY KEY AUTOINCREMENT,
    site TEXT NOT NULL UNIQUE CHECK (site <> ''),
    credential TEXT NOT NULL DEFAULT '',  -- whose list of properties last named it
    permission TEXT NOT NULL DEFAULT '',  -- as Google names it; '' where the list does not name it
    parked TEXT CHECK (parked <> ''),  -- the reason, while it is set aside
    parked_until_ms INTEGER,  -- nothing: until a person unparks it
    load_until_ms INTEGER NOT NULL DEFAULT 0,  -- end of the last parking for its load quota
    served_token INTEGER NOT NULL DEFAULT 0,  -- of its newest batch: the lowest is whose turn it is
    served_ms INTEGER NOT NULL DEFAULT 0,
    CONSTRAINT "only a parked site has a time until which it is parked" CHECK (parked IS NOT NULL OR parked_until_ms IS NULL)
) STRICT;

CREATE TABLE day (
    day_id INTEGER PRIMARY KEY AUTOINCREMENT,
    site_id INTEGER NOT NULL REFERENCES site ON DELETE CASCADE,
    report TEXT NOT NULL CHECK (report <> ''),
    search_type TEXT NOT NULL CHECK (search_type <> ''),
    date TEXT NOT NULL CONSTRAINT "a date is written like 2026-11-24" CHECK (date IS strftime('%Y-%m-%d', date)),
    state TEXT NOT NULL DEFAULT 'planned'
        CONSTRAINT "a day is planned, queued, published, quarantined or cancelled"
        CHECK (state IN ('planned', 'queued', 'published', 'quarantined', 'cancelled')),
    priority INTEGER NOT NULL CHECK (priority BETWEEN 1 AND 99),  -- lower is sooner
    generation INTEGER NOT NULL DEFAULT 1 CHECK (generation >= 1),  -- planned, under way, or the last that was
    wanted_generation INTEGER NOT NULL DEFAULT 1
        CONSTRAINT "at most the next generation is wanted" CHECK (wanted_generation BETWEEN generation AND generation + 1),
    published_generation INTEGER NOT NULL DEFAULT 0
        CONSTRAINT "no generation is published before it was wanted" CHECK (published_generation BETWEEN 0 AND generation),
    allow_loss INTEGER NOT NULL DEFAULT 0 CHECK (allow_loss IN (0, 1)),  -- of the generation under way
    allow_loss_next INTEGER NOT NULL DEFAULT 0 CHECK (allow_loss_next IN (0, 1)),  -- of the one wanted after it
    held TEXT CHECK (held IN ('provisional', 'final')),  -- how far the published generation can be trusted to stay
    row_count INTEGER CHECK (row_count >= 0),
    truncated INTEGER NOT NULL DEFAULT 0 CHECK (truncated IN (0, 1)),
    overlap INTEGER NOT NULL DEFAULT 0 CHECK (overlap IN (0, 1)),
    kept INTEGER NOT NULL DEFAULT 0 CHECK (kept IN (0, 1)),
    published_ms INTEGER,
    changed_ms INTEGER NOT NULL,
    version INTEGER NOT NULL DEFAULT 0,
    UNIQUE (site_id, report, search_type, date),
    CONSTRAINT "what is published is provisional or final, and has a row count and a time"
        CHECK ((published_generation > 0) = (held IS NOT NULL AND row_count IS NOT NULL AND published_ms IS NOT NULL)),
    CONSTRAINT "a day without a published generation is not published" CHECK (state <> 'published' OR published_generation > 0)
) STRICT;
CREATE INDEX day_planned ON day (site_id, priority, date DESC) WHERE state = 'planned';
CREATE INDEX day_held ON day (site_id, date) WHERE published_generation > 0;

CREATE TABLE worker (
    worker_id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used twice
    run_id TEXT NOT NULL,
    slot INTEGER NOT NULL,
    pid INTEGER NOT NULL CHECK (pid > 0),
    pid_start INTEGER NOT NULL,  -- clock ticks since boot: names the process beyond the reuse of its pid
    boot_id TEXT NOT NULL,
    since_ms INTEGER NOT NULL,
    gone_ms INTEGER,
    gone_note TEXT,
    CHECK ((gone_ms IS NULL) = (gone_note IS NULL))
) STRICT;
CREATE INDEX worker_here ON worker (pid) WHERE gone_ms IS NULL;

CREATE TABLE item (
    item_id INTEGER PRIMARY KEY AUTOINCREMENT,
    day_id INTEGER NOT NULL REFERENCES day ON DELETE CASCADE,
    site_id INTEGER NOT NULL,  -- the day's, repeated for the index that claims go by
    part TEXT NOT NULL DEFAULT '',
    start_row INTEGER NOT NULL DEFAULT 0 CHECK (start_row >= 0 AND start_row % 25000 = 0),
    state TEXT NOT NULL
        CONSTRAINT "an item is ready, waiting, leased, done, quarantined or cancelled"
        CHECK (state IN ('ready', 'waiting', 'leased', 'done', 'quarantined', 'cancelled')),
    priority INTEGER NOT NULL,
    not_before_ms INTEGER,
    token INTEGER,
    worker_id INTEGER REFERENCES worker,
    lease_until_ms INTEGER,
    active_ms INTEGER,  -- when its request was last about to be sent under this lease
    sole INTEGER NOT NULL DEFAULT 0 CHECK (sole IN (0, 1)),  -- the only one of its claim
    alone INTEGER NOT NULL DEFAULT 0 CHECK (alone IN (0, 1)),  -- a worker died with it: to be claimed alone
    claims INTEGER NOT NULL DEFAULT 0 CHECK (claims >= 0),
    failures INTEGER NOT NULL DEFAULT 0 CHECK (failures >= 0),
    crashes INTEGER NOT NULL DEFAULT 0 CHECK (crashes >= 0),
    refetches INTEGER NOT NULL DEFAULT 0 CHECK (refetches >= 0),
    error TEXT,
    error_ms INTEGER,
    done_generation INTEGER NOT NULL DEFAULT 0 CHECK (done_generation >= 0),  -- the newest that it was done for
    changed_ms INTEGER NOT NULL,
    version INTEGER NOT NULL DEFAULT 0,
    UNIQUE (day_id, part, start_row),
    CONSTRAINT "a leased item has a token, a worker and a time, and no other has"
        CHECK ((state = 'leased') = (token IS NOT NULL) AND (token IS NULL) = (worker_id IS NULL)
               AND (token IS NULL) = (lease_until_ms IS NULL)),
    CONSTRAINT "only a leased item is active" CHECK (active_ms IS NULL OR state = 'leased'),
    CONSTRAINT "a waiting item has a time (not_before_ms), and no other has"
        CHECK ((state = 'waiting') = (not_before_ms IS NOT NULL)),
    CONSTRAINT "a quarantined item has an error" CHECK (state <> 'quarantined' OR (error IS NOT NULL AND error_ms IS NOT NULL)),
    CONSTRAINT "a done item has a generation that it was done for" CHECK (state <> 'done' OR done_generation > 0),
    CONSTRAINT "a day is fetched from row 0 in one sitting, so later items are leased or done"
        CHECK (start_row = 0 OR state IN ('leased', 'done'))
) STRICT;
CREATE INDEX item_ready ON item (site_id, priority, alone DESC, item_id) WHERE state = 'ready';
CREATE INDEX item_waiting ON item (not_before_ms) WHERE state = 'waiting';
CREATE INDEX item_leased ON item (token) WHERE state = 'leased';
CREATE INDEX item_quarantined ON item (error_ms) WHERE state = 'quarantined';
CREATE INDEX item_worker ON item (worker_id) WHERE worker_id IS NOT NULL;

CREATE TABLE tally (  -- how many days and items of a site stand where; kept by triggers
    site_id INTEGER NOT NULL,
    what TEXT NOT NULL CHECK (what IN ('day', 'item')),
    state TEXT NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY (site_id, what, state)
) STRICT, WITHOUT ROWID;

CREATE TABLE send (  -- queries about to be sent, so that an emptied Redis can be filled again; kept for an hour
    send_id INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    site TEXT NOT NULL,
    credential TEXT NOT NULL,
    queries INTEGER NOT NULL CHECK (queries > 0)
) STRICT;
CREATE INDEX send_at ON send (at_ms);

CREATE TABLE batch (  -- one fetched batch each, for the latency figures; kept for a week
    batch_id INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    worker_id INTEGER NOT NULL,
    token INTEGER NOT NULL,
    site TEXT NOT NULL,
    queries INTEGER NOT NULL,
    seconds REAL NOT NULL,
    status TEXT NOT NULL
) STRICT;
CREATE INDEX batch_at ON batch (at_ms);

CREATE TABLE history (  -- every change of state; kept for 30 days
    history_id INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms INTEGER NOT NULL,
    what TEXT NOT NULL CHECK (what IN ('item', 'day', 'site', 'halt')),
    site_id INTEGER,
    day_id INTEGER,
    start_row INTEGER,
    from_state TEXT NOT NULL,
    to_state TEXT NOT NULL,
    generation INTEGER,
    token INTEGER,
    worker_id INTEGER,
    by TEXT NOT NULL DEFAULT 'gscd',  -- gscd, by hand, or the operator's name
    note TEXT
) STRICT;

CREATE TABLE outage (
    service TEXT PRIMARY KEY CHECK (service IN ('sink', 'budget', 'source')),
    since_ms INTEGER NOT NULL,
    note TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE chore (
    name TEXT PRIMARY KEY,
    due_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE pace (
    credential TEXT PRIMARY KEY,
    qpm REAL CHECK (qpm > 0),
    changed_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
