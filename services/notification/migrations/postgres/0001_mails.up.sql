-- Times are microseconds since 1970.

-- Mails, without anything personal: name and address are asked for when a mail is sent.
CREATE TABLE mails (
    -- Id of the event that caused it.
    id                  UUID             NOT NULL PRIMARY KEY,
    -- The recipient.
    user_id             UUID             NOT NULL,
    -- What it tells; the columns after it are set if the kind has them.
    kind                TEXT COLLATE "C" NOT NULL,
    order_id            UUID,
    total               BIGINT,
    currency            TEXT COLLATE "C",
    reason              TEXT COLLATE "C",
    -- The call that caused it.
    trace               TEXT COLLATE "C",
    request_id          TEXT COLLATE "C",
    status              TEXT COLLATE "C" NOT NULL CHECK (status IN ('waiting', 'sent', 'skipped', 'failed')),
    -- Why it failed. Never the mail server's own words, which may name the recipient.
    cause               TEXT COLLATE "C",
    failures            BIGINT           NOT NULL,
    -- Times that it may have been sent.
    deliveries          BIGINT           NOT NULL CHECK (deliveries >= 0),
    -- Raised with each lease.
    epoch               BIGINT           NOT NULL,
    due_time            BIGINT           NOT NULL,
    lease_expire_time   BIGINT           NOT NULL,
    create_time         BIGINT           NOT NULL,
    update_time         BIGINT           NOT NULL
);

CREATE INDEX mails_due ON mails (due_time) WHERE status = 'waiting';
CREATE INDEX mails_ended ON mails (update_time) WHERE status <> 'waiting';
