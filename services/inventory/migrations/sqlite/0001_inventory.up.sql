-- Ids are UUIDs, times are microseconds since 1970. The checks guard the rules of the domain:
-- whatever goes wrong above, no count becomes negative.

CREATE TABLE products (
    sku         TEXT    NOT NULL PRIMARY KEY CHECK (length(sku) BETWEEN 1 AND 64),
    name        TEXT    NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    currency    TEXT    NOT NULL CHECK (length(currency) = 3),
    -- In the currency's minor unit.
    price       INTEGER NOT NULL CHECK (price >= 0),
    available   INTEGER NOT NULL CHECK (available >= 0),
    reserved    INTEGER NOT NULL CHECK (reserved >= 0),
    sold        INTEGER NOT NULL CHECK (sold >= 0),
    create_time INTEGER NOT NULL,
    update_time INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Never deleted: an id is unique for ever.
CREATE TABLE reservations (
    id          BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    status      TEXT    NOT NULL CHECK (status IN ('RESERVED', 'COMMITTED', 'RELEASED')),
    create_time INTEGER NOT NULL,
    update_time INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- None for a reservation that was released before it was made.
CREATE TABLE reservation_items (
    reservation_id BLOB    NOT NULL REFERENCES reservations (id),
    sku            TEXT    NOT NULL REFERENCES products (sku),
    quantity       INTEGER NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (reservation_id, sku)
) STRICT, WITHOUT ROWID;
