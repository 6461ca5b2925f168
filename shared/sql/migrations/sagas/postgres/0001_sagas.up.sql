-- Times are microseconds since 1970.

CREATE TABLE sagas (
    id                UUID             NOT NULL PRIMARY KEY,
    -- Name of the definition.
    name              TEXT COLLATE "C" NOT NULL,
    -- JSON.
    input             TEXT COLLATE "C" NOT NULL,
    -- JSON.
    context           TEXT COLLATE "C" NOT NULL,
    status            TEXT COLLATE "C" NOT NULL CHECK (status IN ('running', 'completed', 'undone', 'stuck')),
    -- Raised by each claim and each intervention: a writer of an earlier epoch is refused.
    epoch             BIGINT           NOT NULL CHECK (epoch >= 0),
    -- Number of entries.
    length            BIGINT           NOT NULL CHECK (length >= 0),
    -- Nobody claims the saga before.
    lease_expire_time BIGINT           NOT NULL,
    create_time       BIGINT           NOT NULL,
    update_time       BIGINT           NOT NULL
);

CREATE INDEX sagas_by_status ON sagas (status, id);

-- One row for each append.
CREATE TABLE saga_entries (
    saga_id     UUID             NOT NULL REFERENCES sagas (id),
    -- Position of the first entry in the log.
    position    BIGINT           NOT NULL CHECK (position >= 0),
    create_time BIGINT           NOT NULL,
    -- JSON: a list of entries.
    entries     TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (saga_id, position)
);
