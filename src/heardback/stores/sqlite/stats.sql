-- The statements that keep and give counts. Each has a name and says what it does.

-- name: state
-- Says how far events are counted.
SELECT position, next, changes FROM tallied;

-- name: save_state
-- Notes how far events are counted.
UPDATE tallied SET position = ?, next = ?, changes = changes + 1;

-- name: change
-- Notes that counts are changed.
UPDATE tallied SET changes = changes + 1;

-- name: page
-- Gives the events behind a position, up to another.
SELECT position, event_id, type, recipient, message_id, list, body, signals, verdict, revised, site_id
FROM events LEFT JOIN verdicts USING (position)
WHERE position > ? AND position <= ? ORDER BY position LIMIT ?;

-- name: numbers
-- Gives key and number of the series whose keys stand in a JSON array.
SELECT series.key, number FROM json_each(?) AS wanted CROSS JOIN series ON series.key = wanted.value;

-- name: histories
-- Gives the histories whose places stand in a JSON array, each an array itself.
SELECT letter, reader, entries
FROM json_each(?) CROSS JOIN histories ON letter = json_extract(value, '$[0]') AND reader = json_extract(value, '$[1]');

-- name: add_series
-- Adds a series.
INSERT INTO series (number, key, parent, name) VALUES (?, ?, ?, ?);

-- name: age_series
-- Notes the last day of a series.
UPDATE series SET last = ?2 WHERE number = ?1 AND coalesce(last, -1) < ?2;

-- name: put_history
-- Writes a history.
INSERT INTO histories (letter, reader, last, entries) VALUES (?, ?, ?, ?)
ON CONFLICT (letter, reader) DO UPDATE SET last = excluded.last, entries = excluded.entries;

-- name: drop_history
-- Takes a history away.
DELETE FROM histories WHERE letter = ? AND reader = ?;

-- name: add
-- Adds to a count of a series that there is.
INSERT INTO counts (series, hour, kind, events)
SELECT ?1, ?2, ?3, ?4 WHERE EXISTS (SELECT 1 FROM series WHERE number = ?1)
ON CONFLICT (series, hour, kind) DO UPDATE SET events = events + excluded.events;

-- name: drop_count
-- Takes a count of nothing away.
DELETE FROM counts WHERE series = ? AND hour = ? AND kind = ? AND events = 0;

-- name: blank_series
-- Overwrites the name of a series in which nothing is counted; see blank_event.
UPDATE series SET name = CAST(zeroblob(length(CAST(name AS BLOB))) AS TEXT)
WHERE number = ?1 AND NOT EXISTS (SELECT 1 FROM counts WHERE series = ?1);

-- name: drop_series
-- Deletes a series in which nothing is counted.
DELETE FROM series WHERE number = ?1 AND NOT EXISTS (SELECT 1 FROM counts WHERE series = ?1);

-- name: children
-- Gives the series under another with something counted from one hour to before another, the highest numbers first.
SELECT number, name FROM series
WHERE parent = ?1 AND number < ?4
  AND EXISTS (SELECT 1 FROM counts WHERE series = number AND hour >= ?2 AND hour < ?3)
ORDER BY number DESC LIMIT ?5;

-- name: most
-- Gives those of the newest series under another with the most counted from one hour to before another.
SELECT number, name
FROM (SELECT number, name FROM series INDEXED BY series_by_parent WHERE parent = ?1 ORDER BY number DESC LIMIT ?4)
CROSS JOIN counts ON series = number AND hour >= ?2 AND hour < ?3
GROUP BY number ORDER BY sum(events) DESC, number LIMIT ?5;

-- name: counts
-- Gives what is counted of the series in a JSON array, from one hour to before another, by spans of so many hours.
SELECT series, coalesce(hour / ?4 * ?4, 0) AS span, kind, sum(events)
FROM json_each(?1) CROSS JOIN counts ON series = value AND hour >= ?2 AND hour < ?3
GROUP BY 1, 2, 3;

-- name: drop_old_histories
-- Deletes some of the histories whose last day lies before another.
DELETE FROM histories WHERE (letter, reader) IN (
    SELECT letter, reader FROM histories INDEXED BY histories_by_age WHERE last < ? LIMIT ?
);

-- name: old_series
-- Gives some of the series whose last day lies before another, those under another before it: who comes back in between
-- must not be counted under what is no more.
SELECT number FROM series INDEXED BY series_by_age
WHERE last < ? AND NOT EXISTS (SELECT 1 FROM series AS child WHERE child.parent = series.number) LIMIT ?;

-- name: drop_counts
-- Deletes what is counted in a series.
DELETE FROM counts WHERE series = ?;
