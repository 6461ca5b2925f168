CREATE TABLE request_records (
    subject     TEXT COLLATE "C" NOT NULL,
    method      TEXT COLLATE "C" NOT NULL,
    request_id  UUID             NOT NULL,
    fingerprint BYTEA            NOT NULL,
    resource_id TEXT COLLATE "C" NOT NULL,
    create_time BIGINT           NOT NULL,
    PRIMARY KEY (subject, method, request_id)
);

CREATE INDEX request_records_by_create_time ON request_records (create_time);
