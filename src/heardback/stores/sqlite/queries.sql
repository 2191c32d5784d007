-- Every statement that the store makes, but for PRAGMAs and migrations. Each has a name and says what it does.

-- name: append_event
-- Appends an event. One whose id, or site id, is there already is left out, and takes no position as with ON CONFLICT.
INSERT INTO events (
    event_id, type, recipient, message_id, list, body, signals, site_id, about, recipient_sum, message_id_sum
)
SELECT
    :event_id, :type, :recipient, :message_id, :list, :body, :signals, :site_id, :about, :recipient_sum, :message_id_sum
WHERE NOT EXISTS (SELECT 1 FROM events WHERE event_id = :event_id)
  AND NOT EXISTS (SELECT 1 FROM events WHERE site_id = :site_id);

-- name: append_events
-- Appends opens and clicks that are new, or none of them; {places} are for their fields.
INSERT INTO events (
    event_id, type, recipient, message_id, list, body, signals, recipient_sum, message_id_sum
) VALUES {places};

-- name: note_blocks
-- Notes that events with ids from one to another were appended behind a position.
WITH RECURSIVE touched (block, last) AS (
    SELECT (:end + 1) / 4096, seq / 4096 FROM sqlite_sequence WHERE name = 'events' AND seq > :end
    UNION ALL
    SELECT block + 1, last FROM touched WHERE block < last
)
INSERT INTO blocks (block, oldest, newest) SELECT block, :oldest, :newest FROM touched WHERE TRUE
ON CONFLICT (block) DO UPDATE SET oldest = min(oldest, excluded.oldest), newest = max(newest, excluded.newest);

-- name: append_unsubscribe
-- Appends an unsubscribe, unless the same button was pressed within the given span of ids, and since the suppression
-- stands that is there by now: who subscribed again in between unsubscribes anew.
INSERT INTO events (
    event_id, type, recipient, message_id, list, body, signals, site_id, about, recipient_sum, message_id_sum
)
SELECT
    :event_id, :type, :recipient, :message_id, :list, :body, :signals, :site_id, :about, :recipient_sum, :message_id_sum
WHERE NOT EXISTS (
    SELECT 1 FROM events INDEXED BY unsubscribes
    WHERE type = 'unsubscribe' AND recipient_sum = :recipient_sum AND event_id >= :hour_before AND event_id < :hour_after
      AND recipient = :recipient COLLATE NOCASE AND message_id = :message_id AND list = :list
      AND hex(substr(event_id, 1, 6)) >= (
          SELECT printf('%012X', since) FROM suppressions WHERE recipient = :recipient AND list = :list
      )
)
AND NOT EXISTS (SELECT 1 FROM events WHERE event_id = :event_id);

-- name: suppress
-- Puts a recipient among the suppressions; one who stands there keeps the first date.
INSERT INTO suppressions (recipient, list, since, message_id)
VALUES (:recipient, :list, :since, :message_id)
ON CONFLICT (recipient, list) DO NOTHING;

-- name: suppress_new
-- Puts a recipient among the suppressions, unless one stands there, or who was forgotten does under the keyed hash.
INSERT INTO suppressions (recipient, list, since, message_id)
SELECT :recipient, :list, :since, :message_id
WHERE NOT EXISTS (SELECT 1 FROM suppressions WHERE recipient = :hash AND list = :list)
ON CONFLICT (recipient, list) DO NOTHING;

-- name: suppression
-- Gives the suppression of a recipient in a list.
SELECT recipient, list, since, message_id FROM suppressions WHERE recipient = ? AND list = ?;

-- name: suppressions
-- Gives the suppressions of a list, or of all for NULL, behind one of them.
SELECT recipient, list, since, message_id FROM suppressions
WHERE (recipient, list) > (:recipient, :after_list) AND (:list IS NULL OR list = :list)
ORDER BY recipient, list LIMIT :limit;

-- name: release
-- Takes a recipient out of the suppressions of a list.
DELETE FROM suppressions WHERE recipient = ? AND list = ?;

-- name: read_events
-- Gives the events behind a position, oldest first: the first, and more while the bodies keep within max_bytes.
-- Only places and lengths go through the window, so that no more bodies are read than are given.
SELECT position, event_id, type, recipient, message_id, list, body, signals, verdict, revised, site_id
FROM (
    SELECT position AS place, sum(length(body)) OVER (ORDER BY position ROWS UNBOUNDED PRECEDING) AS bytes
    FROM events WHERE position > :after ORDER BY position LIMIT :limit
)
CROSS JOIN events ON position = place
LEFT JOIN verdicts USING (position)
WHERE bytes <= :max_bytes OR bytes = length(body)
ORDER BY position;

-- name: find_places
-- Gives the newest positions of events that meet {conditions}; {source} and {order} are as rows.search has them.
SELECT * FROM (SELECT position FROM {source} WHERE {conditions} ORDER BY {order} LIMIT :limit)

-- name: find_events
-- Gives events newest first; {places} are their positions, from find_places.
SELECT position, event_id, type, recipient, message_id, list, body, signals, verdict, revised, site_id
FROM ({places}) CROSS JOIN events USING (position)
LEFT JOIN verdicts USING (position)
ORDER BY position DESC LIMIT :limit;

-- name: get_events
-- Gives the events whose ids stand one after the other, 16 bytes each, in a blob.
WITH RECURSIVE places (place) AS (
    SELECT 1
    UNION ALL
    SELECT place + 16 FROM places WHERE place + 16 < length(:event_ids)
)
SELECT position, event_id, type, recipient, message_id, list, body, signals, verdict, revised, site_id
FROM events LEFT JOIN verdicts USING (position)
WHERE event_id IN (SELECT substr(:event_ids, place, 16) FROM places)
ORDER BY position;

-- name: site_events
-- Gives the events of site ids; {wanted} is a place for each.
SELECT site_id, event_id FROM events WHERE site_id IN ({wanted});

-- name: neighbours
-- Gives the number of each vicinity with the events in it; {wanted} are places for their numbers and their fields.
-- Among the newest events of the recipient between the times those of the letter are picked: never more is looked at.
-- The blocks are gone through once, for all vicinities: they are thousands where events are millions.
WITH wanted (number, whose, whose_sum, letter, since, until) AS (VALUES {wanted}),
near AS MATERIALIZED (
    SELECT block, oldest, newest FROM blocks
    WHERE newest >= (SELECT min(since) FROM wanted) AND oldest < (SELECT max(until) FROM wanted)
)
SELECT number, position, event_id, type, recipient, message_id, list, body, signals, verdict, revised, site_id
FROM wanted CROSS JOIN events ON recipient = whose COLLATE NOCASE AND message_id = letter AND position IN (
    SELECT position FROM near CROSS JOIN events INDEXED BY events_by_recipient ON position / 4096 = +block
    WHERE newest >= since AND oldest < until AND recipient_sum = whose_sum AND event_id >= since AND event_id < until
    ORDER BY event_id DESC LIMIT {limit}
)
LEFT JOIN verdicts USING (position)
ORDER BY number, position;

-- name: append_verdicts
-- Adds the verdicts that an event came with.
INSERT INTO verdicts (position, verdict, revised) SELECT position, ?2, ?3 FROM events WHERE event_id = ?1
ON CONFLICT (position) DO NOTHING;

-- name: keep
-- Keeps the first verdict on each of some events; {judged} are places for their ids and the verdicts.
WITH judged (id, said) AS (VALUES {judged})
INSERT INTO verdicts (position, verdict) SELECT position, said FROM judged CROSS JOIN events ON event_id = id WHERE TRUE
ON CONFLICT (position) DO UPDATE SET verdict = excluded.verdict WHERE verdicts.verdict IS NULL;

-- name: revise
-- Keeps a later verdict on an event.
INSERT INTO verdicts (position, revised) SELECT position, ?2 FROM events WHERE event_id = ?1
ON CONFLICT (position) DO UPDATE SET revised = excluded.revised;

-- name: known_events
-- Gives those of the ids in a blob, as for get_events, that are an event's.
WITH RECURSIVE places (place) AS (
    SELECT 1
    UNION ALL
    SELECT place + 16 FROM places WHERE place + 16 < length(:event_ids)
)
SELECT event_id FROM events WHERE event_id IN (SELECT substr(:event_ids, place, 16) FROM places);

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
-- Counts the events behind a position: one by one to the end of its thousand, then the places that are no gaps.
WITH bounds (here, next, after_all) AS (
    SELECT ?1 / 1000, (?1 / 1000 + 1) * 1000, seq + 1 FROM sqlite_sequence WHERE name = 'events'
)
SELECT coalesce(sum(
    (SELECT count(*) FROM events WHERE position > ?1 AND position < next)
    + max(after_all - next, 0)
    - (SELECT coalesce(sum(missing), 0) FROM gaps WHERE block > here)
), 0) FROM bounds;

-- name: old_events
-- Gives the next events that were recorded before a time, in that order, and whether each may be deleted.
SELECT event_id, position, position <= :settled
       AND NOT EXISTS (SELECT 1 FROM dead_letters WHERE dead_letters.event_id = events.event_id)
FROM events INDEXED BY events_by_id
WHERE event_id > :after AND event_id < :before
ORDER BY event_id LIMIT :limit;

-- name: delete_event
-- Deletes an event; the position alone might be another's in a file that was begun in the meantime.
DELETE FROM events WHERE position = ? AND event_id = ?;

-- name: delete_blocks
-- Forgets the blocks in which no event is left.
DELETE FROM blocks WHERE newest < coalesce((SELECT min(event_id) FROM events), x'ff');

-- name: delete_dead_letters
-- Deletes some of the dead letters that were buried before a time.
DELETE FROM dead_letters WHERE (destination, event_id) IN (
    SELECT destination, event_id FROM dead_letters INDEXED BY dead_letters_by_age WHERE at < :before LIMIT :limit
);

-- name: pages
-- Counts the pages of the file and those of them that are free.
SELECT page_count, freelist_count FROM pragma_page_count, pragma_freelist_count;

-- name: missing_cursors
-- Gives those of the names in a JSON array that no cursor has.
SELECT value FROM json_each(?) WHERE value NOT IN (SELECT name FROM cursors);

-- name: restart_cursor
-- Makes a cursor at the beginning, with a revision that none had in another file.
INSERT INTO cursors (name, position, revision) VALUES (?, 0, abs(random() % (1 << 48)) + (1 << 48))
ON CONFLICT (name) DO NOTHING;

-- name: start_cursor
-- Makes a reader's cursor where there is none.
INSERT INTO cursors (name, position) VALUES (?, ?) ON CONFLICT (name) DO NOTHING;

-- name: cursor
-- Gives a reader's cursor with its batch.
SELECT name, position, attempts, first_attempt, due, holder, lease_until, paused, last_answer, last_answer_at,
       delivered, cursors.passed_over, ceiling, suspects, alarmed_at, revision,
       id, event_ids, last, content_type, batches.passed_over, body, parts
FROM cursors LEFT JOIN batches ON reader = name WHERE name = ?;

-- name: cursors
-- Gives every cursor; the bodies of the batches are left out.
SELECT name, position, attempts, first_attempt, due, holder, lease_until, paused, last_answer, last_answer_at,
       delivered, cursors.passed_over, ceiling, suspects, alarmed_at, revision,
       id, event_ids, last, content_type, batches.passed_over, x'' AS body, parts
FROM cursors LEFT JOIN batches ON reader = name ORDER BY name;

-- name: save_cursor
-- Writes a cursor if it still has the revision that it was read with.
UPDATE cursors
SET position = :position, attempts = :attempts, first_attempt = :first_attempt, due = :due, holder = :holder,
    lease_until = :lease_until, paused = :paused, last_answer = :last_answer, last_answer_at = :last_answer_at,
    delivered = :delivered, passed_over = :passed_over, ceiling = :ceiling, suspects = :suspects,
    alarmed_at = :alarmed_at, revision = revision + 1
WHERE name = :name AND revision = :revision;

-- name: pin_batch
-- Pins a reader's batch. One that is pinned already stays as it is: the same id is the same bytes.
INSERT INTO batches (reader, id, event_ids, last, content_type, passed_over, body, parts)
VALUES (:reader, :id, :event_ids, :last, :content_type, :passed_over, :body, :parts)
ON CONFLICT (reader) DO UPDATE
SET id = excluded.id, event_ids = excluded.event_ids, last = excluded.last, content_type = excluded.content_type,
    passed_over = excluded.passed_over, body = excluded.body, parts = excluded.parts
WHERE id <> excluded.id;

-- name: unpin_batch
-- Takes a reader's batch away.
DELETE FROM batches WHERE reader = ?;

-- name: bury
-- Adds a dead letter; an event that was refused before keeps the latest answer.
INSERT INTO dead_letters (destination, event_id, answer, at, position)
VALUES (?1, ?2, ?3, ?4, coalesce((SELECT position FROM events WHERE event_id = ?2), 0))
ON CONFLICT (destination, event_id) DO UPDATE SET answer = excluded.answer, at = excluded.at, retried = 0;

-- name: unbury
-- Takes events out of a destination's dead letters, if it has any: their ids stand in a blob, as for get_events.
WITH RECURSIVE places (place) AS (
    SELECT 1 WHERE EXISTS (SELECT 1 FROM dead_letters WHERE destination = :destination)
    UNION ALL
    SELECT place + 16 FROM places WHERE place + 16 < length(:event_ids)
)
DELETE FROM dead_letters
WHERE destination = :destination AND event_id IN (SELECT substr(:event_ids, place, 16) FROM places);

-- name: dead_letters
-- Gives a destination's dead letters behind an event, the oldest event first.
SELECT destination, event_id, answer, at, retried FROM dead_letters
WHERE destination = ? AND event_id > ? ORDER BY event_id LIMIT ?;

-- name: retry_all
-- Asks for another attempt at all dead letters of a destination.
UPDATE dead_letters SET retried = 1 WHERE destination = ?;

-- name: retry
-- Asks for another attempt at a dead letter of a destination.
UPDATE dead_letters SET retried = 1 WHERE destination = ? AND event_id = ?;

-- name: retried
-- Gives the first events at which another attempt is to be made for a destination.
SELECT position, event_id, type, recipient, message_id, list, body, signals, verdict, revised, site_id
FROM dead_letters INDEXED BY dead_letters_retried JOIN events USING (position, event_id)
LEFT JOIN verdicts USING (position)
WHERE destination = ? AND retried
ORDER BY position LIMIT ?;

-- name: overdue_unsubscribes
-- Counts the unsubscribes from before an id that lie behind a position or are a destination's dead letters.
SELECT count(*) FROM (
    SELECT * FROM (
        SELECT event_id FROM events INDEXED BY events_rare
        WHERE type NOT IN ('open', 'click') AND type = 'unsubscribe' AND position > :position AND event_id < :until
        LIMIT :limit
    )
    UNION
    SELECT * FROM (
        SELECT event_id FROM dead_letters CROSS JOIN events USING (event_id)
        WHERE destination = :destination AND event_id < :until AND type = 'unsubscribe'
        LIMIT :limit
    )
);

-- name: dead_letter_counts
-- Counts the dead letters of each destination.
SELECT destination, count(*) FROM dead_letters GROUP BY destination;

-- name: person
-- Gives what is known of a person.
SELECT person, consent, at, how, forgotten, change FROM people WHERE person = ?;

-- name: people
-- Gives people by the number of their last change.
SELECT person, consent, at, how, forgotten, change FROM people WHERE change > ? ORDER BY change LIMIT ?;

-- name: consent
-- Keeps what a person said. The next number is never below the time, for the file may have been begun in another's place.
INSERT INTO people (person, consent, at, how, forgotten, change)
SELECT :person, :consent, :at, :how, :forgotten, max(coalesce(max(change), 0) + 1, :milliseconds) FROM people WHERE TRUE
ON CONFLICT (person) DO UPDATE
SET consent = excluded.consent, at = excluded.at, how = excluded.how, forgotten = max(forgotten, excluded.forgotten),
    change = excluded.change;

-- name: forgotten
-- Notes that a person was forgotten.
INSERT INTO people (person, forgotten, change)
SELECT :person, :now, max(coalesce(max(change), 0) + 1, :milliseconds) FROM people WHERE TRUE
ON CONFLICT (person) DO UPDATE SET forgotten = excluded.forgotten, change = excluded.change;

-- name: blocked
-- Gives blocks by the number of their last change.
SELECT kind, value, since, why, lifted, change FROM blocked WHERE change > ? ORDER BY change LIMIT ?;

-- name: block_of
-- Gives what stands of a host, a link or a letter.
SELECT kind, value, since, why, lifted, change FROM blocked WHERE kind = ? AND value = ?;

-- name: block
-- Keeps a block, or that it was lifted; its number is as a person's.
INSERT INTO blocked (kind, value, since, why, lifted, change)
SELECT :kind, :value, :since, :why, :lifted, max(coalesce(max(change), 0) + 1, :milliseconds) FROM blocked WHERE TRUE
ON CONFLICT (kind, value) DO UPDATE
SET since = excluded.since, why = excluded.why, lifted = excluded.lifted, change = excluded.change;

-- name: events_of
-- Gives the events of a recipient, those under the keyed hash, and the verdict events about any of them.
WITH theirs (position, event_id) AS MATERIALIZED (
    SELECT position, event_id FROM blocks CROSS JOIN events INDEXED BY events_by_recipient ON position / 4096 = +block
    WHERE recipient_sum = :recipient_sum AND recipient = :recipient COLLATE NOCASE
    UNION
    SELECT position, event_id FROM blocks CROSS JOIN events INDEXED BY events_by_recipient ON position / 4096 = +block
    WHERE recipient_sum = :person_sum AND recipient = :person COLLATE NOCASE
)
SELECT position, event_id FROM theirs
UNION
SELECT events.position, events.event_id FROM theirs CROSS JOIN events ON about = theirs.event_id;

-- name: blank_event
-- Overwrites an event in its place: deleting rows moves others, and leaves stale copies of them behind.
UPDATE events
SET recipient = CAST(zeroblob(length(CAST(recipient AS BLOB))) AS TEXT),
    message_id = CAST(zeroblob(length(CAST(message_id AS BLOB))) AS TEXT),
    body = zeroblob(length(body)), signals = zeroblob(length(signals))
WHERE position = ? AND event_id = ?;

-- name: delete_dead_letter
-- Deletes the dead letters of an event, whosever they are.
DELETE FROM dead_letters WHERE event_id = ?;

-- name: batches
-- Gives every pinned batch.
SELECT reader, id, event_ids, last, content_type, passed_over, body, parts FROM batches;

-- name: unpin_all
-- Takes all batches away; without a condition SQLite frees, and so overwrites, whole pages.
DELETE FROM batches;

-- name: repin
-- Puts a batch back as it was.
INSERT INTO batches (reader, id, event_ids, last, content_type, passed_over, body, parts)
VALUES (?, ?, ?, ?, ?, ?, ?, ?);

-- name: outdate_cursors
-- Makes every cursor another than was read: nobody pins what they read before.
UPDATE cursors SET revision = revision + 1;

-- name: suppress_person
-- Puts the keyed hash of a recipient where the recipient stands among the suppressions; the first date counts.
INSERT INTO suppressions (recipient, list, since, message_id)
SELECT :person, list, since, '' FROM suppressions WHERE recipient = :recipient AND recipient <> :person
ON CONFLICT (recipient, list) DO UPDATE SET since = min(since, excluded.since), message_id = '';

-- name: release_person
-- Takes a recipient out of all suppressions.
DELETE FROM suppressions WHERE recipient = :recipient AND recipient <> :person;

-- name: renew_suppressions_index
-- Makes the index anew: its pages are freed, and so overwritten, with all stale copies in them.
REINDEX suppressions_by_recipient;
