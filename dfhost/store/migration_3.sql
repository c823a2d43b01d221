-- From schema version 3 to 4: which worker ran an activity, when a timer was cancelled, and two names; see schema.sql.
ALTER TABLE attempts ADD COLUMN worker INTEGER;
ALTER TABLE attempts ADD COLUMN cancelled_at TEXT;
ALTER TABLE attempts RENAME TO task_facts;
ALTER TABLE log RENAME COLUMN present TO is_complete;
ALTER TABLE log RENAME TO wal_marker;
