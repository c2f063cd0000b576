-- +goose Up

-- Overrides end by themselves, say why they are there and who set them, and have
-- a number by which people can name one without naming the device.
ALTER TABLE testers RENAME TO testers_before;
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
INSERT INTO testers (region_id, device_hash, override, set_at)
    SELECT region_id, device_hash, override, set_at FROM testers_before ORDER BY set_at;
DROP TABLE testers_before;
CREATE INDEX testers_list ON testers (region_id, id);
CREATE INDEX testers_age ON testers (expires_at);

-- With what a device asked, so that other rules can be tried on it.
ALTER TABLE exposures ADD COLUMN language TEXT NOT NULL DEFAULT '';
ALTER TABLE exposures ADD COLUMN app_version TEXT NOT NULL DEFAULT '';
