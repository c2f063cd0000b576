-- +goose Up

-- See the twin of this file for SQLite. MySQL knows no ADD COLUMN IF NOT EXISTS.
SET @missing = (SELECT COUNT(*) = 0 FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'testers' AND column_name = 'expires_at');
SET @change = IF(@missing, 'ALTER TABLE testers
    ADD COLUMN id BIGINT NOT NULL AUTO_INCREMENT FIRST,
    ADD COLUMN set_by VARCHAR(200) NOT NULL DEFAULT '''',
    ADD COLUMN expires_at BIGINT NULL,
    ADD COLUMN note VARCHAR(200) NOT NULL DEFAULT '''',
    ADD UNIQUE KEY testers_id (id),
    ADD KEY testers_list (region_id, id),
    ADD KEY testers_age (expires_at)', 'DO 0');
PREPARE change_it FROM @change;
EXECUTE change_it;
DEALLOCATE PREPARE change_it;

SET @missing = (SELECT COUNT(*) = 0 FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'exposures' AND column_name = 'app_version');
SET @change = IF(@missing, 'ALTER TABLE exposures
    ADD COLUMN language VARCHAR(40) NOT NULL DEFAULT '''',
    ADD COLUMN app_version VARCHAR(40) NOT NULL DEFAULT ''''', 'DO 0');
PREPARE change_it FROM @change;
EXECUTE change_it;
DEALLOCATE PREPARE change_it;
