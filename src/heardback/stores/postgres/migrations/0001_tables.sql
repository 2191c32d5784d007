-- The log, a cursor for each reader of it, and what people have asked for. All of it stands in the schema `heardback`.

-- Texts are compared byte by byte; `lower` then knows the letters of ASCII alone, as addresses want it.
CREATE TABLE events (
    event_id       uuid NOT NULL,    -- version 7: the first six bytes are the Unix milliseconds
    position       bigint NOT NULL,  -- the order of commits, given under the lock of the log; never given twice
    type           text NOT NULL,
    recipient      text COLLATE "C" NOT NULL,
    message_id     text COLLATE "C" NOT NULL,
    list           text COLLATE "C" NOT NULL,
    body           bytea NOT NULL,   -- the JSON element without its verdict
    signals        bytea NOT NULL,
    site_id        bytea,
    about          uuid,             -- of a verdict event: the event that it tells of
    recipient_sum  integer,          -- checksums stand in the indexes: a text may be longer than an index takes
    message_id_sum integer,
    PRIMARY KEY (event_id)
) PARTITION BY RANGE (event_id);

CREATE INDEX events_by_position ON events (position);
CREATE INDEX events_by_recipient ON events (recipient_sum, event_id) WHERE recipient_sum IS NOT NULL;
CREATE INDEX events_by_letter ON events (message_id_sum) WHERE message_id_sum IS NOT NULL;
-- Most events are opens and clicks; the others are asked for by type.
CREATE INDEX events_rare ON events (type, position) WHERE type NOT IN ('open', 'click');
CREATE INDEX events_about ON events (about) WHERE about IS NOT NULL;

-- Apart from the events: a verdict comes later than its event, and an update would write the whole of it again.
CREATE TABLE verdicts (
    event_id uuid NOT NULL PRIMARY KEY,
    verdict  bytea,          -- JSON; the one that the event is delivered with
    revised  bytea,          -- a later one
    class    text NOT NULL   -- of the one that holds
) PARTITION BY RANGE (event_id);

-- Apart from the events: a key of theirs would have to hold what they are partitioned by.
CREATE TABLE site_ids (
    site_id  bytea PRIMARY KEY,
    event_id uuid NOT NULL
);
CREATE INDEX site_ids_by_event ON site_ids (event_id);

-- The weeks since 1970 that have partitions.
CREATE TABLE weeks (
    week integer PRIMARY KEY
);

-- How many events there are, and which position is the last, by thousands of positions and by week: so they are
-- counted without a walk, and a week is dropped without one.
CREATE TABLE tally (
    block  bigint,  -- position / 1000
    week   integer,
    events bigint NOT NULL,
    last   bigint NOT NULL,
    PRIMARY KEY (block, week)
) WITH (fillfactor = 50);
CREATE INDEX tally_by_week ON tally (week, block);

CREATE TABLE cursors (
    name           text COLLATE "C" PRIMARY KEY,
    position       bigint NOT NULL,
    attempts       integer NOT NULL DEFAULT 0,
    first_attempt  double precision NOT NULL DEFAULT 0,
    due            double precision NOT NULL DEFAULT 0,
    holder         text NOT NULL DEFAULT '',
    lease_until    double precision NOT NULL DEFAULT 0,
    paused         boolean NOT NULL DEFAULT FALSE,
    last_answer    text NOT NULL DEFAULT '',
    last_answer_at double precision NOT NULL DEFAULT 0,
    delivered      bigint NOT NULL DEFAULT 0,
    passed_over    bigint NOT NULL DEFAULT 0,
    ceiling        integer NOT NULL DEFAULT 10000,
    suspects       integer NOT NULL DEFAULT 0,
    alarmed_at     double precision NOT NULL DEFAULT 0,
    revision       bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

-- Apart from the cursors, so that renewing a lease does not write a megabyte.
CREATE TABLE batches (
    reader       text COLLATE "C" PRIMARY KEY,
    id           text NOT NULL,
    event_ids    uuid[] NOT NULL,
    last         bigint NOT NULL,
    content_type text NOT NULL,
    passed_over  integer NOT NULL,
    body         bytea NOT NULL,
    parts        text NOT NULL  -- JSON: [[bytes, {headers}], …]
);

CREATE TABLE dead_letters (
    destination text COLLATE "C",
    event_id    uuid,
    answer      text NOT NULL,
    at          double precision NOT NULL,
    retried     boolean NOT NULL DEFAULT FALSE,
    position    bigint NOT NULL,  -- of the event; 0 where that is no more
    PRIMARY KEY (destination, event_id)
);
CREATE INDEX dead_letters_retried ON dead_letters (destination, position) WHERE retried;
CREATE INDEX dead_letters_by_event ON dead_letters (event_id);
CREATE INDEX dead_letters_by_age ON dead_letters (at);

CREATE TABLE suppressions (
    key           uuid PRIMARY KEY,  -- a hash of recipient, in lower case, and list
    recipient     text COLLATE "C" NOT NULL,
    list          text COLLATE "C" NOT NULL,
    since         bigint NOT NULL,
    message_id    text NOT NULL,
    recipient_sum integer
);
CREATE INDEX suppressions_by_recipient ON suppressions (recipient_sum);
CREATE INDEX suppressions_in_order ON suppressions (left(lower(recipient), 500));

CREATE TABLE people (
    person    text PRIMARY KEY,  -- a keyed hash of the address
    consent   text NOT NULL DEFAULT 'unknown',
    at        double precision NOT NULL DEFAULT 0,
    how       text NOT NULL DEFAULT '',
    forgotten double precision NOT NULL DEFAULT 0,
    change    bigint NOT NULL UNIQUE
);
