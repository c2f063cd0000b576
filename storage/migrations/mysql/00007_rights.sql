-- +goose Up

-- See the twin of this file for SQLite. MySQL knows no ADD COLUMN IF NOT EXISTS.
SET @missing = (SELECT COUNT(*) = 0 FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'devices' AND column_name = 'token_hash');
SET @change = IF(@missing, 'ALTER TABLE devices ADD COLUMN token_hash BINARY(32) NULL', 'DO 0');
PREPARE change_it FROM @change;
EXECUTE change_it;
DEALLOCATE PREPARE change_it;

SET @missing = (SELECT COUNT(*) = 0 FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'regions' AND column_name = 'identity_secret');
SET @change = IF(@missing, 'ALTER TABLE regions ADD COLUMN identity_secret TEXT NOT NULL', 'DO 0');
PREPARE change_it FROM @change;
EXECUTE change_it;
DEALLOCATE PREPARE change_it;

SET @missing = (SELECT COUNT(*) = 0 FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'regions' AND column_name = 'privacy_token');
SET @change = IF(@missing, 'ALTER TABLE regions ADD COLUMN privacy_token TEXT NOT NULL', 'DO 0');
PREPARE change_it FROM @change;
EXECUTE change_it;
DEALLOCATE PREPARE change_it;

CREATE TABLE IF NOT EXISTS erasures (
    id            BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    region_id     BIGINT NOT NULL,
    receipt_hash  BINARY(32) NOT NULL,
    desk_id       BIGINT NOT NULL,
    rule          VARCHAR(20) NOT NULL,
    alias         VARCHAR(100) NOT NULL,
    neutral       VARCHAR(100) NOT NULL,
    traces        MEDIUMTEXT NOT NULL,
    settled_at    BIGINT NOT NULL,
    erased_at     BIGINT NOT NULL,
    due           BIGINT NULL,
    claim_id      VARCHAR(64) NOT NULL,
    claimed_until BIGINT NOT NULL,
    attempts      BIGINT NOT NULL,
    refusals      BIGINT NOT NULL,
    reason        TEXT NOT NULL,
    finished_at   BIGINT NULL,
    UNIQUE KEY erasures_receipt (receipt_hash),
    KEY erasures_due (due),
    KEY erasures_age (finished_at),
    CONSTRAINT erasures_region FOREIGN KEY (region_id) REFERENCES regions (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

UPDATE deliveries SET body = '' WHERE outcome <> '';
