-- Times are microseconds since 1970.

CREATE TABLE users (
    id          UUID             NOT NULL PRIMARY KEY,
    email       TEXT COLLATE "C" NOT NULL,
    -- The address in lower case.
    email_key   TEXT COLLATE "C" NOT NULL UNIQUE,
    name        TEXT COLLATE "C" NOT NULL,
    status      TEXT COLLATE "C" NOT NULL,
    tier        TEXT COLLATE "C" NOT NULL,
    -- Names, separated by commas.
    roles       TEXT COLLATE "C" NOT NULL,
    version     BIGINT           NOT NULL,
    create_time BIGINT           NOT NULL,
    update_time BIGINT           NOT NULL
);

-- Apart from the users, so that no query about users can show a hash.
CREATE TABLE passwords (
    user_id UUID             NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    -- PHC string.
    hash    TEXT COLLATE "C" NOT NULL
);

CREATE TABLE refresh_tokens (
    -- SHA-256 of the token.
    hash        BYTEA  NOT NULL PRIMARY KEY,
    -- One for each login.
    family      UUID   NOT NULL,
    user_id     UUID   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    create_time BIGINT NOT NULL,
    expire_time BIGINT NOT NULL
);

CREATE INDEX refresh_tokens_by_user ON refresh_tokens (user_id);
CREATE INDEX refresh_tokens_by_expire_time ON refresh_tokens (expire_time);
