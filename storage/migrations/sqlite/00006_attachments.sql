-- +goose Up

-- How many attachments a message has, so that reading messages without any asks
-- nothing more.
ALTER TABLE messages ADD COLUMN files INTEGER NOT NULL DEFAULT 0;

-- Contents of files that devices sent, in pieces: a row of many megabytes would
-- be too long for MySQL's packets. They are stored before the message that
-- takes them, and go when the desk has them.
CREATE TABLE contents (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX contents_age ON contents (created_at);

CREATE TABLE pieces (
    content_id INTEGER NOT NULL REFERENCES contents (id),
    place      INTEGER NOT NULL,
    data       BLOB    NOT NULL,
    PRIMARY KEY (content_id, place)
) STRICT;

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
