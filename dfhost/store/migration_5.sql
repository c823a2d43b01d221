-- From schema version 5 to 6: the table first_generations, see schema.sql.
CREATE TABLE first_generations (
    instance_id TEXT PRIMARY KEY,
    generations INTEGER NOT NULL,
    created_at  TEXT NOT NULL,
    started_at  TEXT NOT NULL,
    input       TEXT
) STRICT, WITHOUT ROWID;
