CREATE TABLE alerts (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    region_id     INTEGER NOT NULL REFERENCES regions (id),
    device_id     INTEGER NOT NULL,
    chat_id       INTEGER NOT NULL,
    waiting_since INTEGER NOT NULL,
    alert_key     TEXT    NOT NULL, -- by which receivers know a repeated one
    channels      TEXT    NOT NULL, -- JSON: where to, and what became of it
    created_at    INTEGER NOT NULL,
    due           INTEGER,          -- NULL: done
    attempts      INTEGER NOT NULL,
    claim_id      TEXT    NOT NULL,
    claimed_until INTEGER NOT NULL,
    UNIQUE (device_id, waiting_since)
) STRICT;

CREATE INDEX alerts_age ON alerts (created_at);

CREATE INDEX alerts_due ON alerts (due);

CREATE INDEX alerts_region ON alerts (region_id, id);

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

CREATE TABLE articles (
    desk_id    INTEGER NOT NULL,
    article_id INTEGER NOT NULL,
    ticket_id  INTEGER NOT NULL,
    chat_id    INTEGER NOT NULL REFERENCES chats (id),
    message_id INTEGER REFERENCES messages (id), -- NULL: never shown
    visible    INTEGER NOT NULL,
    barred     INTEGER NOT NULL, -- came by a merge and may be another device's: never shown
    PRIMARY KEY (desk_id, article_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX articles_chat ON articles (chat_id);

CREATE INDEX articles_message ON articles (message_id);

CREATE TABLE attachments (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    public_id  TEXT    NOT NULL UNIQUE, -- the name that devices ask by
    message_id INTEGER NOT NULL REFERENCES messages (id),
    place      INTEGER NOT NULL,        -- in the message, from 0
    name       TEXT    NOT NULL,
    media_type TEXT    NOT NULL,
    size       INTEGER NOT NULL,
    in_text    INTEGER NOT NULL,        -- a picture inside the message's HTML
    digest     BLOB,                    -- SHA-256 of what the device sent
    content_id INTEGER UNIQUE REFERENCES contents (id), -- NULL: only the desk has it
    desk_file  INTEGER NOT NULL,        -- 0: the desk has not shown it yet
    article_id INTEGER NOT NULL,        -- in which the desk has it
    known_at   INTEGER NOT NULL         -- since when desk_file is known
) STRICT;

CREATE INDEX attachments_message ON attachments (message_id);

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

CREATE INDEX audit_age ON audit (at);

CREATE INDEX audit_region ON audit (region_id, id);

CREATE TABLE author_messages (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    room_id     INTEGER NOT NULL REFERENCES author_rooms (id),
    seq         INTEGER NOT NULL, -- of the last change
    author_id   INTEGER NOT NULL REFERENCES staff (id),
    author_name TEXT    NOT NULL, -- as it was at the time
    client_key  TEXT,             -- NULL: none
    text        TEXT    NOT NULL, -- empty once deleted
    created_at  INTEGER NOT NULL,
    deleted     INTEGER NOT NULL,
    UNIQUE (room_id, author_id, client_key)
) STRICT;

CREATE INDEX author_messages_age ON author_messages (created_at);

CREATE INDEX author_messages_author ON author_messages (author_id);

CREATE INDEX author_messages_seq ON author_messages (room_id, seq);

CREATE TABLE author_reads (
    room_id   INTEGER NOT NULL REFERENCES author_rooms (id),
    person_id INTEGER NOT NULL REFERENCES staff (id) ON DELETE CASCADE,
    seq       INTEGER NOT NULL,
    PRIMARY KEY (room_id, person_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX author_reads_person ON author_reads (person_id);

CREATE TABLE author_rooms (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    kind       TEXT    NOT NULL, -- all, region or thread
    region_id  INTEGER NOT NULL, -- of a region; else 0
    first_id   INTEGER NOT NULL, -- of a thread, the lower number of the two; else 0
    second_id  INTEGER NOT NULL,
    seq        INTEGER NOT NULL,
    pruned_seq INTEGER NOT NULL, -- highest seq that is not stored any more
    changed_at INTEGER NOT NULL,
    UNIQUE (kind, region_id, first_id, second_id)
) STRICT;

CREATE INDEX author_rooms_changed ON author_rooms (changed_at);

CREATE INDEX author_rooms_first ON author_rooms (first_id);

CREATE INDEX author_rooms_second ON author_rooms (second_id);

CREATE TABLE chats (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    region_id       INTEGER NOT NULL REFERENCES regions (id),
    device_id       INTEGER NOT NULL REFERENCES devices (id),
    language        TEXT    NOT NULL,
    consent         INTEGER,          -- NULL: never asked
    consent_at      INTEGER NOT NULL,
    desk_id         INTEGER NOT NULL, -- 0: no desk
    ticket_id       INTEGER,          -- NULL: not opened yet
    customer_id     INTEGER NOT NULL,
    ticket_state    TEXT    NOT NULL,
    checked_at      INTEGER NOT NULL,
    created_at      INTEGER NOT NULL,
    last_message_at INTEGER NOT NULL,
    lane_due        INTEGER,          -- NULL: the lane is empty
    claim_id        TEXT    NOT NULL,
    claimed_until   INTEGER NOT NULL, state_at INTEGER NOT NULL DEFAULT 0, reopened INTEGER NOT NULL DEFAULT 0, answered_at INTEGER NOT NULL DEFAULT 0, asked_at INTEGER NOT NULL DEFAULT 0, typed_at INTEGER NOT NULL DEFAULT 0, waiting_since INTEGER NOT NULL DEFAULT 0,
    UNIQUE (desk_id, ticket_id)
) STRICT;

CREATE INDEX chats_age ON chats (region_id, last_message_at);

CREATE INDEX chats_device ON chats (device_id);

CREATE INDEX chats_lane ON chats (desk_id, lane_due);

CREATE INDEX chats_opened ON chats (region_id, created_at);

CREATE INDEX chats_waiting ON chats (region_id, waiting_since);

CREATE TABLE contents (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    created_at INTEGER NOT NULL
) STRICT;

CREATE INDEX contents_age ON contents (created_at);

CREATE TABLE deliveries (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    region_id     INTEGER NOT NULL REFERENCES regions (id),
    delivery_key  TEXT    NOT NULL,
    body          BLOB    NOT NULL,
    hint          INTEGER NOT NULL,
    claim_id      TEXT    NOT NULL,
    claimed_until INTEGER NOT NULL,
    due           INTEGER NOT NULL,
    attempts      INTEGER NOT NULL,
    outcome       TEXT    NOT NULL, -- empty: not relayed yet
    reason        TEXT    NOT NULL,
    received_at   INTEGER NOT NULL,
    finished_at   INTEGER NOT NULL,
    UNIQUE (region_id, delivery_key)
) STRICT;

CREATE INDEX deliveries_age ON deliveries (received_at);

CREATE INDEX deliveries_due ON deliveries (outcome, due);

CREATE INDEX deliveries_list ON deliveries (region_id, id);

CREATE INDEX deliveries_region ON deliveries (region_id, received_at);

CREATE TABLE desks (
    id  INTEGER PRIMARY KEY AUTOINCREMENT,
    url TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE devices (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    region_id       INTEGER NOT NULL REFERENCES regions (id),
    device_hash     BLOB    NOT NULL,
    alias           TEXT    NOT NULL,
    seq             INTEGER NOT NULL,
    changed_at      INTEGER NOT NULL,
    current_chat_id INTEGER NOT NULL, -- 0: none
    last_message_at INTEGER NOT NULL,
    opened_at       INTEGER NOT NULL, pruned_seq INTEGER NOT NULL DEFAULT 0, read_seq INTEGER NOT NULL DEFAULT 0, token_hash BLOB, -- first chat
    UNIQUE (region_id, device_hash)
) STRICT;

CREATE INDEX devices_changed ON devices (changed_at);

CREATE TABLE erasures (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    region_id     INTEGER NOT NULL REFERENCES regions (id),
    receipt_hash  BLOB    NOT NULL UNIQUE,
    desk_id       INTEGER NOT NULL,
    rule          TEXT    NOT NULL,
    alias         TEXT    NOT NULL,
    neutral       TEXT    NOT NULL, -- takes the place of the alias
    traces        TEXT    NOT NULL, -- JSON: tickets, customers, messages in doubt
    settled_at    INTEGER NOT NULL, -- from then on no cut-off write can be running
    erased_at     INTEGER NOT NULL,
    due           INTEGER,          -- NULL: done
    claim_id      TEXT    NOT NULL,
    claimed_until INTEGER NOT NULL,
    attempts      INTEGER NOT NULL,
    refusals      INTEGER NOT NULL,
    reason        TEXT    NOT NULL,
    finished_at   INTEGER           -- NULL: not done
) STRICT;

CREATE INDEX erasures_age ON erasures (finished_at);

CREATE INDEX erasures_due ON erasures (due);

CREATE TABLE exposures (
    region_id   INTEGER NOT NULL REFERENCES regions (id),
    device_hash BLOB    NOT NULL,
    day         TEXT    NOT NULL,
    served      INTEGER NOT NULL,
    reason      TEXT    NOT NULL,
    told_at     INTEGER NOT NULL, language TEXT NOT NULL DEFAULT '', app_version TEXT NOT NULL DEFAULT '', percentage INTEGER,
    PRIMARY KEY (region_id, device_hash, day)
) STRICT, WITHOUT ROWID;

CREATE INDEX exposures_age ON exposures (told_at);

CREATE INDEX exposures_told ON exposures (region_id, told_at, served, reason, percentage);

CREATE TABLE goose_db_version (
		id INTEGER PRIMARY KEY AUTOINCREMENT,
		version_id INTEGER NOT NULL,
		is_applied INTEGER NOT NULL,
		tstamp TIMESTAMP DEFAULT (datetime('now'))
	);

CREATE TABLE job_runs (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    job        TEXT    NOT NULL,
    instance   TEXT    NOT NULL,
    dry_run    INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    ended_at   INTEGER NOT NULL,
    counts     TEXT    NOT NULL, -- JSON
    error      TEXT    NOT NULL
) STRICT;

CREATE INDEX job_runs_age ON job_runs (started_at);

CREATE TABLE leases (
    name       TEXT    NOT NULL PRIMARY KEY,
    holder     TEXT    NOT NULL,
    held_until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE marks (
    name    TEXT    NOT NULL PRIMARY KEY,
    read_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE messages (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    device_id  INTEGER NOT NULL REFERENCES devices (id),
    chat_id    INTEGER NOT NULL REFERENCES chats (id),
    seq        INTEGER NOT NULL, -- of the last change
    uuid       TEXT    NOT NULL UNIQUE,
    author     TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    html       TEXT    NOT NULL,
    text       TEXT    NOT NULL,
    automatic  INTEGER NOT NULL,
    status     TEXT    NOT NULL,
    fail_code  TEXT    NOT NULL,
    client_key TEXT,
    created_at INTEGER NOT NULL,
    retracted  INTEGER NOT NULL, files INTEGER NOT NULL DEFAULT 0,
    UNIQUE (device_id, client_key)
) STRICT;

CREATE INDEX messages_chat ON messages (chat_id, status);

CREATE INDEX messages_seq ON messages (device_id, seq);

CREATE INDEX messages_story ON messages (chat_id, created_at, author, automatic, retracted);

CREATE TABLE migration_lease (id BIGINT NOT NULL PRIMARY KEY, holder VARCHAR(64) NOT NULL, held_until BIGINT NOT NULL);

CREATE TABLE outbox (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    chat_id    INTEGER NOT NULL REFERENCES chats (id),
    kind       TEXT    NOT NULL,
    message_id INTEGER REFERENCES messages (id),
    previous   TEXT    NOT NULL,
    attempts   INTEGER NOT NULL,
    started_at INTEGER NOT NULL, -- 0: no write is in doubt
    dead       INTEGER NOT NULL,
    reason     TEXT    NOT NULL,
    error_id   TEXT    NOT NULL,
    created_at INTEGER NOT NULL
, refusals INTEGER NOT NULL DEFAULT 0) STRICT;

CREATE INDEX outbox_kind ON outbox (kind, chat_id, dead, created_at);

CREATE INDEX outbox_lane ON outbox (chat_id, dead);

CREATE INDEX outbox_letters ON outbox (dead, id);

CREATE INDEX outbox_message ON outbox (message_id);

CREATE TABLE pieces (
    content_id INTEGER NOT NULL REFERENCES contents (id),
    place      INTEGER NOT NULL,
    data       BLOB    NOT NULL,
    PRIMARY KEY (content_id, place)
) STRICT;

CREATE TABLE regions (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    slug           TEXT    NOT NULL UNIQUE,
    name           TEXT    NOT NULL,
    enabled        INTEGER NOT NULL,
    version        INTEGER NOT NULL,
    salt           TEXT    NOT NULL,
    desk_id        INTEGER NOT NULL, -- 0: no desk
    settings       TEXT    NOT NULL, -- JSON
    zammad_token   TEXT    NOT NULL,
    webhook_secret TEXT    NOT NULL,
    webhook_token  TEXT    NOT NULL,
    updated_at     INTEGER NOT NULL
, seq_floor INTEGER NOT NULL DEFAULT 0, identity_secret TEXT NOT NULL DEFAULT '', privacy_token TEXT NOT NULL DEFAULT '', alert_secret TEXT NOT NULL DEFAULT '', alert_token TEXT NOT NULL DEFAULT '') STRICT;

CREATE TABLE sessions (
    token   TEXT    NOT NULL PRIMARY KEY, -- a hash of the cookie
    data    BLOB    NOT NULL,
    expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions_age ON sessions (expires);

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
    signed_in_at  INTEGER NOT NULL, signed_in_before INTEGER NOT NULL DEFAULT 0, password_at INTEGER NOT NULL DEFAULT 0, factor_at INTEGER NOT NULL DEFAULT 0, identity_at INTEGER NOT NULL DEFAULT 0, told_at INTEGER NOT NULL DEFAULT 0,
    UNIQUE (subject)
) STRICT;

CREATE TABLE staff_links (
    token_hash BLOB    NOT NULL PRIMARY KEY,
    staff_id   INTEGER NOT NULL, -- 0: makes the first account
    expires    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE staff_regions (
    staff_id  INTEGER NOT NULL REFERENCES staff (id),
    region_id INTEGER NOT NULL REFERENCES regions (id),
    PRIMARY KEY (staff_id, region_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX staff_regions_region ON staff_regions (region_id);

CREATE TABLE statistics (
    region_id      INTEGER NOT NULL REFERENCES regions (id),
    hour           INTEGER NOT NULL, -- hours since 1970
    invented       INTEGER NOT NULL, -- made up for the demo
    chats_opened   INTEGER NOT NULL,
    messages_user  INTEGER NOT NULL,
    messages_agent INTEGER NOT NULL,
    failed         INTEGER NOT NULL, -- messages of the hour that the desk refused
    answered       INTEGER NOT NULL, -- chats that got their first answer
    answer_times   TEXT    NOT NULL, -- how many of them within each span, separated by commas
    asked_served   INTEGER NOT NULL, -- devices told for the first time on their day
    asked_unserved INTEGER NOT NULL,
    PRIMARY KEY (region_id, hour, invented)
) STRICT, WITHOUT ROWID;

CREATE TABLE tallies (
    region_id  INTEGER NOT NULL PRIMARY KEY REFERENCES regions (id),
    hour       INTEGER NOT NULL, -- the last one that was counted
    message_id INTEGER NOT NULL  -- the newest message that was there
) STRICT, WITHOUT ROWID;

CREATE TABLE testers (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    region_id   INTEGER NOT NULL REFERENCES regions (id),
    device_hash BLOB    NOT NULL,
    override    TEXT    NOT NULL,
    set_at      INTEGER NOT NULL,
    set_by      TEXT    NOT NULL DEFAULT '', -- as the audit names them
    expires_at  INTEGER,                     -- NULL: never
    note        TEXT    NOT NULL DEFAULT '',
    UNIQUE (region_id, device_hash)
) STRICT;

CREATE INDEX testers_age ON testers (expires_at);

CREATE INDEX testers_list ON testers (region_id, id);
