-- +goose Up

-- See the twin of this file for SQLite. MySQL knows no ADD COLUMN IF NOT EXISTS.
SET @missing = (SELECT COUNT(*) = 0 FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'devices' AND column_name = 'pruned_seq');
SET @change = IF(@missing, 'ALTER TABLE devices ADD COLUMN pruned_seq BIGINT NOT NULL DEFAULT 0', 'DO 0');
PREPARE change_it FROM @change;
EXECUTE change_it;
DEALLOCATE PREPARE change_it;

SET @missing = (SELECT COUNT(*) = 0 FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'regions' AND column_name = 'seq_floor');
SET @change = IF(@missing, 'ALTER TABLE regions ADD COLUMN seq_floor BIGINT NOT NULL DEFAULT 0', 'DO 0');
PREPARE change_it FROM @change;
EXECUTE change_it;
DEALLOCATE PREPARE change_it;
