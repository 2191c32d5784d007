-- What it takes to delete what is old, and to count what waits without walking through it.

-- How many places of the log hold no event, a row for each thousand of places that has such: position / 1000.
CREATE TABLE gaps (
    block   INTEGER PRIMARY KEY,
    missing INTEGER NOT NULL
);

INSERT INTO gaps (block, missing)
SELECT block, places - events
FROM (
    SELECT block, events, min(block * 1000 + 999, seq) - max(block * 1000, 1) + 1 AS places
    FROM (SELECT position / 1000 AS block, count(*) AS events FROM events GROUP BY block)
    JOIN sqlite_sequence ON name = 'events'
)
WHERE places > events;

CREATE TRIGGER events_deleted AFTER DELETE ON events BEGIN
    INSERT INTO gaps (block, missing) VALUES (old.position / 1000, 1)
    ON CONFLICT (block) DO UPDATE SET missing = missing + 1;
END;

CREATE INDEX dead_letters_by_event ON dead_letters (event_id);
CREATE INDEX dead_letters_by_age ON dead_letters (at);
