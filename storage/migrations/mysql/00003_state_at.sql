-- +goose Up

-- See the twin of this file for SQLite, and 00002 for why it asks first.
SET @missing = (SELECT COUNT(*) = 0 FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'chats' AND column_name = 'state_at');
SET @change = IF(@missing, 'ALTER TABLE chats ADD COLUMN state_at BIGINT NOT NULL DEFAULT 0', 'DO 0');
PREPARE change_it FROM @change;
EXECUTE change_it;
DEALLOCATE PREPARE change_it;
