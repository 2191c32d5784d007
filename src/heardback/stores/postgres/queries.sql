-- Every statement that the store makes, but for those of migrations. Each has a name and says what it does.

-- name: append
-- Appends records; $2 says whether unsubscribes are presses of a button now.
SELECT append($1, $2);

-- name: read_events
-- Gives the events behind a position ($1), oldest first: the first, and of $2 more while the bodies keep within $3.
SELECT * FROM read_log($1, $2, $3);

-- name: find_events
-- Gives events newest first that meet {conditions}, see rows.search; $1 is how many.
SELECT position, event_id, type, recipient, message_id, list, body, signals, verdict, revised, site_id
FROM events LEFT JOIN verdicts USING (event_id)
WHERE {conditions}
ORDER BY position DESC LIMIT $1;

-- name: get_events
-- Gives the events that have these ids.
SELECT position, event_id, type, recipient, message_id, list, body, signals, verdict, revised, site_id
FROM events LEFT JOIN verdicts USING (event_id)
WHERE event_id = ANY ($1) ORDER BY position;

-- name: site_events
-- Gives the events of site ids.
SELECT site_id, event_id FROM site_ids WHERE site_id = ANY ($1);

-- name: neighbours
-- Gives the number of each vicinity with the events in it; $7 is how many are looked at, $8 and $9 are the first and the
-- last time of all.
SELECT number, (event).* FROM neighbours($1, $2, $3, $4, $5, $6, $7, $8, $9);

-- name: keep
-- Keeps the first verdicts on events; $4 and $5 are the first and the last of those.
SELECT keep($1, $2, $3, $4, $5);

-- name: revise
-- Keeps later verdicts, and appends the verdict events that tell of them.
SELECT revise($1, $2, $3, $4);

-- name: end
-- Gives the highest position that an event ever had.
SELECT coalesce(max(last), 0) FROM tally WHERE block = (SELECT max(block) FROM tally);

-- name: position_at
-- Gives the position before the first event whose id is not below the given one; nothing without such an event.
SELECT min(position) - 1 FROM events WHERE event_id >= $1;

-- name: waiting
-- Counts the events behind a position: one by one to the end of its thousand, then by the tally.
SELECT (SELECT count(*) FROM events WHERE position > $1 AND position < ($1 / 1000 + 1) * 1000)
    + (SELECT coalesce(sum(events), 0) FROM tally WHERE block > $1 / 1000)::bigint;

-- name: expire
-- Deletes events from before an id ($1) up to a position ($2), of the next $4 behind an id ($3).
SELECT deleted, last FROM expire($1, $2, $3, $4);

-- name: shrink
-- Drops a week that has no events any more; says whether there was one.
SELECT shrink();

-- name: start_cursor
-- Makes a reader's cursor where there is none.
INSERT INTO cursors (name, position) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING;

-- name: cursor
-- Gives a reader's cursor and its batch.
SELECT name, position, attempts, first_attempt, due, holder, lease_until, paused, last_answer, last_answer_at,
       delivered, cursors.passed_over, ceiling, suspects, alarmed_at, revision,
       id, event_ids, last, content_type, batches.passed_over, body, parts
FROM cursors LEFT JOIN batches ON reader = name WHERE name = $1;

-- name: cursors
-- Gives every cursor; the bodies of the batches are left out.
SELECT name, position, attempts, first_attempt, due, holder, lease_until, paused, last_answer, last_answer_at,
       delivered, cursors.passed_over, ceiling, suspects, alarmed_at, revision,
       id, event_ids, last, content_type, batches.passed_over, ''::bytea AS body, parts
FROM cursors LEFT JOIN batches ON reader = name ORDER BY name;

-- name: save_cursor
-- Writes a cursor if it still has the revision that it was read with, and then its batch ($17 is its id, NULL where it
-- has none) and its dead letters; gives how many were written. A batch that is pinned already stays as it is: the same
-- id is the same bytes. An event that was refused before keeps the latest answer.
WITH saved AS (
    UPDATE cursors
    SET position = $3, attempts = $4, first_attempt = $5, due = $6, holder = $7, lease_until = $8, paused = $9,
        last_answer = $10, last_answer_at = $11, delivered = $12, passed_over = $13, ceiling = $14, suspects = $15,
        alarmed_at = $16, revision = revision + 1
    WHERE name = $1 AND revision = $2
    RETURNING name
), unpinned AS (
    DELETE FROM batches USING saved WHERE reader = name AND $17::text IS NULL
), pinned AS (
    INSERT INTO batches AS known (reader, id, event_ids, last, content_type, passed_over, body, parts)
    SELECT name, $17, $18, $19, $20, $21, $22, $23 FROM saved WHERE $17 IS NOT NULL
    ON CONFLICT (reader) DO UPDATE
    SET id = excluded.id, event_ids = excluded.event_ids, last = excluded.last, content_type = excluded.content_type,
        passed_over = excluded.passed_over, body = excluded.body, parts = excluded.parts
    WHERE known.id <> excluded.id
), buried AS (
    INSERT INTO dead_letters AS known (destination, event_id, answer, at, position)
    SELECT name, dead.event_id, dead.answer, dead.at, position_of(dead.event_id)
    FROM saved CROSS JOIN unnest($24::uuid[], $25::text[], $26::double precision[]) AS dead (event_id, answer, at)
    ON CONFLICT (destination, event_id) DO UPDATE SET answer = excluded.answer, at = excluded.at, retried = FALSE
), unburied AS (
    DELETE FROM dead_letters USING saved WHERE destination = name AND event_id = ANY ($27::uuid[])
)
SELECT count(*) FROM saved;

-- name: dead_letters
-- Gives a destination's dead letters behind an event, the oldest event first.
SELECT destination, event_id, answer, at, retried FROM dead_letters
WHERE destination = $1 AND event_id > $2 ORDER BY event_id LIMIT $3;

-- name: retry
-- Asks for another attempt at a destination's dead letters, all or those of some events; gives how many those are.
WITH asked AS (
    UPDATE dead_letters SET retried = TRUE WHERE destination = $1 AND ($2::uuid[] IS NULL OR event_id = ANY ($2))
    RETURNING 1
)
SELECT count(*) FROM asked;

-- name: retried
-- Gives the first events at which another attempt is to be made for a destination.
SELECT events.position, event_id, type, recipient, message_id, list, body, signals, verdict, revised, site_id
FROM dead_letters JOIN events USING (event_id) LEFT JOIN verdicts USING (event_id)
WHERE destination = $1 AND retried
ORDER BY dead_letters.position LIMIT $2;

-- name: overdue_unsubscribes
-- Counts the unsubscribes from before an id ($3) that lie behind a position or are a destination's dead letters.
SELECT count(*) FROM (
    (
        SELECT event_id FROM events
        WHERE type NOT IN ('open', 'click') AND type = 'unsubscribe' AND position > $2 AND event_id < $3
        LIMIT $4
    )
    UNION
    (
        SELECT event_id FROM dead_letters JOIN events USING (event_id)
        WHERE destination = $1 AND event_id < $3 AND type = 'unsubscribe'
        LIMIT $4
    )
) AS overdue;

-- name: dead_letter_counts
-- Counts the dead letters of each destination.
SELECT destination, count(*) FROM dead_letters GROUP BY destination;

-- name: delete_dead_letters
-- Deletes some of the dead letters that were buried before a time; gives how many.
WITH gone AS (
    DELETE FROM dead_letters WHERE (destination, event_id) IN (
        SELECT destination, event_id FROM dead_letters WHERE at < $1 ORDER BY at LIMIT $2
    )
    RETURNING 1
)
SELECT count(*) FROM gone;

-- name: suppression
-- Gives the suppression that stands under a key.
SELECT recipient, list, since, message_id FROM suppressions WHERE key = $1;

-- name: suppressions
-- Gives the suppressions of a list, or of all for NULL, behind one of them.
SELECT recipient, list, since, message_id FROM suppressions
WHERE (left(lower(recipient), 500), lower(recipient), list) > (left(lower($1 COLLATE "C"), 500), lower($1 COLLATE "C"), $2)
  AND ($3::text IS NULL OR list = $3)
ORDER BY left(lower(recipient), 500), lower(recipient), list LIMIT $4;

-- name: suppress
-- Puts a recipient among the suppressions, and gives what stands there; one who stands there keeps the first date.
INSERT INTO suppressions AS known (key, recipient, list, since, message_id, recipient_sum)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (key) DO UPDATE SET since = known.since
RETURNING recipient, list, since, message_id;

-- name: suppress_all
-- Puts recipients among the suppressions, but not where one stands there, or who was forgotten does under another key;
-- gives how many. Presses of a button add several too, as they come: with the lock of the log neither waits for the
-- other in a ring.
WITH locked AS MATERIALIZED (
    SELECT lock_log()
), added AS (
    INSERT INTO suppressions (key, recipient, list, since, message_id, recipient_sum)
    SELECT key, recipient, list, since, message_id, recipient_sum
    FROM locked, unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::integer[], $7::uuid[])
        WITH ORDINALITY AS given (key, recipient, list, since, message_id, recipient_sum, other, number)
    WHERE NOT EXISTS (SELECT 1 FROM suppressions AS known WHERE known.key = given.other)
    ORDER BY number
    ON CONFLICT (key) DO NOTHING
    RETURNING key
)
SELECT count(*) FROM added;

-- name: release
-- Takes what stands under a key out of the suppressions; gives it.
DELETE FROM suppressions WHERE key = $1 RETURNING list;

-- name: person
-- Gives what is known of a person.
SELECT person, consent, at, how, forgotten, change FROM people WHERE person = $1;

-- name: people
-- Gives people by the number of their last change.
SELECT person, consent, at, how, forgotten, change FROM people WHERE change > $1 ORDER BY change LIMIT $2;

-- name: consent
-- Keeps what a person said, and gives what stands.
INSERT INTO people AS known (person, consent, at, how, forgotten, change)
VALUES ($1, $2, $3, $4, $5, next_change($6))
ON CONFLICT (person) DO UPDATE
SET consent = excluded.consent, at = excluded.at, how = excluded.how,
    forgotten = greatest(known.forgotten, excluded.forgotten), change = excluded.change
RETURNING person, consent, at, how, forgotten, change;

-- name: forgotten
-- Notes that a person was forgotten.
INSERT INTO people (person, forgotten, change) VALUES ($1, $2, next_change($3))
ON CONFLICT (person) DO UPDATE SET forgotten = excluded.forgotten, change = excluded.change;

-- name: blocked
-- Gives blocks by the number of their last change.
SELECT kind, value, since, why, lifted, change FROM blocked WHERE change > $1 ORDER BY change LIMIT $2;

-- name: block
-- Keeps a block, or that it was lifted, and gives what stands.
INSERT INTO blocked (key, kind, value, since, why, lifted, change)
VALUES ($1, $2, $3, $4, $5, $6, next_block_change($7))
ON CONFLICT (key) DO UPDATE
SET since = excluded.since, why = excluded.why, lifted = excluded.lifted, change = excluded.change
RETURNING kind, value, since, why, lifted, change;

-- name: lock_log
-- Keeps everybody else from writing to the log, to the end of the transaction.
SELECT lock_log();

-- name: outdate_cursors
-- Makes every cursor another than was read: nobody pins what they read before.
UPDATE cursors SET revision = revision + 1;

-- name: events_of
-- Gives the events of a recipient, those under the keyed hash, and the verdict events about any of them.
WITH theirs AS MATERIALIZED (
    SELECT event_id FROM events
    WHERE recipient_sum = $2 AND lower(recipient) = lower($1 COLLATE "C")
    UNION
    SELECT event_id FROM events WHERE recipient_sum = $4 AND recipient = $3
)
SELECT event_id FROM theirs
UNION
SELECT events.event_id FROM theirs JOIN events ON about = theirs.event_id;

-- name: readers_of
-- Gives those whose pinned batch holds one of the events.
SELECT reader FROM batches WHERE event_ids && $1;

-- name: delete_events_dead_letters
-- Deletes the dead letters of events, whosever they are; gives one for each.
DELETE FROM dead_letters WHERE event_id = ANY ($1) RETURNING destination;

-- name: delete_events
-- Deletes events.
DELETE FROM events WHERE event_id = ANY ($1);

-- name: suppressions_of
-- Takes a recipient out of the suppressions; gives what stood there.
DELETE FROM suppressions WHERE recipient_sum = $2 AND lower(recipient) = lower($1 COLLATE "C") AND recipient <> $3
RETURNING list, since;

-- name: suppress_person
-- Puts a keyed hash among the suppressions; the first date counts.
INSERT INTO suppressions AS known (key, recipient, list, since, message_id, recipient_sum)
VALUES ($1, $2, $3, $4, '', $5)
ON CONFLICT (key) DO UPDATE SET since = least(known.since, excluded.since), message_id = '';

-- name: note_untidy
-- Notes in which weeks' events, NULL for the tables of little, deleted rows are to be taken out of their pages.
INSERT INTO untidy (week) SELECT unnest($1::integer[]);

-- name: untidy
-- Gives where that has to be done: the week, whether it is still there, and the notes of it.
SELECT week, week IS NULL OR EXISTS (SELECT 1 FROM weeks WHERE weeks.week = untidy.week), array_agg(number)
FROM untidy GROUP BY week ORDER BY week;

-- name: tidied
-- Takes notes away.
DELETE FROM untidy WHERE number = ANY($1);
