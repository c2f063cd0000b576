-- +goose Up

-- See the twin of this file for SQLite.
CREATE TABLE IF NOT EXISTS staff (
    id            BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    login         VARCHAR(200) NOT NULL,
    name          VARCHAR(200) NOT NULL,
    role          VARCHAR(20) NOT NULL,
    language      VARCHAR(20) NOT NULL,
    password      VARCHAR(255) NOT NULL,
    totp_secret   TEXT NOT NULL,
    totp_step     BIGINT NOT NULL,
    subject       VARCHAR(500) NULL,
    disabled      TINYINT NOT NULL,
    epoch         BIGINT NOT NULL,
    failures      BIGINT NOT NULL,
    locked_until  BIGINT NOT NULL,
    created_at    BIGINT NOT NULL,
    signed_in_at  BIGINT NOT NULL,
    UNIQUE KEY staff_login (login),
    UNIQUE KEY staff_subject (subject)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS staff_regions (
    staff_id  BIGINT NOT NULL,
    region_id BIGINT NOT NULL,
    PRIMARY KEY (staff_id, region_id),
    KEY staff_regions_region (region_id),
    CONSTRAINT staff_regions_staff FOREIGN KEY (staff_id) REFERENCES staff (id),
    CONSTRAINT staff_regions_region FOREIGN KEY (region_id) REFERENCES regions (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS sessions (
    token   VARCHAR(64) NOT NULL PRIMARY KEY,
    data    BLOB NOT NULL,
    expires BIGINT NOT NULL,
    KEY sessions_age (expires)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS staff_links (
    token_hash BINARY(32) NOT NULL PRIMARY KEY,
    staff_id   BIGINT NOT NULL,
    expires    BIGINT NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS api_tokens (
    id           BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    token_hash   BINARY(32) NOT NULL,
    name         VARCHAR(200) NOT NULL,
    scopes       VARCHAR(500) NOT NULL,
    regions      TEXT NOT NULL,
    created_at   BIGINT NOT NULL,
    expires      BIGINT NOT NULL,
    used_at      BIGINT NOT NULL,
    revoked_at   BIGINT NOT NULL,
    UNIQUE KEY api_tokens_hash (token_hash)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS audit (
    id         BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    at         BIGINT NOT NULL,
    actor_kind VARCHAR(20) NOT NULL,
    actor_id   BIGINT NOT NULL,
    actor_name VARCHAR(200) NOT NULL,
    region_id  BIGINT NOT NULL,
    action     VARCHAR(50) NOT NULL,
    subject    VARCHAR(500) NOT NULL,
    changes    MEDIUMTEXT NOT NULL,
    KEY audit_region (region_id, id),
    KEY audit_age (at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
