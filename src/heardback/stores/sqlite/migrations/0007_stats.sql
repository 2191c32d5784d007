-- Counts of events, kept behind the log: see stores/tallies.py. How far they go is said in one row.

CREATE TABLE tallied (
    only_one INTEGER PRIMARY KEY CHECK (only_one = 0),
    position INTEGER NOT NULL,  -- events up to here are counted
    next     INTEGER NOT NULL,  -- the number of the next new series; none is given twice
    changes  INTEGER NOT NULL   -- how often counts were changed
);
INSERT INTO tallied VALUES (0, 0, 1, 0);

-- All events, each letter, each value of a key of `additional`, and each link under one of those.
CREATE TABLE series (
    number INTEGER PRIMARY KEY,
    key    INTEGER NOT NULL,  -- a hash of its name and of those that it stands under
    parent INTEGER NOT NULL,  -- 0 for none
    name   TEXT NOT NULL,
    last   INTEGER            -- the last day, since 1970, with something counted; NULL for what does not age
);
CREATE UNIQUE INDEX series_by_key ON series (key);
CREATE INDEX series_by_parent ON series (parent);
CREATE INDEX series_by_age ON series (last) WHERE last IS NOT NULL;

CREATE TABLE counts (
    series INTEGER NOT NULL,
    hour   INTEGER NOT NULL,  -- since 1970
    kind   INTEGER NOT NULL,  -- see stores/stats.py
    events INTEGER NOT NULL,
    PRIMARY KEY (series, hour, kind)
) WITHOUT ROWID;

-- What a recipient did with a letter. Whose it is says a hash of recipient and letter together.
CREATE TABLE histories (
    letter  INTEGER NOT NULL,  -- a series
    reader  INTEGER NOT NULL,
    last    INTEGER NOT NULL,  -- the last day in it
    entries BLOB NOT NULL,
    PRIMARY KEY (letter, reader)
) WITHOUT ROWID;
CREATE INDEX histories_by_age ON histories (last);
