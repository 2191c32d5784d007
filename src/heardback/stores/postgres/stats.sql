-- The statements that keep and give counts. Each has a name and says what it does.

-- name: state
-- Says how far events are counted.
SELECT position, next, changes FROM tallied;

-- name: lock_state
-- Says the same, and keeps everybody else from changing counts to the end of the transaction.
SELECT position, next, changes FROM tallied FOR UPDATE;

-- name: save_state
-- Notes how far events are counted.
UPDATE tallied SET position = $1, next = $2, changes = changes + 1;

-- name: page
-- Gives so many ($3) events behind a position, up to another; $4 is no bound.
SELECT * FROM read_log($1, $3, $4) WHERE position <= $2;

-- name: numbers
-- Gives key and number of series.
SELECT key, number FROM series WHERE key = ANY ($1);

-- name: histories
-- Gives the histories that stand at some places.
SELECT letter, reader, entries FROM unnest($1::bigint[], $2::bigint[]) AS places (letter, reader)
JOIN histories USING (letter, reader);

-- name: add_series
-- Adds series.
INSERT INTO series (number, key, parent, name) SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[]);

-- name: age_series
-- Notes the last days of series.
UPDATE series SET last = aged.last FROM unnest($1::bigint[], $2::integer[]) AS aged (number, last)
WHERE series.number = aged.number AND coalesce(series.last, -1) < aged.last;

-- name: put_histories
-- Writes histories.
INSERT INTO histories (letter, reader, last, entries)
SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::integer[], $4::bytea[])
ON CONFLICT (letter, reader) DO UPDATE SET last = excluded.last, entries = excluded.entries;

-- name: drop_histories
-- Takes histories away.
DELETE FROM histories USING unnest($1::bigint[], $2::bigint[]) AS gone (letter, reader)
WHERE (histories.letter, histories.reader) = (gone.letter, gone.reader);

-- name: add
-- Adds to counts of series that there are.
INSERT INTO counts AS known (series, hour, kind, events)
SELECT added.* FROM unnest($1::bigint[], $2::integer[], $3::integer[], $4::bigint[]) AS added (series, hour, kind, events)
WHERE EXISTS (SELECT FROM series WHERE number = added.series)
ON CONFLICT (series, hour, kind) DO UPDATE SET events = known.events + excluded.events;

-- name: drop_counts
-- Takes those of some counts away that are of nothing.
DELETE FROM counts USING unnest($1::bigint[], $2::integer[], $3::integer[]) AS less (series, hour, kind)
WHERE (counts.series, counts.hour, counts.kind) = (less.series, less.hour, less.kind) AND events = 0;

-- name: drop_series
-- Deletes those of some series in which nothing is counted.
DELETE FROM series WHERE number = ANY ($1) AND NOT EXISTS (SELECT FROM counts WHERE counts.series = number);

-- name: children
-- Gives the series under another with something counted from one hour to before another, the highest numbers first.
SELECT number, name FROM series
WHERE parent = $1 AND number < $4
  AND EXISTS (SELECT FROM counts WHERE counts.series = number AND hour >= $2::bigint AND hour < $3::bigint)
ORDER BY number DESC LIMIT $5;

-- name: most
-- Gives those of the newest series under another with the most counted from one hour to before another.
SELECT number, name FROM (SELECT number, name FROM series WHERE parent = $1 ORDER BY number DESC LIMIT $4) AS newest
CROSS JOIN LATERAL (
    SELECT sum(events) AS events FROM counts WHERE series = number AND hour >= $2::bigint AND hour < $3::bigint
) AS counted
WHERE counted.events > 0
ORDER BY counted.events DESC, number LIMIT $5;

-- name: counts
-- Gives what is counted of series, from one hour to before another, by spans of so many hours; 0 is one span.
SELECT series, CASE $4::integer WHEN 0 THEN 0 ELSE hour / $4 * $4 END AS span, kind, sum(events)::bigint
FROM counts WHERE series = ANY ($1) AND hour >= $2::bigint AND hour < $3::bigint
GROUP BY 1, 2, 3;

-- name: drop_old_histories
-- Deletes some of the histories whose last day lies before another; gives one for each.
DELETE FROM histories WHERE (letter, reader) IN (SELECT letter, reader FROM histories WHERE last < $1 LIMIT $2)
RETURNING letter;

-- name: drop_old_series
-- Deletes some of the series whose last day lies before another, with their counts, those under another before it: who
-- comes back in between must not be counted under what is no more. Gives one for each.
WITH old AS (
    SELECT number FROM series
    WHERE last < $1 AND NOT EXISTS (SELECT FROM series AS child WHERE child.parent = series.number) LIMIT $2
), emptied AS (
    DELETE FROM counts USING old WHERE counts.series = old.number
)
DELETE FROM series USING old WHERE series.number = old.number RETURNING series.number;
