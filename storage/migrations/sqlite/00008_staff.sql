-- +goose Up

-- People who sign in to the console.
CREATE TABLE staff (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    login         TEXT    NOT NULL UNIQUE, -- lower case
    name          TEXT    NOT NULL,
    role          TEXT    NOT NULL,
    language      TEXT    NOT NULL,
    password      TEXT    NOT NULL, -- argon2id in its standard text form; empty: none
    totp_secret   TEXT    NOT NULL, -- sealed; empty: no second factor
    totp_step     INTEGER NOT NULL, -- of the last code taken: each is taken once
    subject       TEXT,             -- at the OpenID provider; NULL: not linked
    disabled      INTEGER NOT NULL,
    epoch         INTEGER NOT NULL, -- rises when all sessions end
    failures      INTEGER NOT NULL,
    locked_until  INTEGER NOT NULL,
    created_at    INTEGER NOT NULL,
    signed_in_at  INTEGER NOT NULL,
    UNIQUE (subject)
) STRICT;

CREATE TABLE staff_regions (
    staff_id  INTEGER NOT NULL REFERENCES staff (id),
    region_id INTEGER NOT NULL REFERENCES regions (id),
    PRIMARY KEY (staff_id, region_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX staff_regions_region ON staff_regions (region_id);

CREATE TABLE sessions (
    token   TEXT    NOT NULL PRIMARY KEY, -- a hash of the cookie
    data    BLOB    NOT NULL,
    expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_age ON sessions (expires);

-- One-time links: to set a password, or to make the first account.
CREATE TABLE staff_links (
    token_hash BLOB    NOT NULL PRIMARY KEY,
    staff_id   INTEGER NOT NULL, -- 0: makes the first account
    expires    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE api_tokens (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    token_hash   BLOB    NOT NULL UNIQUE,
    name         TEXT    NOT NULL,
    scopes       TEXT    NOT NULL, -- separated by spaces
    regions      TEXT    NOT NULL, -- JSON list of ids; null: all
    created_at   INTEGER NOT NULL,
    expires      INTEGER NOT NULL, -- 0: never
    used_at      INTEGER NOT NULL, -- to the hour
    revoked_at   INTEGER NOT NULL  -- 0: not
) STRICT;

-- Nothing changes a row of it.
CREATE TABLE audit (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    at         INTEGER NOT NULL,
    actor_kind TEXT    NOT NULL,
    actor_id   INTEGER NOT NULL,
    actor_name TEXT    NOT NULL,
    region_id  INTEGER NOT NULL, -- 0: the whole installation
    action     TEXT    NOT NULL,
    subject    TEXT    NOT NULL,
    changes    TEXT    NOT NULL -- JSON
) STRICT;
CREATE INDEX audit_region ON audit (region_id, id);
CREATE INDEX audit_age ON audit (at);
