-- +goose Up

-- The comments are in the twin of this file for SQLite. Texts are utf8mb4_bin,
-- so that every character comes back and no two of them are equal; what is
-- compared as bytes (client keys, delivery keys) is VARBINARY, since the text
-- types ignore blanks at the end.
--
-- Here every statement commits by itself. A start that is killed in between is
-- followed by one that runs the file again, so each file must bear that.

CREATE TABLE IF NOT EXISTS desks (
    id  BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    url VARCHAR(500) NOT NULL,
    UNIQUE KEY desks_url (url)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS regions (
    id             BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    slug           VARCHAR(200) NOT NULL,
    name           VARCHAR(500) NOT NULL,
    enabled        TINYINT NOT NULL,
    version        BIGINT NOT NULL,
    salt           VARCHAR(200) NOT NULL,
    desk_id        BIGINT NOT NULL,
    settings       MEDIUMTEXT NOT NULL,
    zammad_token   TEXT NOT NULL,
    webhook_secret TEXT NOT NULL,
    webhook_token  TEXT NOT NULL,
    updated_at     BIGINT NOT NULL,
    UNIQUE KEY regions_slug (slug)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS testers (
    region_id   BIGINT NOT NULL,
    device_hash BINARY(32) NOT NULL,
    override    VARCHAR(20) NOT NULL,
    set_at      BIGINT NOT NULL,
    PRIMARY KEY (region_id, device_hash),
    CONSTRAINT testers_region FOREIGN KEY (region_id) REFERENCES regions (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS devices (
    id              BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    region_id       BIGINT NOT NULL,
    device_hash     BINARY(32) NOT NULL,
    alias           VARCHAR(100) NOT NULL,
    seq             BIGINT NOT NULL,
    changed_at      BIGINT NOT NULL,
    current_chat_id BIGINT NOT NULL,
    last_message_at BIGINT NOT NULL,
    opened_at       BIGINT NOT NULL,
    UNIQUE KEY devices_device (region_id, device_hash),
    KEY devices_changed (changed_at),
    CONSTRAINT devices_region FOREIGN KEY (region_id) REFERENCES regions (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS chats (
    id              BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    region_id       BIGINT NOT NULL,
    device_id       BIGINT NOT NULL,
    language        VARCHAR(100) NOT NULL,
    consent         TINYINT NULL,
    consent_at      BIGINT NOT NULL,
    desk_id         BIGINT NOT NULL,
    ticket_id       BIGINT NULL,
    customer_id     BIGINT NOT NULL,
    ticket_state    VARCHAR(20) NOT NULL,
    checked_at      BIGINT NOT NULL,
    created_at      BIGINT NOT NULL,
    last_message_at BIGINT NOT NULL,
    lane_due        BIGINT NULL,
    claim_id        VARCHAR(64) NOT NULL,
    claimed_until   BIGINT NOT NULL,
    UNIQUE KEY chats_ticket (desk_id, ticket_id),
    KEY chats_lane (desk_id, lane_due),
    KEY chats_device (device_id),
    KEY chats_age (region_id, last_message_at),
    CONSTRAINT chats_region FOREIGN KEY (region_id) REFERENCES regions (id),
    CONSTRAINT chats_of_device FOREIGN KEY (device_id) REFERENCES devices (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS messages (
    id         BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    device_id  BIGINT NOT NULL,
    chat_id    BIGINT NOT NULL,
    seq        BIGINT NOT NULL,
    uuid       VARBINARY(64) NOT NULL,
    author     VARCHAR(20) NOT NULL,
    name       TEXT NOT NULL,
    html       MEDIUMTEXT NOT NULL,
    text       MEDIUMTEXT NOT NULL,
    automatic  TINYINT NOT NULL,
    status     VARCHAR(20) NOT NULL,
    fail_code  VARCHAR(100) NOT NULL,
    client_key VARBINARY(200) NULL,
    created_at BIGINT NOT NULL,
    retracted  TINYINT NOT NULL,
    UNIQUE KEY messages_uuid (uuid),
    UNIQUE KEY messages_key (device_id, client_key),
    KEY messages_seq (device_id, seq),
    KEY messages_chat (chat_id, status),
    CONSTRAINT messages_of_device FOREIGN KEY (device_id) REFERENCES devices (id),
    CONSTRAINT messages_of_chat FOREIGN KEY (chat_id) REFERENCES chats (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS articles (
    desk_id    BIGINT NOT NULL,
    article_id BIGINT NOT NULL,
    ticket_id  BIGINT NOT NULL,
    chat_id    BIGINT NOT NULL,
    message_id BIGINT NULL,
    visible    TINYINT NOT NULL,
    barred     TINYINT NOT NULL,
    PRIMARY KEY (desk_id, article_id),
    KEY articles_chat (chat_id),
    KEY articles_message (message_id),
    CONSTRAINT articles_of_chat FOREIGN KEY (chat_id) REFERENCES chats (id),
    CONSTRAINT articles_of_message FOREIGN KEY (message_id) REFERENCES messages (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS outbox (
    id         BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    chat_id    BIGINT NOT NULL,
    kind       VARCHAR(20) NOT NULL,
    message_id BIGINT NULL,
    previous   VARCHAR(100) NOT NULL,
    attempts   BIGINT NOT NULL,
    started_at BIGINT NOT NULL,
    dead       TINYINT NOT NULL,
    reason     TEXT NOT NULL,
    error_id   VARCHAR(200) NOT NULL,
    created_at BIGINT NOT NULL,
    KEY outbox_lane (chat_id, dead),
    KEY outbox_message (message_id),
    CONSTRAINT outbox_of_chat FOREIGN KEY (chat_id) REFERENCES chats (id),
    CONSTRAINT outbox_of_message FOREIGN KEY (message_id) REFERENCES messages (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS deliveries (
    id            BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    region_id     BIGINT NOT NULL,
    delivery_key  VARBINARY(500) NOT NULL,
    body          LONGBLOB NOT NULL,
    hint          TINYINT NOT NULL,
    claim_id      VARCHAR(64) NOT NULL,
    claimed_until BIGINT NOT NULL,
    due           BIGINT NOT NULL,
    attempts      BIGINT NOT NULL,
    outcome       VARCHAR(40) NOT NULL,
    reason        TEXT NOT NULL,
    received_at   BIGINT NOT NULL,
    finished_at   BIGINT NOT NULL,
    UNIQUE KEY deliveries_key (region_id, delivery_key),
    KEY deliveries_due (outcome, due),
    KEY deliveries_age (received_at),
    CONSTRAINT deliveries_region FOREIGN KEY (region_id) REFERENCES regions (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS marks (
    name    VARCHAR(200) NOT NULL PRIMARY KEY,
    read_at BIGINT NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS leases (
    name       VARCHAR(200) NOT NULL PRIMARY KEY,
    holder     VARCHAR(200) NOT NULL,
    held_until BIGINT NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS job_runs (
    id         BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    job        VARCHAR(200) NOT NULL,
    instance   VARCHAR(200) NOT NULL,
    dry_run    TINYINT NOT NULL,
    started_at BIGINT NOT NULL,
    ended_at   BIGINT NOT NULL,
    counts     TEXT NOT NULL,
    error      TEXT NOT NULL,
    KEY job_runs_age (started_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS exposures (
    region_id   BIGINT NOT NULL,
    device_hash BINARY(32) NOT NULL,
    day         VARCHAR(10) NOT NULL,
    served      TINYINT NOT NULL,
    reason      VARCHAR(40) NOT NULL,
    told_at     BIGINT NOT NULL,
    PRIMARY KEY (region_id, device_hash, day),
    KEY exposures_age (told_at),
    CONSTRAINT exposures_region FOREIGN KEY (region_id) REFERENCES regions (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
