-- The task hub in one file. Payloads and events are JSON text, readable with the sqlite3 shell:
--     sqlite3 hub.db 'select * from history'
-- Times are UTC, ISO 8601 with six digits and a Z, so that they sort as text.

-- An orchestration instance, or an entity (its id is @name@key). One row per id: a new start replaces an ended instance.
-- execution_id names the generation. needs_episode is 1 while an episode is due although no message asks for it.
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
    needs_episode    INTEGER NOT NULL DEFAULT 0,
    parent_id        TEXT,
    parent_execution TEXT,
    parent_task      INTEGER
) STRICT;
CREATE INDEX instances_needing_episodes ON instances (instance_id) WHERE needs_episode;

-- The history events of an instance's newest generation, in order.
CREATE TABLE history (
    instance_id TEXT NOT NULL,
    seq         INTEGER NOT NULL,
    event       TEXT NOT NULL,
    PRIMARY KEY (instance_id, seq)
) STRICT, WITHOUT ROWID;

-- Messages that an instance has not processed: history events, or for an entity the requests for its operations.
-- An event that ends a task is for one generation, its execution_id; a client's message ('') is for any generation.
CREATE TABLE inbox (
    instance_id  TEXT NOT NULL,
    seq          INTEGER NOT NULL,
    event        TEXT NOT NULL,
    execution_id TEXT NOT NULL,
    PRIMARY KEY (instance_id, seq)
) STRICT, WITHOUT ROWID;

-- Activities that were scheduled and have no result. The transaction that stores the result deletes the row.
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
