-- +goose Up

-- See the twin of this file for SQLite, and 00007 for why it asks first.
SET @missing = (SELECT COUNT(*) = 0 FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'staff' AND column_name = 'told_at');
SET @change = IF(@missing, 'ALTER TABLE staff ADD COLUMN signed_in_before BIGINT NOT NULL DEFAULT 0, ADD COLUMN password_at BIGINT NOT NULL DEFAULT 0, ADD COLUMN factor_at BIGINT NOT NULL DEFAULT 0, ADD COLUMN identity_at BIGINT NOT NULL DEFAULT 0, ADD COLUMN told_at BIGINT NOT NULL DEFAULT 0', 'DO 0');
PREPARE change_it FROM @change;
EXECUTE change_it;
DEALLOCATE PREPARE change_it;
