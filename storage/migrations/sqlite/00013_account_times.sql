-- +goose Up

-- When somebody signed in the time before, and when what proves the person was
-- changed last; 0: never, or before this. told_at: changes until then were told by
-- mail.
ALTER TABLE staff ADD COLUMN signed_in_before INTEGER NOT NULL DEFAULT 0;
ALTER TABLE staff ADD COLUMN password_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE staff ADD COLUMN factor_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE staff ADD COLUMN identity_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE staff ADD COLUMN told_at INTEGER NOT NULL DEFAULT 0;
