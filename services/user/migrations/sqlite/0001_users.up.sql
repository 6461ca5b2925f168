CREATE TABLE users (
    id         BLOB    NOT NULL PRIMARY KEY,
    email      TEXT    NOT NULL,
    email_key  TEXT    NOT NULL UNIQUE, -- the address in lower case
    name       TEXT    NOT NULL,
    status     TEXT    NOT NULL,
    tier       TEXT    NOT NULL,
    roles      TEXT    NOT NULL,        -- names, parted by commas
    version    INTEGER NOT NULL,
    created_at INTEGER NOT NULL,        -- microseconds since 1970
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Apart from the users, so that no query about users can show a hash.
CREATE TABLE passwords (
    user_id BLOB NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    hash    TEXT NOT NULL               -- PHC string
) STRICT, WITHOUT ROWID;

CREATE TABLE refresh_tokens (
    hash       BLOB    NOT NULL PRIMARY KEY, -- SHA-256 of the token
    family     BLOB    NOT NULL,             -- one for each login
    user_id    BLOB    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    issued_at  INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX refresh_tokens_by_user ON refresh_tokens (user_id);
CREATE INDEX refresh_tokens_by_expiry ON refresh_tokens (expires_at);

CREATE TABLE request_records (
    subject     TEXT    NOT NULL,
    method      TEXT    NOT NULL,
    request_id  BLOB    NOT NULL,
    fingerprint BLOB    NOT NULL,
    resource_id TEXT    NOT NULL,
    created_at  INTEGER NOT NULL, -- seconds since 1970
    PRIMARY KEY (subject, method, request_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX request_records_by_age ON request_records (created_at);
