-- +goose Up

-- The staff's own chat. Everything is a room: the one of all, one for each
-- region, and the threads of two persons. The row of a room is its lock and its
-- sequence, as a device's is.
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
CREATE INDEX author_rooms_first ON author_rooms (first_id);
CREATE INDEX author_rooms_second ON author_rooms (second_id);
CREATE INDEX author_rooms_changed ON author_rooms (changed_at);

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
CREATE INDEX author_messages_seq ON author_messages (room_id, seq);
CREATE INDEX author_messages_author ON author_messages (author_id);
CREATE INDEX author_messages_age ON author_messages (created_at);

-- How far each person has read.
CREATE TABLE author_reads (
    room_id   INTEGER NOT NULL REFERENCES author_rooms (id),
    person_id INTEGER NOT NULL REFERENCES staff (id) ON DELETE CASCADE,
    seq       INTEGER NOT NULL,
    PRIMARY KEY (room_id, person_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX author_reads_person ON author_reads (person_id);
