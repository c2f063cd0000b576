-- +goose Up

-- See the twin of this file for SQLite. A statement that adds several columns
-- adds all or none.
SET @missing = (SELECT COUNT(*) = 0 FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'devices' AND column_name = 'read_seq');
SET @change = IF(@missing, 'ALTER TABLE devices ADD COLUMN read_seq BIGINT NOT NULL DEFAULT 0', 'DO 0');
PREPARE change_it FROM @change;
EXECUTE change_it;
DEALLOCATE PREPARE change_it;

SET @missing = (SELECT COUNT(*) = 0 FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'chats' AND column_name = 'typed_at');
SET @change = IF(@missing, 'ALTER TABLE chats ADD COLUMN reopened TINYINT NOT NULL DEFAULT 0, ADD COLUMN answered_at BIGINT NOT NULL DEFAULT 0, ADD COLUMN asked_at BIGINT NOT NULL DEFAULT 0, ADD COLUMN typed_at BIGINT NOT NULL DEFAULT 0', 'DO 0');
PREPARE change_it FROM @change;
EXECUTE change_it;
DEALLOCATE PREPARE change_it;
