CREATE TABLE things (
    name TEXT NOT NULL UNIQUE,
    code TEXT
) STRICT;

CREATE UNIQUE INDEX things_code ON things (lower(code));
