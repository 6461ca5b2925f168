-- Times are microseconds since 1970.

-- The truth: what happened to each order. Only ever added to, and free of anything
-- personal.
CREATE TABLE order_events (
    order_id    UUID             NOT NULL,
    -- The order's version after the event.
    version     BIGINT           NOT NULL CHECK (version >= 1),
    create_time BIGINT           NOT NULL,
    -- What happened, and the form of its data: order.placed.v1
    type        TEXT COLLATE "C" NOT NULL,
    -- JSON.
    data        TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (order_id, version)
);

-- What lists go by; follows from the events and changes with them.
CREATE TABLE orders (
    id          UUID             NOT NULL PRIMARY KEY,
    user_id     UUID             NOT NULL,
    status      TEXT COLLATE "C" NOT NULL,
    version     BIGINT           NOT NULL,
    create_time BIGINT           NOT NULL,
    update_time BIGINT           NOT NULL
);

CREATE INDEX orders_by_user ON orders (user_id, id);
-- Open drafts are counted by user. The status is that of a draft, as the domain writes it.
CREATE INDEX orders_open_drafts ON orders (user_id, update_time) WHERE status = 'DRAFT';

-- Personal, so apart: it can be erased without touching history.
CREATE TABLE order_addresses (
    order_id UUID             NOT NULL PRIMARY KEY REFERENCES orders (id),
    -- JSON.
    address  TEXT COLLATE "C" NOT NULL
);
