-- Ids are UUIDs, times are microseconds since 1970.

-- The truth: what happened to each order. Only ever added to, and free of anything
-- personal.
CREATE TABLE order_events (
    order_id    BLOB    NOT NULL CHECK (length(order_id) = 16),
    -- The order's version after the event.
    version     INTEGER NOT NULL CHECK (version >= 1),
    create_time INTEGER NOT NULL,
    -- What happened, and the form of its data: order.placed.v1
    type        TEXT    NOT NULL,
    -- JSON.
    data        TEXT    NOT NULL,
    PRIMARY KEY (order_id, version)
) STRICT, WITHOUT ROWID;

-- What lists go by; follows from the events and changes with them.
CREATE TABLE orders (
    id          BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    user_id     BLOB    NOT NULL CHECK (length(user_id) = 16),
    status      TEXT    NOT NULL,
    version     INTEGER NOT NULL,
    create_time INTEGER NOT NULL,
    update_time INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX orders_by_user ON orders (user_id, id);
-- Open drafts are counted by user. The status is that of a draft, as the domain writes it.
CREATE INDEX orders_open_drafts ON orders (user_id, update_time) WHERE status = 'DRAFT';

-- Personal, so apart: it can be erased without touching history.
CREATE TABLE order_addresses (
    order_id BLOB NOT NULL PRIMARY KEY REFERENCES orders (id),
    -- JSON.
    address  TEXT NOT NULL
) STRICT, WITHOUT ROWID;
