-- Ids are UUIDs, times are microseconds since 1970.

CREATE TABLE sagas (
    id                BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    -- Name of the definition.
    name              TEXT    NOT NULL,
    -- JSON.
    input             TEXT    NOT NULL,
    -- JSON.
    context           TEXT    NOT NULL,
    status            TEXT    NOT NULL CHECK (status IN ('running', 'completed', 'undone', 'stuck')),
    -- Raised by each claim and each intervention: a writer of an earlier epoch is refused.
    epoch             INTEGER NOT NULL CHECK (epoch >= 0),
    -- Number of entries.
    length            INTEGER NOT NULL CHECK (length >= 0),
    -- Nobody claims the saga before.
    lease_expire_time INTEGER NOT NULL,
    create_time       INTEGER NOT NULL,
    update_time       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX sagas_by_status ON sagas (status, id);

-- One row for each append.
CREATE TABLE saga_entries (
    saga_id     BLOB    NOT NULL REFERENCES sagas (id),
    -- Position of the first entry in the log.
    position    INTEGER NOT NULL CHECK (position >= 0),
    create_time INTEGER NOT NULL,
    -- JSON: a list of entries.
    entries     TEXT    NOT NULL,
    PRIMARY KEY (saga_id, position)
) STRICT, WITHOUT ROWID;
