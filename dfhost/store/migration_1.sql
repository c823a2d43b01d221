-- From schema version 1 to the newest. It copies the tables: instances has its columns in another order by now, and the
-- entities had no tables of their own.
DROP INDEX instances_awake;
DROP INDEX timers_of_instance;
ALTER TABLE instances RENAME TO old_instances;
ALTER TABLE history RENAME TO old_history;
ALTER TABLE inbox RENAME TO old_inbox;
ALTER TABLE activities RENAME TO old_activities;
ALTER TABLE timers RENAME TO old_timers;
-- {schema.sql}
INSERT INTO instances (instance_id, execution_id, name, version, status, input, output, custom_status, created_at,
        updated_at, needs_episode, parent_id, parent_execution, parent_task)
    SELECT instance_id, execution_id, name, version, status, input, output, custom_status, created_at,
        updated_at, awake, parent_id, parent_execution, parent_task
    FROM old_instances WHERE execution_id <> '';
INSERT INTO entities
    SELECT instance_id, input, custom_status, updated_at FROM old_instances WHERE execution_id = '';
INSERT INTO history SELECT instance_id, seq, event FROM old_history;
INSERT INTO inbox
    SELECT instance_id, seq, event, execution_id FROM old_inbox
    WHERE instance_id NOT IN (SELECT entity_id FROM entities);
INSERT INTO entity_requests
    SELECT instance_id, seq, event FROM old_inbox WHERE instance_id IN (SELECT entity_id FROM entities);
INSERT INTO activities SELECT instance_id, task_id, execution_id, name, input, created_at FROM old_activities;
INSERT INTO timers SELECT fire_at, instance_id, timer_id, execution_id FROM old_timers;
DROP TABLE old_instances;
DROP TABLE old_history;
DROP TABLE old_inbox;
DROP TABLE old_activities;
DROP TABLE old_timers;
