-- +goose Up

-- Refusals are counted apart from attempts: what an outage cost in attempts must
-- not bring a message closer to being set aside.
ALTER TABLE outbox ADD COLUMN refusals INTEGER NOT NULL DEFAULT 0;
