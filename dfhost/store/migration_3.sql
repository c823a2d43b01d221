-- From schema version 3 to 4: which worker ran an activity, see schema.sql.
ALTER TABLE attempts ADD COLUMN worker INTEGER;
