-- Counts of events, kept behind the log: see stores/tallies.py. How far they go is said in one row, which is the lock of
-- whoever changes them.

CREATE TABLE tallied (
    only_one integer PRIMARY KEY CHECK (only_one = 0),
    position bigint NOT NULL,  -- events up to here are counted
    next     bigint NOT NULL,  -- the number of the next new series; none is given twice
    changes  bigint NOT NULL   -- how often counts were changed
) WITH (fillfactor = 50);
INSERT INTO tallied VALUES (0, 0, 1, 0);

-- All events, each letter, each value of a key of `additional`, and each link under one of those.
CREATE TABLE series (
    number bigint PRIMARY KEY,
    key    bigint NOT NULL UNIQUE,  -- a hash of its name and of those that it stands under
    parent bigint NOT NULL,         -- 0 for none
    name   text NOT NULL,
    last   integer                  -- the last day, since 1970, with something counted; NULL for what does not age
);
CREATE INDEX series_by_parent ON series (parent, number);
CREATE INDEX series_by_age ON series (last) WHERE last IS NOT NULL;

CREATE TABLE counts (
    series bigint NOT NULL,
    hour   integer NOT NULL,  -- since 1970
    kind   integer NOT NULL,  -- see stores/stats.py
    events bigint NOT NULL,
    PRIMARY KEY (series, hour, kind)
) WITH (fillfactor = 70);

-- What a recipient did with a letter. Whose it is says a hash of recipient and letter together.
CREATE TABLE histories (
    letter  bigint NOT NULL,  -- a series
    reader  bigint NOT NULL,
    last    integer NOT NULL,  -- the last day in it
    entries bytea NOT NULL,
    PRIMARY KEY (letter, reader)
) WITH (fillfactor = 80);
CREATE INDEX histories_by_age ON histories (last);
