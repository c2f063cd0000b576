-- +goose Up

-- See the twin of this file for SQLite.
CREATE TABLE IF NOT EXISTS statistics (
    region_id      BIGINT NOT NULL,
    hour           BIGINT NOT NULL,
    invented       TINYINT NOT NULL,
    chats_opened   BIGINT NOT NULL,
    messages_user  BIGINT NOT NULL,
    messages_agent BIGINT NOT NULL,
    failed         BIGINT NOT NULL,
    answered       BIGINT NOT NULL,
    answer_times   VARCHAR(1000) NOT NULL,
    asked_served   BIGINT NOT NULL,
    asked_unserved BIGINT NOT NULL,
    PRIMARY KEY (region_id, hour, invented),
    CONSTRAINT statistics_region FOREIGN KEY (region_id) REFERENCES regions (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS tallies (
    region_id  BIGINT NOT NULL PRIMARY KEY,
    hour       BIGINT NOT NULL,
    message_id BIGINT NOT NULL,
    CONSTRAINT tallies_region FOREIGN KEY (region_id) REFERENCES regions (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

SET @missing = (SELECT COUNT(*) = 0 FROM information_schema.statistics
    WHERE table_schema = DATABASE() AND table_name = 'chats' AND index_name = 'chats_opened');
SET @change = IF(@missing, 'ALTER TABLE chats ADD KEY chats_opened (region_id, created_at)', 'DO 0');
PREPARE change_it FROM @change;
EXECUTE change_it;
DEALLOCATE PREPARE change_it;

SET @missing = (SELECT COUNT(*) = 0 FROM information_schema.statistics
    WHERE table_schema = DATABASE() AND table_name = 'messages' AND index_name = 'messages_story');
SET @change = IF(@missing, 'ALTER TABLE messages ADD KEY messages_story (chat_id, created_at, author, automatic, retracted)', 'DO 0');
PREPARE change_it FROM @change;
EXECUTE change_it;
DEALLOCATE PREPARE change_it;

SET @missing = (SELECT COUNT(*) = 0 FROM information_schema.statistics
    WHERE table_schema = DATABASE() AND table_name = 'exposures' AND index_name = 'exposures_told');
SET @change = IF(@missing, 'ALTER TABLE exposures ADD KEY exposures_told (region_id, told_at, served, reason)', 'DO 0');
PREPARE change_it FROM @change;
EXECUTE change_it;
DEALLOCATE PREPARE change_it;

SET @missing = (SELECT COUNT(*) = 0 FROM information_schema.statistics
    WHERE table_schema = DATABASE() AND table_name = 'deliveries' AND index_name = 'deliveries_region');
SET @change = IF(@missing, 'ALTER TABLE deliveries ADD KEY deliveries_region (region_id, received_at), ADD KEY deliveries_list (region_id, id)', 'DO 0');
PREPARE change_it FROM @change;
EXECUTE change_it;
DEALLOCATE PREPARE change_it;

SET @missing = (SELECT COUNT(*) = 0 FROM information_schema.statistics
    WHERE table_schema = DATABASE() AND table_name = 'outbox' AND index_name = 'outbox_kind');
SET @change = IF(@missing, 'ALTER TABLE outbox ADD KEY outbox_kind (kind, chat_id, dead, created_at), ADD KEY outbox_letters (dead, id)', 'DO 0');
PREPARE change_it FROM @change;
EXECUTE change_it;
DEALLOCATE PREPARE change_it;
