CREATE TABLE notes (
    thing TEXT NOT NULL REFERENCES things (name),
    note  TEXT NOT NULL
) STRICT;
