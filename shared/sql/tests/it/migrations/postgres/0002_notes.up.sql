CREATE TABLE notes (
    thing TEXT COLLATE "C" NOT NULL REFERENCES things (name),
    note  TEXT COLLATE "C" NOT NULL
);
