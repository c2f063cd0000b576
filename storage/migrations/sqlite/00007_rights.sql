-- +goose Up

-- The hash of a device's chat token; NULL: its id alone is the key.
ALTER TABLE devices ADD COLUMN token_hash BLOB;

ALTER TABLE regions ADD COLUMN identity_secret TEXT NOT NULL DEFAULT '';
ALTER TABLE regions ADD COLUMN privacy_token TEXT NOT NULL DEFAULT '';

-- What is still to be done in a desk for a device that was erased here. Nothing
-- names the device. When it is done only receipt, region, rule and times stay.
CREATE TABLE erasures (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    region_id     INTEGER NOT NULL REFERENCES regions (id),
    receipt_hash  BLOB    NOT NULL UNIQUE,
    desk_id       INTEGER NOT NULL,
    rule          TEXT    NOT NULL,
    alias         TEXT    NOT NULL,
    neutral       TEXT    NOT NULL, -- takes the place of the alias
    traces        TEXT    NOT NULL, -- JSON: tickets, customers, messages in doubt
    settled_at    INTEGER NOT NULL, -- from then on no cut-off write can be running
    erased_at     INTEGER NOT NULL,
    due           INTEGER,          -- NULL: done
    claim_id      TEXT    NOT NULL,
    claimed_until INTEGER NOT NULL,
    attempts      INTEGER NOT NULL,
    refusals      INTEGER NOT NULL,
    reason        TEXT    NOT NULL,
    finished_at   INTEGER           -- NULL: not done
) STRICT;
CREATE INDEX erasures_due ON erasures (due);
CREATE INDEX erasures_age ON erasures (finished_at);

-- Deliveries that were relayed keep their key and lose their words.
UPDATE deliveries SET body = x'' WHERE outcome <> '';
