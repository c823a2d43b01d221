-- The task hub in one file. Payloads and events are JSON text, readable with the sqlite3 shell:
--     sqlite3 hub.db 'select * from history'
-- Times are UTC, ISO 8601 with six digits and a Z, so that they sort as text.

-- An orchestration instance. One row per id: a new start replaces an ended instance.
-- Large columns come last: a filter then reads no payloads. execution_id names the generation. needs_episode is 1 while
-- an episode is due although no message asks for it.
CREATE TABLE instances (
    instance_id      TEXT PRIMARY KEY,
    execution_id     TEXT NOT NULL,
    name             TEXT NOT NULL,
    version          TEXT,
    status           TEXT NOT NULL,
    created_at       TEXT NOT NULL,
    updated_at       TEXT NOT NULL,
    needs_episode    INTEGER NOT NULL DEFAULT 0,
    parent_id        TEXT,
    parent_execution TEXT,
    parent_task      INTEGER,
    custom_status    TEXT,
    input            TEXT,
    output           TEXT
) STRICT;
CREATE INDEX instances_needing_episodes ON instances (instance_id) WHERE needs_episode;

-- The history events of an instance's newest generation, in order.
CREATE TABLE history (
    instance_id TEXT NOT NULL,
    seq         INTEGER NOT NULL,
    event       TEXT NOT NULL,
    PRIMARY KEY (instance_id, seq)
) STRICT, WITHOUT ROWID;

-- Instances that have continued as new: how many generations there were, with the present one, and how the first began.
CREATE TABLE first_generations (
    instance_id TEXT PRIMARY KEY,
    generations INTEGER NOT NULL,
    created_at  TEXT NOT NULL,
    started_at  TEXT NOT NULL,
    input       TEXT
) STRICT, WITHOUT ROWID;

-- Messages that an instance has not processed: history events.
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

-- What history events have no field for, by task.
-- started_at, input, worker: of an activity that has ended. When it began to run, the first characters of its input
--   (the history has it only if host.json says so), and the pid of the worker process that ran it, if one did.
--   The input also of one that had not ended when its instance was terminated.
-- first_task_id, attempt, max_attempts: of a call with retries. The task of the first attempt, and which attempt of how
--   many this task is. A timer before the next attempt has the number of the attempt that failed.
-- cancelled_at: of any other timer that the code has cancelled.
CREATE TABLE task_facts (
    instance_id   TEXT NOT NULL,
    task_id       INTEGER NOT NULL,
    first_task_id INTEGER,
    attempt       INTEGER,
    max_attempts  INTEGER,
    started_at    TEXT,
    input         TEXT,
    worker        INTEGER,
    cancelled_at  TEXT,
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

-- Entities, by their id @name@key. state and custom_status are what instance lists show as an entity's input and custom
-- status; updated_at is the time of its newest batch of operations.
CREATE TABLE entities (
    entity_id     TEXT PRIMARY KEY,
    state         TEXT,
    custom_status TEXT,
    updated_at    TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Operations that an entity has not processed, as the extension's RequestMessages.
CREATE TABLE entity_requests (
    entity_id TEXT NOT NULL,
    seq       INTEGER NOT NULL,
    request   TEXT NOT NULL,
    PRIMARY KEY (entity_id, seq)
) STRICT, WITHOUT ROWID;

-- Messages in the app's storage queues. A function may take one from visible_at on; dequeue_count says how often one
-- has. is_taken is 1 while a function works on the message, and stays 1 if the host dies meanwhile.
CREATE TABLE queue_messages (
    seq           INTEGER PRIMARY KEY AUTOINCREMENT,
    queue         TEXT NOT NULL,
    message_id    TEXT NOT NULL,
    text          TEXT NOT NULL,
    inserted_at   TEXT NOT NULL,
    visible_at    TEXT NOT NULL,
    dequeue_count INTEGER NOT NULL DEFAULT 0,
    is_taken      INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX queue_messages_to_take ON queue_messages (queue, is_taken, visible_at);
CREATE INDEX queue_messages_of_queue ON queue_messages (queue);

-- Messages to instances and entities that could not be read or processed. They were set aside so that others go on.
CREATE TABLE poison_messages (
    instance_id  TEXT NOT NULL,
    message      TEXT NOT NULL,
    execution_id TEXT NOT NULL,
    reason       TEXT NOT NULL,
    set_aside_at TEXT NOT NULL
) STRICT;

-- Whether the database is complete. As long as a host runs, the file itself says 0 and its write-ahead log says 1:
-- reading 0 means that the log is missing, and with it the newest events.
CREATE TABLE wal_marker (is_complete INTEGER NOT NULL) STRICT;
INSERT INTO wal_marker VALUES (1);
