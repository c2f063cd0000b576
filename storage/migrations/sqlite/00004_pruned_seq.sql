-- +goose Up

-- pruned_seq is the newest change of a device that is not stored any more: who
-- read up to an earlier one only may have missed something. A region's seq_floor
-- is the highest seq that a removed device had reached. Its devices begin above
-- it, so that a cursor from before a removal is never taken for a new one.
ALTER TABLE devices ADD COLUMN pruned_seq INTEGER NOT NULL DEFAULT 0;
ALTER TABLE regions ADD COLUMN seq_floor INTEGER NOT NULL DEFAULT 0;
