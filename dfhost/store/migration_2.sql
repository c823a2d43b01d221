-- From schema version 2 to 3: the table attempts, later called task_facts.
CREATE TABLE attempts (
    instance_id   TEXT NOT NULL,
    task_id       INTEGER NOT NULL,
    first_task_id INTEGER,
    attempt       INTEGER,
    max_attempts  INTEGER,
    started_at    TEXT,
    input         TEXT,
    PRIMARY KEY (instance_id, task_id)
) STRICT, WITHOUT ROWID;
