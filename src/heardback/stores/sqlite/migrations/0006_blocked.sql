-- The kill switch: what readers are not sent on from. What was lifted stays, so that every node learns of it.
CREATE TABLE blocked (
    kind   TEXT NOT NULL,  -- host, link, message
    value  TEXT NOT NULL,
    since  REAL NOT NULL,
    why    TEXT NOT NULL,
    lifted INTEGER NOT NULL,
    change INTEGER NOT NULL UNIQUE,
    PRIMARY KEY (kind, value)
) WITHOUT ROWID;
