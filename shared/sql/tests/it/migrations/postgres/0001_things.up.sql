CREATE TABLE things (
    name TEXT COLLATE "C" NOT NULL UNIQUE,
    code TEXT COLLATE "C"
);

CREATE UNIQUE INDEX things_code ON things (lower(code));
