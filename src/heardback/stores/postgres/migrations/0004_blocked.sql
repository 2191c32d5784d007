-- The kill switch: what readers are not sent on from. What was lifted stays, so that every node learns of it.
CREATE TABLE blocked (
    key    uuid PRIMARY KEY,  -- a hash of kind and value, which may be longer than an index takes
    kind   text NOT NULL,     -- host, link, message
    value  text COLLATE "C" NOT NULL,
    since  double precision NOT NULL,
    why    text NOT NULL,
    lifted boolean NOT NULL,
    change bigint NOT NULL UNIQUE
);

CREATE FUNCTION next_block_change(milliseconds bigint) RETURNS bigint LANGUAGE plpgsql AS $$
    -- The next number of a change to blocks, as next_change gives those of people.
BEGIN
    PERFORM pg_advisory_xact_lock(1212498258, 3);
    RETURN (SELECT greatest(coalesce(max(change), 0) + 1, milliseconds) FROM blocked);
END $$;
