-- Partitions: a week of ids each, made as they are needed and one ahead, dropped whole.

CREATE FUNCTION first_id(milliseconds bigint) RETURNS uuid IMMUTABLE LANGUAGE sql AS $$
    -- The lowest UUID version 7 of a millisecond, but for the bits of its version.
    SELECT rpad(lpad(to_hex(milliseconds), 12, '0'), 32, '0')::uuid
$$;

CREATE FUNCTION milliseconds_of(id uuid) RETURNS bigint IMMUTABLE LANGUAGE sql AS $$
    SELECT ('x' || translate(left(id::text, 13), '-', ''))::bit(48)::bigint
$$;

CREATE FUNCTION week_of(id uuid) RETURNS integer IMMUTABLE LANGUAGE sql AS $$
    SELECT (milliseconds_of(id) / 604800000)::integer
$$;

CREATE FUNCTION first_id_of(week integer) RETURNS uuid IMMUTABLE LANGUAGE sql AS $$
    -- The last week that an id can say is 465401: its end is the highest id.
    SELECT CASE WHEN week > 465401 THEN
            'ffffffff-ffff-ffff-ffff-ffffffffffff'
           ELSE first_id(week * 604800000::bigint)
           END
$$;

CREATE FUNCTION lock_log() RETURNS void LANGUAGE sql AS $$
    -- Whoever writes to the log does so alone, to the end of the transaction: positions become visible in their order,
    -- and a cursor skips none. It is the first lock that a transaction takes, so that none waits for another in a ring.
    SELECT pg_advisory_xact_lock(1212498258, 1)  -- 'HEAR'
$$;

CREATE FUNCTION make_week(wanted integer) RETURNS void LANGUAGE plpgsql AS $$
    -- Makes the partitions of a week. Attached rather than made in place, which would wait for every reader.
DECLARE
    parent text;
BEGIN
    IF wanted <= 465401 AND NOT EXISTS (SELECT FROM weeks WHERE week = wanted) THEN
        FOREACH parent IN ARRAY ARRAY['events', 'verdicts'] LOOP
            EXECUTE format('CREATE TABLE %I (LIKE %I)', parent || '_' || wanted, parent);
            EXECUTE format(
                'ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                parent, parent || '_' || wanted, first_id_of(wanted), first_id_of(wanted + 1)
            );
        END LOOP;
        INSERT INTO weeks VALUES (wanted);
    END IF;
END $$;

CREATE FUNCTION drop_week(gone integer) RETURNS bigint LANGUAGE plpgsql AS $$
    -- Drops a week with all that is about its events; gives how many those were, or nothing where readers are in the way
    -- for longer than the doors may wait.
DECLARE
    count bigint := (SELECT coalesce(sum(events), 0) FROM tally WHERE week = gone);
BEGIN
    PERFORM set_config('lock_timeout', '100ms', TRUE);
    EXECUTE format('DROP TABLE %I, %I', 'events_' || gone, 'verdicts_' || gone);
    DELETE FROM weeks WHERE week = gone;
    DELETE FROM site_ids WHERE event_id >= first_id_of(gone) AND event_id < first_id_of(gone + 1);
    -- The newest block says which position was the last.
    DELETE FROM tally WHERE week = gone AND block < (SELECT max(block) FROM tally);
    UPDATE tally SET events = 0 WHERE week = gone;
    RETURN count;
EXCEPTION WHEN lock_not_available THEN
    RETURN NULL;
END $$;
