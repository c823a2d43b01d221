-- From schema version 3 to 4: which worker ran an activity, and when a timer was cancelled, see schema.sql.
ALTER TABLE attempts ADD COLUMN worker INTEGER;
ALTER TABLE attempts ADD COLUMN cancelled_at TEXT;
