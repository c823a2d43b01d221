-- The task hub in one file. Payloads and events are JSON text: `sqlite3 hub.db 'select * from history'` tells the story.
-- Times are UTC, ISO 8601 with six digits and a Z, so that they sort as text.

-- An orchestration instance, or an entity (its id starts with @). One row an id: a new start over an ended instance
-- replaces it. execution_id names the generation; awake = 1 while an episode is due that nothing in the inbox asks for.
CREATE TABLE instances (
    instance_id      TEXT PRIMARY KEY,
    execution_id     TEXT NOT NULL,
    name             TEXT NOT NULL,
    version          TEXT,
    status           TEXT NOT NULL,
    input            TEXT,
    output           TEXT,
    custom_status    TEXT,
    created_at       TEXT NOT NULL,
    updated_at       TEXT NOT NULL,
    awake            INTEGER NOT NULL DEFAULT 0,
    parent_id        TEXT,
    parent_execution TEXT,
    parent_task      INTEGER
) STRICT;
CREATE INDEX instances_awake ON instances (instance_id) WHERE awake;

-- What the newest generation of an instance has gone through, in order.
CREATE TABLE history (
    instance_id TEXT NOT NULL,
    seq         INTEGER NOT NULL,
    event       TEXT NOT NULL,
    PRIMARY KEY (instance_id, seq)
) STRICT, WITHOUT ROWID;

-- What an instance has yet to hear: history events, or for an entity the requests for its operations.
-- What ends a task is for one generation alone, its execution_id; what comes from outside ('') is for any.
CREATE TABLE inbox (
    instance_id  TEXT NOT NULL,
    seq          INTEGER NOT NULL,
    event        TEXT NOT NULL,
    execution_id TEXT NOT NULL,
    PRIMARY KEY (instance_id, seq)
) STRICT, WITHOUT ROWID;

-- Activities that were scheduled and have no stored result. A row goes in the same transaction that stores the result.
CREATE TABLE activities (
    instance_id  TEXT NOT NULL,
    task_id      INTEGER NOT NULL,
    execution_id TEXT NOT NULL,
    name         TEXT NOT NULL,
    input        TEXT NOT NULL,
    created_at   TEXT NOT NULL,
    PRIMARY KEY (instance_id, task_id)
) STRICT, WITHOUT ROWID;

-- Timers that have not fired.
CREATE TABLE timers (
    fire_at      TEXT NOT NULL,
    instance_id  TEXT NOT NULL,
    timer_id     INTEGER NOT NULL,
    execution_id TEXT NOT NULL,
    PRIMARY KEY (fire_at, instance_id, timer_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX timers_of_instance ON timers (instance_id);
