-- +goose Up

-- See the twin of this file for SQLite.
ALTER TABLE outbox ADD COLUMN refusals BIGINT NOT NULL DEFAULT 0;
