-- +goose Up

-- What was read on a device, by the sequence of messages.
ALTER TABLE devices ADD COLUMN read_seq INTEGER NOT NULL DEFAULT 0;

ALTER TABLE chats ADD COLUMN reopened INTEGER NOT NULL DEFAULT 0;    -- was closed, is open, and nobody has answered since
ALTER TABLE chats ADD COLUMN answered_at INTEGER NOT NULL DEFAULT 0; -- a person's last answer
ALTER TABLE chats ADD COLUMN asked_at INTEGER NOT NULL DEFAULT 0;    -- the user's last message; 0: a machine has answered it
ALTER TABLE chats ADD COLUMN typed_at INTEGER NOT NULL DEFAULT 0;    -- the last note that the person is writing
