-- +goose Up

-- By which percentage the lot was drawn, in hundredths of a percent, so that a
-- comparison knows what to expect of days on which it was another. NULL: from
-- before this was noted.
ALTER TABLE exposures ADD COLUMN percentage INTEGER;
DROP INDEX exposures_told;
CREATE INDEX exposures_told ON exposures (region_id, told_at, served, reason, percentage);
