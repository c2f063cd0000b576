-- +goose Up

-- See the twin of this file for SQLite.
CREATE TABLE IF NOT EXISTS author_rooms (
    id         BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    kind       VARCHAR(20) NOT NULL,
    region_id  BIGINT NOT NULL,
    first_id   BIGINT NOT NULL,
    second_id  BIGINT NOT NULL,
    seq        BIGINT NOT NULL,
    pruned_seq BIGINT NOT NULL,
    changed_at BIGINT NOT NULL,
    UNIQUE KEY author_rooms_whose (kind, region_id, first_id, second_id),
    KEY author_rooms_first (first_id),
    KEY author_rooms_second (second_id),
    KEY author_rooms_changed (changed_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS author_messages (
    id          BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    room_id     BIGINT NOT NULL,
    seq         BIGINT NOT NULL,
    author_id   BIGINT NOT NULL,
    author_name VARCHAR(200) NOT NULL,
    client_key  VARCHAR(200) NULL,
    text        TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    deleted     TINYINT NOT NULL,
    UNIQUE KEY author_messages_key (room_id, author_id, client_key),
    KEY author_messages_seq (room_id, seq),
    KEY author_messages_author (author_id),
    KEY author_messages_age (created_at),
    CONSTRAINT author_messages_author FOREIGN KEY (author_id) REFERENCES staff (id),
    CONSTRAINT author_messages_room FOREIGN KEY (room_id) REFERENCES author_rooms (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS author_reads (
    room_id   BIGINT NOT NULL,
    person_id BIGINT NOT NULL,
    seq       BIGINT NOT NULL,
    PRIMARY KEY (room_id, person_id),
    KEY author_reads_person (person_id),
    CONSTRAINT author_reads_person FOREIGN KEY (person_id) REFERENCES staff (id) ON DELETE CASCADE,
    CONSTRAINT author_reads_room FOREIGN KEY (room_id) REFERENCES author_rooms (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
