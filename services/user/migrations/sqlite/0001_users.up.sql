-- Ids are UUIDs, times are microseconds since 1970.

CREATE TABLE users (
    id          BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    email       TEXT    NOT NULL,
    -- The address in lower case.
    email_key   TEXT    NOT NULL UNIQUE,
    name        TEXT    NOT NULL,
    status      TEXT    NOT NULL,
    tier        TEXT    NOT NULL,
    -- Names, separated by commas.
    roles       TEXT    NOT NULL,
    version     INTEGER NOT NULL,
    create_time INTEGER NOT NULL,
    update_time INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Apart from the users, so that no query about users can show a hash.
CREATE TABLE passwords (
    user_id BLOB NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    -- PHC string.
    hash    TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE refresh_tokens (
    -- SHA-256 of the token.
    hash        BLOB    NOT NULL PRIMARY KEY,
    -- One for each login.
    family      BLOB    NOT NULL,
    user_id     BLOB    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    create_time INTEGER NOT NULL,
    expire_time INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX refresh_tokens_by_user ON refresh_tokens (user_id);
CREATE INDEX refresh_tokens_by_expire_time ON refresh_tokens (expire_time);
