-- Where each event has a place of its own in an index of a million, each costs a page that is written twice. So recipients
-- and letters stand in order within a block of 4,096 positions: the events of a commit share a few pages, however many
-- events there are. To find a recipient is to look into each block; this says which are worth it.

CREATE TABLE blocks (
    block  INTEGER PRIMARY KEY,  -- position / 4096
    oldest BLOB NOT NULL,        -- no event in it has a lower id
    newest BLOB NOT NULL         -- nor a higher
);
INSERT INTO blocks (block, oldest, newest) SELECT position / 4096, min(event_id), max(event_id) FROM events GROUP BY 1;

DROP INDEX events_by_recipient;
DROP INDEX events_by_letter;
CREATE INDEX events_by_recipient ON events (position / 4096, recipient_sum) WHERE recipient_sum IS NOT NULL;
CREATE INDEX events_by_letter ON events (position / 4096, message_id_sum);

-- The one question at an unsubscribe, and few events are such.
CREATE INDEX unsubscribes ON events (recipient_sum, event_id) WHERE type = 'unsubscribe';
