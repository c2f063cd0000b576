-- +goose Up

-- See the twin of this file for SQLite, and 00007 for why it asks first.
SET @missing = (SELECT COUNT(*) = 0 FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'exposures' AND column_name = 'percentage');
SET @change = IF(@missing, 'ALTER TABLE exposures ADD COLUMN percentage BIGINT NULL,
    DROP KEY exposures_told, ADD KEY exposures_told (region_id, told_at, served, reason, percentage)', 'DO 0');
PREPARE change_it FROM @change;
EXECUTE change_it;
DEALLOCATE PREPARE change_it;
