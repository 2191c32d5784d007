-- What a projection's file has beside the tables of stores.sqlite, and the statements that follow the stream.

-- name: make_state
-- Makes the row that says how far the stream was read.
CREATE TABLE IF NOT EXISTS projection (
    only_one INTEGER PRIMARY KEY CHECK (only_one = 0),
    stream   TEXT NOT NULL DEFAULT '',
    applied  INTEGER NOT NULL DEFAULT 0,  -- the sequence of the last message that was read
    at       REAL NOT NULL DEFAULT 0      -- when, in Unix seconds
);

-- name: make_revisions
-- Makes the table of those subjects whose last message must be known to write the next.
CREATE TABLE IF NOT EXISTS revisions (
    subject  TEXT PRIMARY KEY,            -- of suppressions, less the last word
    sequence INTEGER NOT NULL,
    number   INTEGER NOT NULL DEFAULT 0  -- of the suppression that it is about
) WITHOUT ROWID;

-- name: make_pieces
-- Makes the table of the parts of batches that are not pinned yet.
CREATE TABLE IF NOT EXISTS pieces (
    reader   TEXT NOT NULL,
    batch_id TEXT NOT NULL,
    number   INTEGER NOT NULL,
    body     BLOB NOT NULL,
    PRIMARY KEY (reader, batch_id, number)
);

-- name: make_parts
-- Makes the table of the messages that hold the pinned batches: they are erased once those are settled.
CREATE TABLE IF NOT EXISTS parts (
    sequence INTEGER PRIMARY KEY,
    reader   TEXT NOT NULL,
    batch_id TEXT NOT NULL
);

-- name: state
-- Says which stream was read, how far, and when.
SELECT stream, applied, at FROM projection;

-- name: applied
-- Notes how far the stream was read.
INSERT INTO projection (only_one, stream, applied, at) VALUES (0, :stream, :applied, :at)
ON CONFLICT (only_one) DO UPDATE SET stream = :stream, applied = max(applied, :applied), at = :at;

-- name: insert_event
-- Puts an event at its place. One whose id, or site id, is there already is none.
INSERT OR IGNORE INTO events (
    position, event_id, type, recipient, message_id, list, body, signals, site_id, about, recipient_sum, message_id_sum
)
VALUES (
    :position, :event_id, :type, :recipient, :message_id, :list, :body, :signals, :site_id, :about,
    :recipient_sum, :message_id_sum
);

-- name: add_gaps
-- Notes, for each thousand of places, how many behind the old end hold no event.
WITH RECURSIVE blocks (block) AS (
    SELECT :before / 1000
    UNION ALL
    SELECT block + 1 FROM blocks WHERE block < :after / 1000
),
spans (block, first, last) AS (
    SELECT block, max(block * 1000, :before + 1), min(block * 1000 + 999, :after) FROM blocks
)
INSERT INTO gaps (block, missing)
SELECT block, last - first + 1 - count(position)
FROM spans LEFT JOIN events ON position BETWEEN first AND last
WHERE last >= first
GROUP BY block HAVING last - first + 1 > count(position)
ON CONFLICT (block) DO UPDATE SET missing = missing + excluded.missing;

-- name: put_cursor
-- Writes a cursor as it stands in the stream.
INSERT OR REPLACE INTO cursors (
    name, position, attempts, first_attempt, due, holder, lease_until, paused, last_answer, last_answer_at,
    delivered, passed_over, ceiling, suspects, alarmed_at, revision
)
VALUES (
    :name, :position, :attempts, :first_attempt, :due, :holder, :lease_until, :paused, :last_answer, :last_answer_at,
    :delivered, :passed_over, :ceiling, :suspects, :alarmed_at, :revision
);

-- name: put_piece
-- Keeps a part of a batch.
INSERT OR REPLACE INTO pieces (reader, batch_id, number, body) VALUES (?, ?, ?, ?);

-- name: put_part
-- Notes which message holds a part of a batch.
INSERT OR REPLACE INTO parts (sequence, reader, batch_id) VALUES (?, ?, ?);

-- name: pinned_id
-- Gives the id of the batch that is pinned for a reader.
SELECT id FROM batches WHERE reader = ?;

-- name: pieces
-- Gives the parts of a reader's batch, in their order.
SELECT body FROM pieces WHERE reader = ? AND batch_id = ? ORDER BY number;

-- name: drop_pieces
-- Takes a reader's parts away: they are together by now, or never will be.
DELETE FROM pieces WHERE reader = ?;

-- name: drop_parts
-- Forgets the messages of all batches of a reader but the one.
DELETE FROM parts WHERE reader = ? AND batch_id <> ?;

-- name: parts
-- Gives the messages that hold the parts of batches.
SELECT sequence, reader FROM parts;

-- name: put_revision
-- Notes the last message of a subject. It is about no suppression until one is put: the number of a row that was taken
-- away is given to another.
INSERT INTO revisions (subject, sequence) VALUES (?, ?)
ON CONFLICT (subject) DO UPDATE SET sequence = excluded.sequence, number = 0;

-- name: revisions
-- Gives the sequences of the last messages of subjects in a JSON array.
SELECT subject, sequence FROM revisions WHERE subject IN (SELECT value FROM json_each(?));

-- name: put_dead_letter
-- Writes a dead letter as it stands in the stream.
INSERT OR REPLACE INTO dead_letters (destination, event_id, answer, at, retried, position)
VALUES (?1, ?2, ?3, ?4, ?5, coalesce((SELECT position FROM events WHERE event_id = ?2), 0));

-- name: drop_dead_letter
-- Takes a dead letter away.
DELETE FROM dead_letters WHERE destination = ? AND event_id = ?;

-- name: dead_letters_of
-- Gives every dead letter of the events whose ids stand one after the other, 16 bytes each, in a blob.
WITH RECURSIVE places (place) AS (
    SELECT 1
    UNION ALL
    SELECT place + 16 FROM places WHERE place + 16 < length(:event_ids)
)
SELECT destination, event_id, answer, at, retried FROM dead_letters
WHERE event_id IN (SELECT substr(:event_ids, place, 16) FROM places);

-- name: old_dead_letters
-- Gives some of the dead letters that were buried before a time.
SELECT destination, event_id, answer, at, retried FROM dead_letters INDEXED BY dead_letters_by_age
WHERE at < :before LIMIT :limit;

-- name: drop_suppression
-- Takes the suppression of a subject away.
DELETE FROM suppressions WHERE number = (SELECT number FROM revisions WHERE subject = ?);

-- name: put_suppression
-- Writes a suppression as it stands in the stream.
INSERT OR REPLACE INTO suppressions (recipient, list, since, message_id)
VALUES (:recipient, :list, :since, :message_id);

-- name: number_revision
-- Notes which suppression a subject is about.
UPDATE revisions SET number = last_insert_rowid() WHERE subject = ?;

-- name: suppressions_of
-- Gives all suppressions of a recipient.
SELECT recipient, list, since, message_id FROM suppressions WHERE recipient = :recipient AND recipient <> :person;

-- name: standing
-- Gives the places, in a JSON array of [recipient, keyed hash, list], of those who stand among the suppressions.
SELECT key FROM json_each(?) AS given
WHERE EXISTS (
    SELECT 1 FROM suppressions
    WHERE recipient IN (json_extract(given.value, '$[0]'), json_extract(given.value, '$[1]'))
      AND list = json_extract(given.value, '$[2]')
);

-- name: put_person
-- Writes what is known of a person as it stands in the stream; the change is the place there.
INSERT OR REPLACE INTO people (person, consent, at, how, forgotten, change)
VALUES (:person, :consent, :at, :how, :forgotten, :change);

-- name: put_block
-- Writes a block as it stands in the stream; the change is the place there.
INSERT OR REPLACE INTO blocked (kind, value, since, why, lifted, change)
VALUES (:kind, :value, :since, :why, :lifted, :change);

-- name: first_event
-- Gives the position of the oldest event; NULL where there is none.
SELECT min(position) FROM events;
