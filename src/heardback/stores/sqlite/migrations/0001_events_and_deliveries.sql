-- The log, a cursor for each reader of it, and who unsubscribed. Runs inside a transaction; later changes are files of their own.

PRAGMA application_id = 0x48454152;  -- 'HEAR': another program's database is left alone

CREATE TABLE events (
    position   INTEGER PRIMARY KEY AUTOINCREMENT,  -- the order of commits; never given twice, also after a deletion
    event_id   BLOB NOT NULL,                      -- 16 bytes, UUID version 7: the first six are the Unix milliseconds
    type       TEXT NOT NULL,
    recipient  TEXT NOT NULL,
    message_id TEXT NOT NULL,
    list       TEXT NOT NULL,
    body       BLOB NOT NULL,                      -- the JSON element without its verdict
    signals    BLOB NOT NULL
);

CREATE UNIQUE INDEX events_by_id ON events (event_id);
CREATE INDEX events_by_recipient ON events (recipient);
CREATE INDEX events_by_letter ON events (message_id);
-- Most events are opens and clicks; the others are asked for by type.
CREATE INDEX events_rare ON events (position) WHERE type NOT IN ('open', 'click');

CREATE TABLE cursors (
    name           TEXT PRIMARY KEY,
    position       INTEGER NOT NULL,
    attempts       INTEGER NOT NULL DEFAULT 0,
    first_attempt  REAL NOT NULL DEFAULT 0,
    due            REAL NOT NULL DEFAULT 0,
    holder         TEXT NOT NULL DEFAULT '',
    lease_until    REAL NOT NULL DEFAULT 0,
    paused         INTEGER NOT NULL DEFAULT 0,
    last_answer    TEXT NOT NULL DEFAULT '',
    last_answer_at REAL NOT NULL DEFAULT 0,
    delivered      INTEGER NOT NULL DEFAULT 0,
    passed_over    INTEGER NOT NULL DEFAULT 0,
    revision       INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

-- Apart from the cursors, so that renewing a lease does not write a megabyte.
CREATE TABLE batches (
    reader       TEXT PRIMARY KEY,
    id           TEXT NOT NULL,
    event_ids    BLOB NOT NULL,  -- 16 bytes each
    last         INTEGER NOT NULL,
    content_type TEXT NOT NULL,
    body         BLOB NOT NULL
);

CREATE TABLE dead_letters (
    destination TEXT NOT NULL,
    event_id    BLOB NOT NULL,
    answer      TEXT NOT NULL,
    at          REAL NOT NULL,
    PRIMARY KEY (destination, event_id)
) WITHOUT ROWID;

CREATE TABLE suppressions (
    recipient  TEXT NOT NULL,
    list       TEXT NOT NULL,
    since      INTEGER NOT NULL,
    message_id TEXT NOT NULL,
    PRIMARY KEY (recipient, list)
) WITHOUT ROWID;
