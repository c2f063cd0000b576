-- +goose Up

-- See the twin of this file for SQLite, and 00007 for why it asks first.
SET @missing = (SELECT COUNT(*) = 0 FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'chats' AND column_name = 'waiting_since');
SET @change = IF(@missing, 'ALTER TABLE chats ADD COLUMN waiting_since BIGINT NOT NULL DEFAULT 0, ADD KEY chats_waiting (region_id, waiting_since)', 'DO 0');
PREPARE change_it FROM @change;
EXECUTE change_it;
DEALLOCATE PREPARE change_it;

UPDATE chats SET waiting_since = (SELECT COALESCE(MIN(m.created_at), 0) FROM messages m
    WHERE m.chat_id = chats.id AND m.author = 'user' AND (m.status = 'queued' OR m.status = 'sent' AND chats.ticket_state <> 'closed'));

SET @missing = (SELECT COUNT(*) = 0 FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'regions' AND column_name = 'alert_token');
SET @change = IF(@missing, 'ALTER TABLE regions ADD COLUMN alert_secret TEXT NOT NULL, ADD COLUMN alert_token TEXT NOT NULL', 'DO 0');
PREPARE change_it FROM @change;
EXECUTE change_it;
DEALLOCATE PREPARE change_it;

CREATE TABLE IF NOT EXISTS alerts (
    id            BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    region_id     BIGINT NOT NULL,
    device_id     BIGINT NOT NULL,
    chat_id       BIGINT NOT NULL,
    waiting_since BIGINT NOT NULL,
    alert_key     VARCHAR(64) NOT NULL,
    channels      MEDIUMTEXT NOT NULL,
    created_at    BIGINT NOT NULL,
    due           BIGINT NULL,
    attempts      BIGINT NOT NULL,
    claim_id      VARCHAR(64) NOT NULL,
    claimed_until BIGINT NOT NULL,
    UNIQUE KEY alerts_wait (device_id, waiting_since),
    KEY alerts_due (due),
    KEY alerts_region (region_id, id),
    KEY alerts_age (created_at),
    CONSTRAINT alerts_region_id FOREIGN KEY (region_id) REFERENCES regions (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
