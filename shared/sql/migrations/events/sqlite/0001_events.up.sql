-- Times are microseconds since 1970. An aggregate is its kind, a slash and its UUID: order/0198c5f2-...

-- Last sequence of each aggregate that this service publishes events of. Kept for ever: a sequence is
-- never used again.
CREATE TABLE sequences (
    aggregate TEXT    NOT NULL PRIMARY KEY,
    last      INTEGER NOT NULL CHECK (last >= 1)
) STRICT, WITHOUT ROWID;

CREATE TABLE outbox (
    -- Order of writing. Within an aggregate it is the order of the sequences.
    position     INTEGER NOT NULL PRIMARY KEY,
    aggregate    TEXT    NOT NULL,
    -- 1, 2, 3 and so on within the aggregate, without a gap.
    sequence     INTEGER NOT NULL CHECK (sequence >= 1),
    kind         TEXT    NOT NULL,
    -- Full name of the protobuf message in data.
    schema       TEXT    NOT NULL,
    data         BLOB    NOT NULL,
    -- A W3C traceparent.
    trace        TEXT,
    request_id   TEXT,
    create_time  INTEGER NOT NULL,
    -- NULL: it waits to be published.
    publish_time INTEGER
) STRICT;

CREATE UNIQUE INDEX outbox_by_aggregate ON outbox (aggregate, sequence);
-- The aggregate lets the relay pass by blocked ones without a look at the rows.
CREATE INDEX outbox_unpublished ON outbox (position, aggregate) WHERE publish_time IS NULL;
-- Published events are deleted after a while, the first one first.
CREATE INDEX outbox_published ON outbox (publish_time) WHERE publish_time IS NOT NULL;

-- Last sequence of each aggregate that took effect for a consumer. Kept for ever: it tells a duplicate
-- from a new event.
CREATE TABLE inbox (
    consumer  TEXT    NOT NULL,
    aggregate TEXT    NOT NULL,
    sequence  INTEGER NOT NULL CHECK (sequence >= 0),
    -- 1: an event failed, and it and the later ones are in parked_events.
    parked    INTEGER NOT NULL CHECK (parked IN (0, 1)),
    PRIMARY KEY (consumer, aggregate)
) STRICT, WITHOUT ROWID;

CREATE INDEX inbox_parked ON inbox (consumer, aggregate) WHERE parked;

-- Events that arrived before their predecessors.
CREATE TABLE held_events (
    consumer    TEXT    NOT NULL,
    aggregate   TEXT    NOT NULL,
    sequence    INTEGER NOT NULL,
    source      TEXT    NOT NULL,
    kind        TEXT    NOT NULL,
    schema      TEXT    NOT NULL,
    data        BLOB    NOT NULL,
    trace       TEXT,
    request_id  TEXT,
    event_time  INTEGER NOT NULL,
    create_time INTEGER NOT NULL,
    PRIMARY KEY (consumer, aggregate, sequence)
) STRICT, WITHOUT ROWID;

CREATE INDEX held_events_by_create_time ON held_events (consumer, create_time);

-- Events of parked aggregates.
CREATE TABLE parked_events (
    consumer    TEXT    NOT NULL,
    aggregate   TEXT    NOT NULL,
    sequence    INTEGER NOT NULL,
    source      TEXT    NOT NULL,
    kind        TEXT    NOT NULL,
    schema      TEXT    NOT NULL,
    data        BLOB    NOT NULL,
    trace       TEXT,
    request_id  TEXT,
    event_time  INTEGER NOT NULL,
    create_time INTEGER NOT NULL,
    -- Why it failed. NULL: it waits behind the one that failed.
    cause       TEXT,
    PRIMARY KEY (consumer, aggregate, sequence)
) STRICT, WITHOUT ROWID;

-- Consumers that join a running system: an unknown aggregate may begin at any sequence.
CREATE TABLE joins (
    consumer    TEXT    NOT NULL PRIMARY KEY,
    create_time INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE leases (
    name        TEXT    NOT NULL PRIMARY KEY,
    holder      BLOB    NOT NULL CHECK (length(holder) = 16),
    -- Raised each time that the holder changes.
    epoch       INTEGER NOT NULL CHECK (epoch >= 1),
    expire_time INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
