-- +goose Up

-- See the twin of this file for SQLite. MySQL knows no ADD COLUMN IF NOT EXISTS.
SET @missing = (SELECT COUNT(*) = 0 FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'outbox' AND column_name = 'refusals');
SET @change = IF(@missing, 'ALTER TABLE outbox ADD COLUMN refusals BIGINT NOT NULL DEFAULT 0', 'DO 0');
PREPARE change_it FROM @change;
EXECUTE change_it;
DEALLOCATE PREPARE change_it;
