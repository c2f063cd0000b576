-- +goose Up

-- Numbers of an hour, which stay when chats are pruned. They name nobody.
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

-- How far the statistics of a region go.
CREATE TABLE tallies (
    region_id  INTEGER NOT NULL PRIMARY KEY REFERENCES regions (id),
    hour       INTEGER NOT NULL, -- the last one that was counted
    message_id INTEGER NOT NULL  -- the newest message that was there
) STRICT, WITHOUT ROWID;

CREATE INDEX chats_opened ON chats (region_id, created_at);

-- Who wrote when in a chat, without the words.
CREATE INDEX messages_story ON messages (chat_id, created_at, author, automatic, retracted);
CREATE INDEX exposures_told ON exposures (region_id, told_at, served, reason);
CREATE INDEX deliveries_region ON deliveries (region_id, received_at);
CREATE INDEX deliveries_list ON deliveries (region_id, id);
CREATE INDEX outbox_letters ON outbox (dead, id);
CREATE INDEX outbox_kind ON outbox (kind, chat_id, dead, created_at);
