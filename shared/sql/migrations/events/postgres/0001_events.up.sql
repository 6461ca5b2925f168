-- Times are microseconds since 1970. An aggregate is its kind, a slash and its UUID: order/0198c5f2-...

-- Last sequence of each aggregate that this service publishes events of. Kept for ever: a sequence is
-- never used again.
CREATE TABLE sequences (
    aggregate    TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    last         BIGINT           NOT NULL CHECK (last >= 1)
);

CREATE TABLE outbox (
    -- Order of writing. Within an aggregate it is the order of the sequences.
    position     BIGINT           NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    aggregate    TEXT COLLATE "C" NOT NULL,
    -- 1, 2, 3 and so on within the aggregate, without a gap.
    sequence     BIGINT           NOT NULL CHECK (sequence >= 1),
    kind         TEXT COLLATE "C" NOT NULL,
    -- Full name of the protobuf message in data.
    schema       TEXT COLLATE "C" NOT NULL,
    data         BYTEA            NOT NULL,
    -- A W3C traceparent.
    trace        TEXT COLLATE "C",
    request_id   TEXT COLLATE "C",
    create_time  BIGINT           NOT NULL,
    -- NULL: it waits to be published.
    publish_time BIGINT
);

-- Each event is updated once, and then leaves the index of the unpublished ones: their dead entries are
-- cleared early, or the relay would read past them.
ALTER TABLE outbox SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);

CREATE UNIQUE INDEX outbox_by_aggregate ON outbox (aggregate, sequence);
-- The aggregate lets the relay pass by blocked ones without a look at the rows. As a second key it would
-- make the planner prefer the primary key, which leads past all published events.
CREATE INDEX outbox_unpublished ON outbox (position) INCLUDE (aggregate) WHERE publish_time IS NULL;
-- Published events are deleted after a while, the first one first.
CREATE INDEX outbox_published ON outbox (publish_time) WHERE publish_time IS NOT NULL;

-- Last sequence of each aggregate that took effect for a consumer. Kept for ever: it tells a duplicate
-- from a new event.
CREATE TABLE inbox (
    consumer     TEXT COLLATE "C" NOT NULL,
    aggregate    TEXT COLLATE "C" NOT NULL,
    sequence     BIGINT           NOT NULL CHECK (sequence >= 0),
    -- True: an event failed, and it and the later ones are in parked_events.
    parked       BOOLEAN          NOT NULL,
    PRIMARY KEY (consumer, aggregate)
);

CREATE INDEX inbox_parked ON inbox (consumer, aggregate) WHERE parked;

-- Events that arrived before their predecessors.
CREATE TABLE held_events (
    consumer     TEXT COLLATE "C" NOT NULL,
    aggregate    TEXT COLLATE "C" NOT NULL,
    sequence     BIGINT           NOT NULL,
    source       TEXT COLLATE "C" NOT NULL,
    kind         TEXT COLLATE "C" NOT NULL,
    schema       TEXT COLLATE "C" NOT NULL,
    data         BYTEA            NOT NULL,
    trace        TEXT COLLATE "C",
    request_id   TEXT COLLATE "C",
    event_time   BIGINT           NOT NULL,
    create_time  BIGINT           NOT NULL,
    PRIMARY KEY (consumer, aggregate, sequence)
);

CREATE INDEX held_events_by_create_time ON held_events (consumer, create_time);

-- Events of parked aggregates.
CREATE TABLE parked_events (
    consumer     TEXT COLLATE "C" NOT NULL,
    aggregate    TEXT COLLATE "C" NOT NULL,
    sequence     BIGINT           NOT NULL,
    source       TEXT COLLATE "C" NOT NULL,
    kind         TEXT COLLATE "C" NOT NULL,
    schema       TEXT COLLATE "C" NOT NULL,
    data         BYTEA            NOT NULL,
    trace        TEXT COLLATE "C",
    request_id   TEXT COLLATE "C",
    event_time   BIGINT           NOT NULL,
    create_time  BIGINT           NOT NULL,
    -- Why it failed. NULL: it waits behind the one that failed.
    cause        TEXT COLLATE "C",
    PRIMARY KEY (consumer, aggregate, sequence)
);

-- Consumers that join a running system: an unknown aggregate may begin at any sequence.
CREATE TABLE joins (
    consumer     TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    create_time  BIGINT           NOT NULL
);

CREATE TABLE leases (
    name         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    holder       UUID             NOT NULL,
    -- Raised each time that the holder changes.
    epoch        BIGINT           NOT NULL CHECK (epoch >= 1),
    expire_time  BIGINT           NOT NULL
);
