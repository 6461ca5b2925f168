-- Ids are UUIDs, times are microseconds since 1970.

-- Mails, without anything personal: name and address are asked for when a mail is sent.
CREATE TABLE mails (
    -- Id of the event that caused it.
    id                  BLOB             NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    -- The recipient.
    user_id             BLOB             NOT NULL CHECK (length(user_id) = 16),
    -- What it tells; the columns after it are set if the kind has them.
    kind                TEXT             NOT NULL,
    order_id            BLOB,
    total               INTEGER,
    currency            TEXT,
    reason              TEXT,
    -- The call that caused it.
    trace               TEXT,
    request_id          TEXT,
    status              TEXT             NOT NULL CHECK (status IN ('waiting', 'sent', 'skipped', 'failed')),
    -- Why it failed. Never the mail server's own words, which may name the recipient.
    cause               TEXT,
    failures            INTEGER          NOT NULL,
    -- Times that it may have been sent.
    deliveries          INTEGER          NOT NULL CHECK (deliveries >= 0),
    -- Raised with each lease.
    epoch               INTEGER          NOT NULL,
    due_time            INTEGER          NOT NULL,
    lease_expire_time   INTEGER          NOT NULL,
    create_time         INTEGER          NOT NULL,
    update_time         INTEGER          NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX mails_due ON mails (due_time) WHERE status = 'waiting';
CREATE INDEX mails_ended ON mails (update_time) WHERE status <> 'waiting';
