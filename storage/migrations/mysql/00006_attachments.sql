-- +goose Up

-- See the twin of this file for SQLite, and 00002 for why it asks first.
SET @missing = (SELECT COUNT(*) = 0 FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'messages' AND column_name = 'files');
SET @change = IF(@missing, 'ALTER TABLE messages ADD COLUMN files BIGINT NOT NULL DEFAULT 0', 'DO 0');
PREPARE change_it FROM @change;
EXECUTE change_it;
DEALLOCATE PREPARE change_it;

CREATE TABLE IF NOT EXISTS contents (
    id         BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    created_at BIGINT NOT NULL,
    KEY contents_age (created_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS pieces (
    content_id BIGINT NOT NULL,
    place      BIGINT NOT NULL,
    data       MEDIUMBLOB NOT NULL,
    PRIMARY KEY (content_id, place),
    CONSTRAINT pieces_of_content FOREIGN KEY (content_id) REFERENCES contents (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS attachments (
    id         BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    public_id  VARBINARY(64) NOT NULL,
    message_id BIGINT NOT NULL,
    place      BIGINT NOT NULL,
    name       VARCHAR(300) NOT NULL,
    media_type VARCHAR(200) NOT NULL,
    size       BIGINT NOT NULL,
    in_text    TINYINT NOT NULL,
    digest     BINARY(32),
    content_id BIGINT,
    desk_file  BIGINT NOT NULL,
    article_id BIGINT NOT NULL,
    known_at   BIGINT NOT NULL,
    UNIQUE KEY attachments_public (public_id),
    UNIQUE KEY attachments_content_once (content_id),
    KEY attachments_message (message_id),
    CONSTRAINT attachments_of_message FOREIGN KEY (message_id) REFERENCES messages (id),
    CONSTRAINT attachments_content FOREIGN KEY (content_id) REFERENCES contents (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
