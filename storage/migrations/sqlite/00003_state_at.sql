-- +goose Up

-- The desk's time of the ticket's state, so that an older reading does not undo
-- what a newer one said.
ALTER TABLE chats ADD COLUMN state_at INTEGER NOT NULL DEFAULT 0;
