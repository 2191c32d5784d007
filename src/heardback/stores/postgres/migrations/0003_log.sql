-- Writing to the log, each in one call: a node that dies or freezes half way leaves no lock behind.

CREATE TYPE given AS (
    event_id       uuid,
    type           text,
    recipient      text,
    message_id     text,
    list           text,
    body           bytea,
    signals        bytea,
    site_id        bytea,
    about          uuid,
    recipient_sum  integer,
    message_id_sum integer,
    verdict        bytea,
    revised        bytea,
    class          text,
    suppression    uuid  -- of an unsubscribe: the key under which the suppression stands
);

CREATE FUNCTION append(records given[], pressing boolean DEFAULT TRUE) RETURNS void LANGUAGE plpgsql AS $$
    -- Appends records. No statement goes through every week's partitions but where it must. Where nobody is pressing a
    -- button now, for they come from another store, unsubscribes are like all others.
DECLARE
    base      bigint;
    week      integer;
    press     record;
    ids       uuid[] := '{}';
    positions bigint[] := '{}';
BEGIN
    PERFORM lock_log();
    FOR week IN SELECT DISTINCT week_of(event_id) FROM unnest(records) LOOP
        PERFORM make_week(week), make_week(week + 1);
    END LOOP;
    SELECT coalesce(max(last), 0) INTO base FROM tally WHERE block = (SELECT max(block) FROM tally);

    -- One by one: each must see those before it.
    FOR press IN
        SELECT * FROM unnest(records) WITH ORDINALITY WHERE type = 'unsubscribe' AND pressing ORDER BY ordinality
    LOOP
        INSERT INTO suppressions (key, recipient, list, since, message_id, recipient_sum)
        VALUES (press.suppression, press.recipient, press.list, milliseconds_of(press.event_id), press.message_id,
                press.recipient_sum)
        ON CONFLICT DO NOTHING;
        INSERT INTO events
        SELECT press.event_id, base + press.ordinality, press.type, press.recipient, press.message_id, press.list,
               press.body, press.signals, press.site_id, press.about, press.recipient_sum, press.message_id_sum
        WHERE NOT EXISTS (
            SELECT FROM events
            WHERE recipient_sum = press.recipient_sum
              AND event_id >= first_id(greatest(milliseconds_of(press.event_id) - 3599999, 0))
              AND event_id < first_id(milliseconds_of(press.event_id) + 3600000)
              AND lower(recipient) = lower(press.recipient COLLATE "C")
              AND message_id = press.message_id AND list = press.list AND type = press.type
              -- who subscribed again in between unsubscribes anew
              AND milliseconds_of(event_id) >= (SELECT since FROM suppressions WHERE key = press.suppression)
        )
        ON CONFLICT DO NOTHING;
        IF FOUND THEN
            ids := ids || press.event_id;
            positions := positions || base + press.ordinality;
        END IF;
    END LOOP;

    INSERT INTO site_ids (site_id, event_id)
    SELECT site_id, event_id FROM unnest(records) WITH ORDINALITY
    WHERE site_id IS NOT NULL ORDER BY ordinality
    ON CONFLICT DO NOTHING;

    WITH others AS (
        INSERT INTO events
        SELECT event_id, base + ordinality, type, recipient, message_id, list, body, signals, site_id, about,
               recipient_sum, message_id_sum
        FROM unnest(records) WITH ORDINALITY AS fresh
        WHERE (type <> 'unsubscribe' OR NOT pressing)
          AND (site_id IS NULL OR EXISTS (
              SELECT FROM site_ids WHERE (site_ids.site_id, site_ids.event_id) = (fresh.site_id, fresh.event_id)
          ))
        ORDER BY ordinality
        ON CONFLICT DO NOTHING
        RETURNING event_id, position
    ), appended AS (
        SELECT event_id, position FROM others
        UNION ALL SELECT * FROM unnest(ids, positions)
    )
    INSERT INTO tally (block, week, events, last)
    SELECT position / 1000, week_of(event_id), count(*), max(position) FROM appended GROUP BY 1, 2
    ON CONFLICT ON CONSTRAINT tally_pkey DO UPDATE
    SET events = tally.events + excluded.events, last = excluded.last;

    IF EXISTS (SELECT FROM unnest(records) WHERE class IS NOT NULL) THEN
        INSERT INTO verdicts (event_id, verdict, revised, class)
        SELECT event_id, fresh.verdict, fresh.revised, fresh.class
        FROM unnest(records) AS fresh JOIN events USING (event_id)
        WHERE fresh.class IS NOT NULL
        ON CONFLICT DO NOTHING;
    END IF;
END $$;

CREATE FUNCTION revise(event_ids uuid[], verdicts bytea[], classes text[], told given[]) RETURNS void
LANGUAGE plpgsql AS $$
    -- Keeps later verdicts, and appends what tells of them, both on events that are there.
BEGIN
    PERFORM lock_log();
    INSERT INTO verdicts AS known (event_id, revised, class)
    SELECT event_id, revised, class FROM unnest(event_ids, verdicts, classes) AS judged (event_id, revised, class)
    JOIN events USING (event_id)
    ON CONFLICT ON CONSTRAINT verdicts_pkey DO UPDATE SET revised = excluded.revised, class = excluded.class;
    PERFORM append(ARRAY(
        SELECT told[number] FROM generate_subscripts(told, 1) AS number
        WHERE EXISTS (SELECT FROM events WHERE event_id = told[number].about)
        ORDER BY number
    ));
END $$;

CREATE TYPE found AS (
    position   bigint,
    event_id   uuid,
    type       text,
    recipient  text,
    message_id text,
    list       text,
    body       bytea,
    signals    bytea,
    verdict    bytea,
    revised    bytea,
    site_id    bytea
);

CREATE FUNCTION read_log(place bigint, amount bigint, max_bytes bigint) RETURNS SETOF found STABLE LANGUAGE plpgsql AS $$
    -- The events behind a position, oldest first: the first, and more while the bodies keep within max_bytes. Lengths
    -- alone go through the window, so that no more bodies are read than are given. Stable, so that it sees one state.
DECLARE
    since uuid;
BEGIN
    -- Weeks that have nothing behind the position are not even opened.
    SELECT first_id_of(min(week)) INTO since FROM weeks
    WHERE (SELECT max(block) FROM tally WHERE tally.week = weeks.week) >= place / 1000;
    RETURN QUERY
    SELECT page.position, page.event_id, page.type, page.recipient, page.message_id, page.list, page.body, page.signals,
           verdicts.verdict, verdicts.revised, page.site_id
    FROM (
        SELECT events.*, sum(octet_length(body)) OVER (ORDER BY position ROWS UNBOUNDED PRECEDING) AS bytes
        FROM events WHERE position > place AND event_id >= since ORDER BY position LIMIT amount
    ) AS page
    LEFT JOIN verdicts ON verdicts.event_id = page.event_id AND verdicts.event_id >= since
    WHERE bytes <= max_bytes OR bytes = octet_length(body)
    ORDER BY position;
END $$;

CREATE FUNCTION events_deleted() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
    -- What is about events goes with them.
BEGIN
    DELETE FROM verdicts USING gone WHERE verdicts.event_id = gone.event_id;
    DELETE FROM site_ids USING gone WHERE site_ids.site_id = gone.site_id AND site_ids.event_id = gone.event_id;
    UPDATE tally SET events = tally.events - fewer.events
    FROM (
        SELECT position / 1000 AS block, week_of(event_id) AS week, count(*) AS events FROM gone GROUP BY 1, 2
    ) AS fewer
    WHERE (tally.block, tally.week) = (fewer.block, fewer.week);
    RETURN NULL;
END $$;

CREATE TRIGGER events_deleted AFTER DELETE ON events
REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION events_deleted();

CREATE FUNCTION expire(before uuid, settled bigint, after uuid, amount integer, OUT deleted bigint, OUT last uuid)
LANGUAGE plpgsql AS $$
    -- Deletes the next events behind an id and before another, up to a position; a week at once where all of it may go.
DECLARE
    next integer;
BEGIN
    PERFORM lock_log();
    SELECT week_of(event_id) INTO next FROM events WHERE event_id > after AND event_id < before ORDER BY event_id LIMIT 1;
    IF first_id_of(next + 1) <= before
        AND NOT EXISTS (SELECT FROM tally WHERE tally.week = next AND tally.last > settled)
        AND NOT EXISTS (SELECT FROM dead_letters WHERE event_id >= first_id_of(next) AND event_id < first_id_of(next + 1))
    THEN
        deleted := drop_week(next);
        last := first_id_of(next + 1);
    END IF;
    IF deleted IS NULL THEN
        WITH looked_at AS MATERIALIZED (
            SELECT event_id, position FROM events
            WHERE event_id > after AND event_id < before ORDER BY event_id LIMIT amount
        ), gone AS (
            DELETE FROM events USING looked_at
            WHERE events.event_id = looked_at.event_id AND looked_at.position <= settled
              AND NOT EXISTS (SELECT FROM dead_letters WHERE dead_letters.event_id = looked_at.event_id)
            RETURNING 1
        )
        SELECT (SELECT count(*) FROM gone), (SELECT event_id FROM looked_at ORDER BY event_id DESC LIMIT 1)
        INTO deleted, last;
    END IF;
END $$;

CREATE FUNCTION shrink() RETURNS boolean LANGUAGE plpgsql AS $$
    -- Drops a week of the past that has no events any more; says whether there was one.
DECLARE
    empty integer;
BEGIN
    PERFORM lock_log();
    SELECT week INTO empty FROM weeks
    WHERE week < extract(epoch FROM now()) / 604800 - 2
      AND NOT EXISTS (SELECT FROM tally WHERE tally.week = weeks.week AND tally.events > 0)
    ORDER BY week LIMIT 1;
    RETURN empty IS NOT NULL AND drop_week(empty) IS NOT NULL;
END $$;

CREATE FUNCTION next_change(milliseconds bigint) RETURNS bigint LANGUAGE plpgsql AS $$
    -- The next number of a change to people, which become visible in their order; never below the time, for the
    -- database may have been put back to an earlier state.
BEGIN
    PERFORM pg_advisory_xact_lock(1212498258, 2);
    RETURN (SELECT greatest(coalesce(max(change), 0) + 1, milliseconds) FROM people);
END $$;
