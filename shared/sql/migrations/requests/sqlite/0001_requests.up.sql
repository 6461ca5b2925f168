CREATE TABLE request_records (
    subject     TEXT    NOT NULL,
    method      TEXT    NOT NULL,
    request_id  BLOB    NOT NULL,
    fingerprint BLOB    NOT NULL,
    resource_id TEXT    NOT NULL,
    create_time INTEGER NOT NULL,
    PRIMARY KEY (subject, method, request_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX request_records_by_create_time ON request_records (create_time);
