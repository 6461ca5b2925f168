-- Times are microseconds since 1970. The checks guard the rules of the domain: whatever goes wrong
-- above, no count becomes negative.

CREATE TABLE products (
    sku         TEXT COLLATE "C" NOT NULL PRIMARY KEY CHECK (length(sku) BETWEEN 1 AND 64),
    name        TEXT COLLATE "C" NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    currency    TEXT COLLATE "C" NOT NULL CHECK (length(currency) = 3),
    -- In the currency's minor unit.
    price       BIGINT           NOT NULL CHECK (price >= 0),
    available   BIGINT           NOT NULL CHECK (available >= 0),
    reserved    BIGINT           NOT NULL CHECK (reserved >= 0),
    sold        BIGINT           NOT NULL CHECK (sold >= 0),
    create_time BIGINT           NOT NULL,
    update_time BIGINT           NOT NULL
);

-- Never deleted: an id is unique for ever.
CREATE TABLE reservations (
    id          UUID             NOT NULL PRIMARY KEY,
    status      TEXT COLLATE "C" NOT NULL CHECK (status IN ('RESERVED', 'COMMITTED', 'RELEASED')),
    create_time BIGINT           NOT NULL,
    update_time BIGINT           NOT NULL
);

-- None for a reservation that was released before it was made.
CREATE TABLE reservation_items (
    reservation_id UUID             NOT NULL REFERENCES reservations (id),
    sku            TEXT COLLATE "C" NOT NULL REFERENCES products (sku),
    quantity       BIGINT           NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (reservation_id, sku)
);
