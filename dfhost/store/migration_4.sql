-- From schema version 4 to 5: how instances began that continue as new, and the app's storage queues; see schema.sql.
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
CREATE TABLE first_generations (
    instance_id TEXT PRIMARY KEY,
    generations INTEGER NOT NULL,
    created_at  TEXT NOT NULL,
    started_at  TEXT NOT NULL,
    input       TEXT
) STRICT, WITHOUT ROWID;
