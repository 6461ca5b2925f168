-- Times are microseconds since 1970.

-- Secrets that all processes on the database must share. No value reveals its secret.
CREATE TABLE shared_secrets (
    -- Setting that names the secret's file.
    name        TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    -- Check value of the secret in use.
    used        TEXT COLLATE "C" NOT NULL,
    -- JSON: check values of further secrets that are accepted.
    accepted    TEXT COLLATE "C" NOT NULL,
    update_time BIGINT           NOT NULL
);
