-- Weeks that nothing is asked of are not even opened, for there may be hundreds, and a new connection loads of each what
-- its tables and indexes are. A plan for whatever values may come opens all of them: here none is ever made.

ALTER FUNCTION read_log(bigint, bigint, bigint) SET plan_cache_mode = force_custom_plan;

CREATE FUNCTION position_of(id uuid) RETURNS bigint STABLE LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
    -- The position of an event; 0 where it is no more.
BEGIN
    RETURN coalesce((SELECT position FROM events WHERE event_id = id), 0);
END $$;

CREATE FUNCTION neighbours(
    numbers integer[], recipients text[], sums integer[], letters text[], sinces uuid[], untils uuid[],
    amount integer, first uuid, last uuid, OUT number integer, OUT event found
) RETURNS SETOF record STABLE LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
    -- Each vicinity's number with the events in it, all of them from `first` to before `last`. Among the newest events
    -- of the recipient between the times those of the letter are picked: never more is looked at.
BEGIN
    RETURN QUERY
    SELECT wanted.number, (position, near.event_id, type, recipient, message_id, list, body, signals,
                           verdict, revised, site_id)::found
    FROM unnest(numbers, recipients, sums, letters, sinces, untils)
        AS wanted (number, whose, whose_sum, letter, since, until)
    CROSS JOIN LATERAL (
        SELECT * FROM events
        WHERE recipient_sum = whose_sum AND event_id >= since AND event_id < until
          AND event_id >= first AND event_id < last
        ORDER BY event_id DESC LIMIT amount
    ) AS near
    LEFT JOIN verdicts ON verdicts.event_id = near.event_id
        AND verdicts.event_id >= first AND verdicts.event_id < last
    WHERE lower(recipient) = lower(whose COLLATE "C") AND message_id = letter
    ORDER BY wanted.number, position;
END $$;

CREATE FUNCTION keep(event_ids uuid[], judged bytea[], classes text[], first uuid, last uuid) RETURNS void
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
    -- Keeps the first verdicts on events, which are those from `first` to `last`.
BEGIN
    INSERT INTO verdicts AS known (event_id, verdict, class)
    SELECT events.event_id, fresh.verdict, fresh.class
    FROM unnest(event_ids, judged, classes) AS fresh (event_id, verdict, class) JOIN events USING (event_id)
    WHERE events.event_id BETWEEN first AND last
    ORDER BY events.event_id
    ON CONFLICT ON CONSTRAINT verdicts_pkey DO UPDATE SET verdict = excluded.verdict WHERE known.verdict IS NULL;
END $$;
