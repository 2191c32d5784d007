-- What operators ask for, and how a destination that refuses batches is felt out.

ALTER TABLE cursors ADD COLUMN ceiling INTEGER NOT NULL DEFAULT 10000;
ALTER TABLE cursors ADD COLUMN suspects INTEGER NOT NULL DEFAULT 0;
ALTER TABLE cursors ADD COLUMN alarmed_at REAL NOT NULL DEFAULT 0;

ALTER TABLE batches ADD COLUMN passed_over INTEGER NOT NULL DEFAULT 0;

ALTER TABLE dead_letters ADD COLUMN retried INTEGER NOT NULL DEFAULT 0;
ALTER TABLE dead_letters ADD COLUMN position INTEGER NOT NULL DEFAULT 0;  -- of the event; 0 where that is no more
UPDATE dead_letters SET position = coalesce(
    (SELECT position FROM events WHERE events.event_id = dead_letters.event_id), 0
);
CREATE INDEX dead_letters_retried ON dead_letters (destination, position) WHERE retried;
