-- Verdicts, site events, per-event requests, what people said of being tracked, and what it takes to erase them.

-- Apart from the events: a verdict comes later than its event, and rows that grow outgrow their pages.
CREATE TABLE verdicts (
    position INTEGER PRIMARY KEY,  -- of the event
    verdict  BLOB,                 -- JSON, its first key `class`; the one that the event is delivered with
    revised  BLOB,                 -- a later one
    class    TEXT GENERATED ALWAYS AS (
        CAST(substr(coalesce(revised, verdict), 11, instr(substr(coalesce(revised, verdict), 11), x'22') - 1) AS TEXT)
    ) VIRTUAL
);

CREATE TRIGGER verdicts_deleted AFTER DELETE ON events BEGIN
    DELETE FROM verdicts WHERE position = old.position;
END;

ALTER TABLE events ADD COLUMN site_id BLOB;
ALTER TABLE events ADD COLUMN about BLOB;  -- of a verdict event: the id of the event that it tells of

CREATE UNIQUE INDEX events_by_site_id ON events (site_id) WHERE site_id IS NOT NULL;
CREATE INDEX events_about ON events (about) WHERE about IS NOT NULL;

-- Checksums (see rows.checksum) stand in the indexes for texts: they are shorter, the same in any case of letters, and
-- name nobody, for where SQLite moves entries between pages stale copies stay behind that secure_delete knows nothing of.
ALTER TABLE events ADD COLUMN recipient_sum INTEGER;
ALTER TABLE events ADD COLUMN message_id_sum INTEGER;
DROP INDEX events_by_recipient;
DROP INDEX events_by_letter;
UPDATE events SET recipient_sum = checksum(recipient), message_id_sum = checksum(message_id);
CREATE INDEX events_by_recipient ON events (recipient_sum, event_id) WHERE recipient_sum IS NOT NULL;
CREATE INDEX events_by_letter ON events (message_id_sum);

-- By type: of a busy server's rare events most are verdicts, and unsubscribes are looked for every minute.
DROP INDEX events_rare;
CREATE INDEX events_rare ON events (type, position) WHERE type NOT IN ('open', 'click');

ALTER TABLE batches ADD COLUMN parts TEXT NOT NULL DEFAULT '';  -- JSON: [[bytes, {headers}], …]

-- The same recipient in any case of letters; with an index that can be made anew, for the sake of its stale copies.
ALTER TABLE suppressions RENAME TO suppressions_before;
CREATE TABLE suppressions (
    number     INTEGER PRIMARY KEY,
    recipient  TEXT NOT NULL COLLATE NOCASE,
    list       TEXT NOT NULL,
    since      INTEGER NOT NULL,
    message_id TEXT NOT NULL
);
INSERT INTO suppressions (recipient, list, since, message_id)
SELECT recipient, list, min(since), message_id FROM suppressions_before GROUP BY recipient COLLATE NOCASE, list;
DROP TABLE suppressions_before;
CREATE UNIQUE INDEX suppressions_by_recipient ON suppressions (recipient, list);

CREATE TABLE people (
    person    TEXT PRIMARY KEY,  -- a keyed hash of the address
    consent   TEXT NOT NULL DEFAULT 'unknown',
    at        REAL NOT NULL DEFAULT 0,
    how       TEXT NOT NULL DEFAULT '',
    forgotten REAL NOT NULL DEFAULT 0,
    change    INTEGER NOT NULL UNIQUE
) WITHOUT ROWID;
