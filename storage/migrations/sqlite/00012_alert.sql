-- +goose Up

-- Since when the user waits for a person's answer; 0: does not.
ALTER TABLE chats ADD COLUMN waiting_since INTEGER NOT NULL DEFAULT 0;
UPDATE chats SET waiting_since = (SELECT COALESCE(MIN(m.created_at), 0) FROM messages m
    WHERE m.chat_id = chats.id AND m.author = 'user' AND (m.status = 'queued' OR m.status = 'sent' AND chats.ticket_state <> 'closed'));
CREATE INDEX chats_waiting ON chats (region_id, waiting_since);

ALTER TABLE regions ADD COLUMN alert_secret TEXT NOT NULL DEFAULT '';
ALTER TABLE regions ADD COLUMN alert_token TEXT NOT NULL DEFAULT '';

-- Notices to the staff that somebody waits. Messages of a device have different
-- times, so the device and the time name the wait, whatever ticket it moves to.
CREATE TABLE alerts (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    region_id     INTEGER NOT NULL REFERENCES regions (id),
    device_id     INTEGER NOT NULL,
    chat_id       INTEGER NOT NULL,
    waiting_since INTEGER NOT NULL,
    alert_key     TEXT    NOT NULL, -- by which receivers know a repeated one
    channels      TEXT    NOT NULL, -- JSON: where to, and what became of it
    created_at    INTEGER NOT NULL,
    due           INTEGER,          -- NULL: done
    attempts      INTEGER NOT NULL,
    claim_id      TEXT    NOT NULL,
    claimed_until INTEGER NOT NULL,
    UNIQUE (device_id, waiting_since)
) STRICT;
CREATE INDEX alerts_due ON alerts (due);
CREATE INDEX alerts_region ON alerts (region_id, id);
CREATE INDEX alerts_age ON alerts (created_at);
