/** The values that the host sends: see views.py and timeline_json.py. Times are ISO 8601 texts, payloads JSON texts. */

export type Status = "Pending" | "Running" | "Suspended" | "Completed" | "Failed" | "Terminated";

/** id, name, status, created, updated, parent id, the beginning of the custom status, the error of a failed one */
export type Row = [string, string, string, string, string, string | null, string | null, string | null];

export interface Snapshot {
    rows: Row[];
    counts: Record<string, number>;
    limit: number;
}

export interface Attempt {
    attempt: number;
    taskId: number;
    state: string;
    scheduledTime: string;
    startedTime?: string;
    endedTime?: string;
    error?: string;
    worker?: number;
    instanceId?: string;
    childStatus?: string;
}

export interface Task {
    kind: string;
    name: string;
    label: string;
    state: string;
    taskId?: number;
    index?: number;
    fanOut?: number;
    fanOutSize?: number;
    scheduledTime?: string;
    startedTime?: string;
    endedTime?: string;
    input?: string;
    result?: string;
    error?: string;
    stack?: string;
    truncated?: string[];
    attempt?: number;
    maxAttempts?: number;
    attempts?: Attempt[];
    due?: string;
    instanceId?: string;
    childStatus?: string;
    httpStatus?: number;
    worker?: number;
    awaited?: boolean;
}

export interface Timeline {
    instanceId: string;
    name: string;
    version?: string;
    runtimeStatus: string;
    createdTime: string;
    startedTime?: string;
    endedTime?: string;
    lastUpdatedTime: string;
    hasContinued?: boolean;
    generation?: number;
    firstCreatedTime?: string;
    parentInstanceId?: string;
    input?: string;
    output?: string;
    customStatus?: string;
    error?: string;
    stack?: string;
    cause?: string;
    tasks: Task[];
    failures: string[];
}

export interface Wait extends Task {
    since?: string;
    explanation?: Explanation;
}

export interface Explanation {
    name: string;
    sentence: string;
    waitsFor: Wait[];
    unclaimed: { name: string; since: string }[];
    maps?: { id: string; activity: string; total: number; done: number; failed: number; isOver: boolean }[];
}

export interface InstanceView {
    timeline: Timeline;
    explanation: Explanation | null;
    cut: string[];
}

/**
 * A map: how many of its items have ended, and how many of those failed; null if that is not known. `hasOutcome`:
 * whether the app, once the map has ended, gives its outcome and runs again what failed.
 */
export interface MapRun {
    id: string;
    instance: string;
    name: string;
    status: string;
    created: string;
    activity: string | null;
    phase: string | null;
    total: number | null;
    done: number | null;
    failed: number | null;
    inFlight: number | null;
    hasOutcome: boolean;
}

export interface Entity {
    id: string;
    name: string;
    key: string;
    state: string | null;
    lastOperation: string | null;
    waiting: number;
    runs: string | null;
}

/** A storage queue. `running`: those of its messages that functions work on; `functions`: the names of those. */
export interface Queue {
    name: string;
    messages: number;
    running: number;
    functions: string[];
}

export interface QueueMessage {
    id: string;
    text: string;
    isCut: boolean;
    insertedAt: string;
    visibleAt: string;
    dequeueCount: number;
    isRunning: boolean;
}

export interface ActionReport {
    done: number;
    refused: { id: string; why: string }[];
    started: string[];
}

export interface FunctionInfo {
    name: string;
    invoke_url_template: string | null;
    isDisabled: boolean;
    config: { bindings: Record<string, any>[] };
}

export interface TimerInfo {
    schedule: string;
    nextRun: string | null;
}

/** What a view returns: called when another view takes its place. */
export type Dispose = () => void;

/** A child of an element: text is shown as text, never read as HTML. */
export type Child = Node | string | number | null | undefined | false | Child[];
