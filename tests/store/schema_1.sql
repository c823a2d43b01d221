-- Written by a host of schema version 1 that was killed: tests/test_store_migration.py says what was going on.
PRAGMA application_id = 1684433011;
PRAGMA user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE activities (
    instance_id  TEXT NOT NULL,
    task_id      INTEGER NOT NULL,
    execution_id TEXT NOT NULL,
    name         TEXT NOT NULL,
    input        TEXT NOT NULL,
    created_at   TEXT NOT NULL,
    PRIMARY KEY (instance_id, task_id)
) STRICT, WITHOUT ROWID;
INSERT INTO "activities" VALUES('steps',1,'043dfffe-f5fc-48b7-b23e-7f48e0c56401','stop','"work"','2026-11-28T04:39:06.220382Z');
CREATE TABLE history (
    instance_id TEXT NOT NULL,
    seq         INTEGER NOT NULL,
    event       TEXT NOT NULL,
    PRIMARY KEY (instance_id, seq)
) STRICT, WITHOUT ROWID;
INSERT INTO "history" VALUES('asks',0,'{"EventType":12,"EventId":-1,"IsPlayed":false,"Timestamp":"2026-11-28T04:39:06.242425Z"}');
INSERT INTO "history" VALUES('asks',1,'{"OrchestrationInstance":{"InstanceId":"asks","ExecutionId":"0ce23c1a-745f-4079-b548-d31d3dd7ea8a"},"EventType":0,"ParentInstance":null,"Name":"calls_entity","Version":null,"Input":"\"{\\\"entity\\\": \\\"counter\\\", \\\"key\\\": \\\"k\\\", \\\"operation\\\": \\\"get\\\"}\"","Tags":null,"Correlation":null,"ParentTraceContext":null,"ScheduledStartTime":null,"Generation":0,"GenerateNewTrace":false,"EventId":-1,"IsPlayed":true,"Timestamp":"2026-11-28T04:39:06.241117Z"}');
INSERT INTO "history" VALUES('asks',2,'{"EventType":14,"InstanceId":"@counter@k","Name":"op","Input":"{\"$type\":\"Microsoft.Azure.WebJobs.Extensions.DurableTask.RequestMessage, Microsoft.Azure.WebJobs.Extensions.DurableTask\",\"op\":\"get\",\"input\":\"\\\"null\\\"\",\"id\":\"1bb8c9fc-3942-5892-bb70-71dbcc72754d\",\"parent\":\"asks\",\"parentExecution\":\"0ce23c1a-745f-4079-b548-d31d3dd7ea8a\",\"Timestamp\":\"2026-11-28T04:39:06.242425Z\",\"Predecessor\":\"0001-01-01T00:00:00\",\"requestTime\":\"2026-11-28T04:39:06.242425+00:00\"}","EventId":0,"IsPlayed":false,"Timestamp":"2026-11-28T04:39:06.242425Z"}');
INSERT INTO "history" VALUES('asks',3,'{"EventType":13,"EventId":-1,"IsPlayed":false,"Timestamp":"2026-11-28T04:39:06.242425Z"}');
INSERT INTO "history" VALUES('child',0,'{"EventType":12,"EventId":-1,"IsPlayed":false,"Timestamp":"2026-11-28T04:39:06.222320Z"}');
INSERT INTO "history" VALUES('child',1,'{"OrchestrationInstance":{"InstanceId":"child","ExecutionId":"ce3075c7461a567bad7d0fab1b1b5e8e"},"EventType":0,"ParentInstance":{"Name":"parent","OrchestrationInstance":{"InstanceId":"parent","ExecutionId":"a35bbb1b-dcaf-4ab1-ad44-9b0ddc742c36"},"TaskScheduleId":0,"Version":null},"Name":"sleeps","Version":null,"Input":"\"30\"","Tags":null,"Correlation":null,"ParentTraceContext":null,"ScheduledStartTime":null,"Generation":null,"GenerateNewTrace":false,"EventId":-1,"IsPlayed":true,"Timestamp":"2026-11-28T04:39:06.220753Z"}');
INSERT INTO "history" VALUES('child',2,'{"EventType":10,"FireAt":"2026-11-28T04:39:36.222320Z","EventId":0,"IsPlayed":false,"Timestamp":"2026-11-28T04:39:06.222320Z"}');
INSERT INTO "history" VALUES('child',3,'{"EventType":13,"EventId":-1,"IsPlayed":false,"Timestamp":"2026-11-28T04:39:06.222320Z"}');
INSERT INTO "history" VALUES('done',0,'{"EventType":12,"EventId":-1,"IsPlayed":false,"Timestamp":"2026-11-28T04:39:06.223938Z"}');
INSERT INTO "history" VALUES('done',1,'{"OrchestrationInstance":{"InstanceId":"done","ExecutionId":"b867d511-0f54-47d9-bef2-5e8826663224"},"EventType":0,"ParentInstance":null,"Name":"fan","Version":null,"Input":"\"{\\\"activity\\\": \\\"echo\\\", \\\"inputs\\\": [1, 2]}\"","Tags":null,"Correlation":null,"ParentTraceContext":null,"ScheduledStartTime":null,"Generation":0,"GenerateNewTrace":false,"EventId":-1,"IsPlayed":true,"Timestamp":"2026-11-28T04:39:06.223589Z"}');
INSERT INTO "history" VALUES('done',2,'{"EventType":4,"Name":"echo","Version":"","Input":null,"ParentTraceContext":null,"Tags":null,"EventId":0,"IsPlayed":false,"Timestamp":"2026-11-28T04:39:06.223938Z"}');
INSERT INTO "history" VALUES('done',3,'{"EventType":4,"Name":"echo","Version":"","Input":null,"ParentTraceContext":null,"Tags":null,"EventId":1,"IsPlayed":false,"Timestamp":"2026-11-28T04:39:06.223938Z"}');
INSERT INTO "history" VALUES('done',4,'{"EventType":13,"EventId":-1,"IsPlayed":false,"Timestamp":"2026-11-28T04:39:06.223938Z"}');
INSERT INTO "history" VALUES('done',5,'{"EventType":12,"EventId":-1,"IsPlayed":false,"Timestamp":"2026-11-28T04:39:06.226186Z"}');
INSERT INTO "history" VALUES('done',6,'{"EventType":5,"TaskScheduledId":0,"Result":"1","EventId":-1,"IsPlayed":true,"Timestamp":"2026-11-28T04:39:06.225928Z"}');
INSERT INTO "history" VALUES('done',7,'{"EventType":5,"TaskScheduledId":1,"Result":"2","EventId":-1,"IsPlayed":true,"Timestamp":"2026-11-28T04:39:06.225990Z"}');
INSERT INTO "history" VALUES('done',8,'{"EventType":1,"OrchestrationStatus":1,"Result":"[1,2]","FailureDetails":null,"EventId":2,"IsPlayed":true,"Timestamp":"2026-11-28T04:39:06.226186Z"}');
INSERT INTO "history" VALUES('done',9,'{"EventType":13,"EventId":-1,"IsPlayed":false,"Timestamp":"2026-11-28T04:39:06.226186Z"}');
INSERT INTO "history" VALUES('parent',0,'{"EventType":12,"EventId":-1,"IsPlayed":false,"Timestamp":"2026-11-28T04:39:06.220753Z"}');
INSERT INTO "history" VALUES('parent',1,'{"OrchestrationInstance":{"InstanceId":"parent","ExecutionId":"a35bbb1b-dcaf-4ab1-ad44-9b0ddc742c36"},"EventType":0,"ParentInstance":null,"Name":"parent","Version":null,"Input":"\"{\\\"child\\\": \\\"sleeps\\\", \\\"input\\\": 30, \\\"id\\\": \\\"child\\\"}\"","Tags":null,"Correlation":null,"ParentTraceContext":null,"ScheduledStartTime":null,"Generation":0,"GenerateNewTrace":false,"EventId":-1,"IsPlayed":true,"Timestamp":"2026-11-28T04:39:06.220118Z"}');
INSERT INTO "history" VALUES('parent',2,'{"EventType":7,"Name":"sleeps","Version":null,"InstanceId":"child","Input":null,"ClientSpanId":null,"Tags":null,"EventId":0,"IsPlayed":false,"Timestamp":"2026-11-28T04:39:06.220753Z"}');
INSERT INTO "history" VALUES('parent',3,'{"EventType":13,"EventId":-1,"IsPlayed":false,"Timestamp":"2026-11-28T04:39:06.220753Z"}');
INSERT INTO "history" VALUES('rolls',0,'{"EventType":12,"EventId":-1,"IsPlayed":false,"Timestamp":"2026-11-28T04:39:06.212365Z"}');
INSERT INTO "history" VALUES('rolls',1,'{"OrchestrationInstance":{"InstanceId":"rolls","ExecutionId":"ff5dd79decf055f69eaf07a52379d3bb"},"EventType":0,"ParentInstance":null,"Name":"rolls_on","Version":null,"Input":"\"5\"","Tags":null,"Correlation":null,"ParentTraceContext":null,"ScheduledStartTime":null,"Generation":null,"GenerateNewTrace":false,"EventId":-1,"IsPlayed":true,"Timestamp":"2026-11-28T04:39:06.212365Z"}');
INSERT INTO "history" VALUES('rolls',2,'{"EventType":13,"EventId":-1,"IsPlayed":true,"Timestamp":"2026-11-28T04:39:06.212365Z"}');
INSERT INTO "history" VALUES('steps',0,'{"EventType":12,"EventId":-1,"IsPlayed":false,"Timestamp":"2026-11-28T04:39:06.218597Z"}');
INSERT INTO "history" VALUES('steps',1,'{"OrchestrationInstance":{"InstanceId":"steps","ExecutionId":"043dfffe-f5fc-48b7-b23e-7f48e0c56401"},"EventType":0,"ParentInstance":null,"Name":"steps","Version":null,"Input":"\"[[\\\"echo\\\", 1], [\\\"stop\\\", \\\"work\\\"]]\"","Tags":null,"Correlation":null,"ParentTraceContext":null,"ScheduledStartTime":null,"Generation":0,"GenerateNewTrace":false,"EventId":-1,"IsPlayed":true,"Timestamp":"2026-11-28T04:39:06.218410Z"}');
INSERT INTO "history" VALUES('steps',2,'{"EventType":4,"Name":"echo","Version":"","Input":null,"ParentTraceContext":null,"Tags":null,"EventId":0,"IsPlayed":false,"Timestamp":"2026-11-28T04:39:06.218597Z"}');
INSERT INTO "history" VALUES('steps',3,'{"EventType":13,"EventId":-1,"IsPlayed":false,"Timestamp":"2026-11-28T04:39:06.218597Z"}');
INSERT INTO "history" VALUES('steps',4,'{"EventType":12,"EventId":-1,"IsPlayed":false,"Timestamp":"2026-11-28T04:39:06.220382Z"}');
INSERT INTO "history" VALUES('steps',5,'{"EventType":5,"TaskScheduledId":0,"Result":"1","EventId":-1,"IsPlayed":true,"Timestamp":"2026-11-28T04:39:06.219382Z"}');
INSERT INTO "history" VALUES('steps',6,'{"EventType":4,"Name":"stop","Version":"","Input":null,"ParentTraceContext":null,"Tags":null,"EventId":1,"IsPlayed":false,"Timestamp":"2026-11-28T04:39:06.220382Z"}');
INSERT INTO "history" VALUES('steps',7,'{"EventType":13,"EventId":-1,"IsPlayed":false,"Timestamp":"2026-11-28T04:39:06.220382Z"}');
INSERT INTO "history" VALUES('waits',0,'{"EventType":12,"EventId":-1,"IsPlayed":false,"Timestamp":"2026-11-28T04:39:06.213708Z"}');
INSERT INTO "history" VALUES('waits',1,'{"OrchestrationInstance":{"InstanceId":"waits","ExecutionId":"d3dcc742-9bb9-4ec0-922c-15ee755b3057"},"EventType":0,"ParentInstance":null,"Name":"waits","Version":null,"Input":"\"[\\\"go\\\", \\\"end\\\"]\"","Tags":null,"Correlation":null,"ParentTraceContext":null,"ScheduledStartTime":null,"Generation":0,"GenerateNewTrace":false,"EventId":-1,"IsPlayed":true,"Timestamp":"2026-11-28T04:39:06.213377Z"}');
INSERT INTO "history" VALUES('waits',2,'{"EventType":13,"EventId":-1,"IsPlayed":false,"Timestamp":"2026-11-28T04:39:06.213708Z"}');
INSERT INTO "history" VALUES('waits',3,'{"EventType":12,"EventId":-1,"IsPlayed":false,"Timestamp":"2026-11-28T04:39:06.217075Z"}');
INSERT INTO "history" VALUES('waits',4,'{"EventType":15,"Name":"go","Input":"\"early\"","ParentTraceContext":null,"EventId":-1,"IsPlayed":true,"Timestamp":"2026-11-28T04:39:06.216816Z"}');
INSERT INTO "history" VALUES('waits',5,'{"EventType":13,"EventId":-1,"IsPlayed":false,"Timestamp":"2026-11-28T04:39:06.217075Z"}');
CREATE TABLE inbox (
    instance_id  TEXT NOT NULL,
    seq          INTEGER NOT NULL,
    event        TEXT NOT NULL,
    execution_id TEXT NOT NULL,
    PRIMARY KEY (instance_id, seq)
) STRICT, WITHOUT ROWID;
INSERT INTO "inbox" VALUES('@counter@k',12,'{"$type":"Microsoft.Azure.WebJobs.Extensions.DurableTask.RequestMessage, Microsoft.Azure.WebJobs.Extensions.DurableTask","op":"stop","signal":true,"input":"\"\\\"entity\\\"\"","id":"08d0c436-f92f-407f-8f36-17760c7d5d5b","Timestamp":"2026-11-28T04:39:06.240002Z","Predecessor":"0001-01-01T00:00:00","requestTime":"2026-11-28T04:39:06.240002+00:00"}','');
INSERT INTO "inbox" VALUES('@counter@k',14,'{"$type":"Microsoft.Azure.WebJobs.Extensions.DurableTask.RequestMessage, Microsoft.Azure.WebJobs.Extensions.DurableTask","op":"get","input":"\"null\"","id":"1bb8c9fc-3942-5892-bb70-71dbcc72754d","parent":"asks","parentExecution":"0ce23c1a-745f-4079-b548-d31d3dd7ea8a","Timestamp":"2026-11-28T04:39:06.242425Z","Predecessor":"0001-01-01T00:00:00","requestTime":"2026-11-28T04:39:06.242425+00:00"}','');
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
INSERT INTO "instances" VALUES('rolls','ff5dd79decf055f69eaf07a52379d3bb','rolls_on',NULL,'Running','"5"',NULL,NULL,'2026-11-28T04:39:06.212365Z','2026-11-28T04:39:06.212365Z',1,NULL,NULL,NULL);
INSERT INTO "instances" VALUES('waits','d3dcc742-9bb9-4ec0-922c-15ee755b3057','waits',NULL,'Running','"[\"go\", \"end\"]"',NULL,NULL,'2026-11-28T04:39:06.213377Z','2026-11-28T04:39:06.217075Z',0,NULL,NULL,NULL);
INSERT INTO "instances" VALUES('steps','043dfffe-f5fc-48b7-b23e-7f48e0c56401','steps',NULL,'Running','"[[\"echo\", 1], [\"stop\", \"work\"]]"',NULL,NULL,'2026-11-28T04:39:06.218410Z','2026-11-28T04:39:06.220382Z',0,NULL,NULL,NULL);
INSERT INTO "instances" VALUES('parent','a35bbb1b-dcaf-4ab1-ad44-9b0ddc742c36','parent',NULL,'Running','"{\"child\": \"sleeps\", \"input\": 30, \"id\": \"child\"}"',NULL,NULL,'2026-11-28T04:39:06.220118Z','2026-11-28T04:39:06.220753Z',0,NULL,NULL,NULL);
INSERT INTO "instances" VALUES('child','ce3075c7461a567bad7d0fab1b1b5e8e','sleeps',NULL,'Running','"30"',NULL,NULL,'2026-11-28T04:39:06.220753Z','2026-11-28T04:39:06.222320Z',0,'parent','a35bbb1b-dcaf-4ab1-ad44-9b0ddc742c36',0);
INSERT INTO "instances" VALUES('done','b867d511-0f54-47d9-bef2-5e8826663224','fan',NULL,'Completed','"{\"activity\": \"echo\", \"inputs\": [1, 2]}"','[1,2]',NULL,'2026-11-28T04:39:06.223589Z','2026-11-28T04:39:06.226186Z',0,NULL,NULL,NULL);
INSERT INTO "instances" VALUES('@counter@k','','@counter@k',NULL,'Running','{"exists":true,"sorter":{},"state":"5"}',NULL,'{"entityExists":true}','2026-11-28T04:39:06.233583Z','2026-11-28T04:39:06.233583Z',0,NULL,NULL,NULL);
INSERT INTO "instances" VALUES('asks','0ce23c1a-745f-4079-b548-d31d3dd7ea8a','calls_entity',NULL,'Running','"{\"entity\": \"counter\", \"key\": \"k\", \"operation\": \"get\"}"',NULL,NULL,'2026-11-28T04:39:06.241117Z','2026-11-28T04:39:06.242425Z',0,NULL,NULL,NULL);
CREATE TABLE timers (
    fire_at      TEXT NOT NULL,
    instance_id  TEXT NOT NULL,
    timer_id     INTEGER NOT NULL,
    execution_id TEXT NOT NULL,
    PRIMARY KEY (fire_at, instance_id, timer_id)
) STRICT, WITHOUT ROWID;
INSERT INTO "timers" VALUES('2026-11-28T04:39:36.222320Z','child',0,'ce3075c7461a567bad7d0fab1b1b5e8e');
CREATE INDEX instances_awake ON instances (instance_id) WHERE awake;
CREATE INDEX timers_of_instance ON timers (instance_id);
COMMIT;
