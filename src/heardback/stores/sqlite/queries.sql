-- Every statement that the store makes, but for PRAGMAs and migrations. Each has a name and says what it does.

-- name: append_event
-- Appends an event. One whose id is there already is left out; any other conflict is an error.
INSERT INTO events (event_id, type, recipient, message_id, list, body, signals)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (event_id) DO NOTHING;

-- name: append_unsubscribe
-- Appends an unsubscribe, unless the same button was pressed within the given span of ids.
INSERT INTO events (event_id, type, recipient, message_id, list, body, signals)
SELECT :event_id, :type, :recipient, :message_id, :list, :body, :signals
WHERE NOT EXISTS (
    SELECT 1 FROM events INDEXED BY events_by_recipient  -- a letter may have a million recipients
    WHERE recipient = :recipient AND message_id = :message_id AND list = :list AND type = :type
      AND event_id >= :hour_before AND event_id < :hour_after
)
ON CONFLICT (event_id) DO NOTHING;

-- name: suppress
-- Puts a recipient among the suppressions; one who stands there keeps the first date.
INSERT INTO suppressions (recipient, list, since, message_id)
VALUES (:recipient, :list, :since, :message_id)
ON CONFLICT (recipient, list) DO NOTHING;

-- name: suppression
-- Gives the suppression of a recipient in a list.
SELECT recipient, list, since, message_id FROM suppressions WHERE recipient = ? AND list = ?;

-- name: read_events
-- Gives the events behind a position, oldest first: the first, and more while the bodies keep within max_bytes.
-- Only places and lengths go through the window, so that no more bodies are read than are given.
SELECT position, event_id, type, recipient, message_id, list, body, signals
FROM (
    SELECT position AS place, sum(length(body)) OVER (ORDER BY position ROWS UNBOUNDED PRECEDING) AS bytes
    FROM events WHERE position > :after ORDER BY position LIMIT :limit
)
CROSS JOIN events ON position = place
WHERE bytes <= :max_bytes OR bytes = length(body)
ORDER BY position;

-- name: find_events
-- Gives events newest first. {conditions} are those of the filter, see rows.search.
SELECT position, event_id, type, recipient, message_id, list, body, signals
FROM events WHERE {conditions}
ORDER BY position DESC LIMIT :limit;

-- name: get_events
-- Gives the events whose ids stand one after the other, 16 bytes each, in a blob.
WITH RECURSIVE places (place) AS (
    SELECT 1
    UNION ALL
    SELECT place + 16 FROM places WHERE place + 16 < length(:event_ids)
)
SELECT position, event_id, type, recipient, message_id, list, body, signals
FROM events WHERE event_id IN (SELECT substr(:event_ids, place, 16) FROM places)
ORDER BY position;

-- name: end
-- Gives the highest position that was ever given, also when its event is gone.
SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0);

-- name: position_at
-- Gives the position before the first event whose id is not below the given one; without such an event, the end.
SELECT coalesce(
    (SELECT min(position) - 1 FROM events INDEXED BY events_by_id WHERE event_id >= ?),
    (SELECT seq FROM sqlite_sequence WHERE name = 'events'),
    0
);

-- name: waiting
-- Counts the events behind a position.
SELECT count(*) FROM events WHERE position > ?;

-- name: start_cursor
-- Makes a reader's cursor where there is none.
INSERT INTO cursors (name, position) VALUES (?, ?) ON CONFLICT (name) DO NOTHING;

-- name: cursor
-- Gives a reader's cursor with its batch.
SELECT name, position, attempts, first_attempt, due, holder, lease_until, paused, last_answer, last_answer_at,
       delivered, passed_over, revision, id, event_ids, last, content_type, body
FROM cursors LEFT JOIN batches ON reader = name WHERE name = ?;

-- name: cursors
-- Gives every cursor; the bodies of the batches are left out.
SELECT name, position, attempts, first_attempt, due, holder, lease_until, paused, last_answer, last_answer_at,
       delivered, passed_over, revision, id, event_ids, last, content_type, x'' AS body
FROM cursors LEFT JOIN batches ON reader = name ORDER BY name;

-- name: save_cursor
-- Writes a cursor if it still has the revision that it was read with.
UPDATE cursors
SET position = :position, attempts = :attempts, first_attempt = :first_attempt, due = :due, holder = :holder,
    lease_until = :lease_until, paused = :paused, last_answer = :last_answer, last_answer_at = :last_answer_at,
    delivered = :delivered, passed_over = :passed_over, revision = revision + 1
WHERE name = :name AND revision = :revision;

-- name: pin_batch
-- Pins a reader's batch. One that is pinned already stays as it is: the same id is the same bytes.
INSERT INTO batches (reader, id, event_ids, last, content_type, body)
VALUES (:reader, :id, :event_ids, :last, :content_type, :body)
ON CONFLICT (reader) DO UPDATE
SET id = excluded.id, event_ids = excluded.event_ids, last = excluded.last, content_type = excluded.content_type,
    body = excluded.body
WHERE id <> excluded.id;

-- name: unpin_batch
-- Takes a reader's batch away.
DELETE FROM batches WHERE reader = ?;

-- name: bury
-- Adds a dead letter; an event that was refused before keeps the latest answer.
INSERT INTO dead_letters (destination, event_id, answer, at) VALUES (?, ?, ?, ?)
ON CONFLICT (destination, event_id) DO UPDATE SET answer = excluded.answer, at = excluded.at;

-- name: dead_letters
-- Gives a destination's dead letters, the oldest event first.
SELECT destination, event_id, answer, at FROM dead_letters WHERE destination = ? ORDER BY event_id LIMIT ?;

-- name: dead_letter_counts
-- Counts the dead letters of each destination.
SELECT destination, count(*) FROM dead_letters GROUP BY destination;
