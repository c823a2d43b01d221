/** What the lines of a Gantt chart say: the bars of an instance, a task or a folded fan-out, and a note on each. */

import { clock, count, duration, preciseClock, time } from "./format.js";

/** @typedef {import("./types").Task} Task @typedef {import("./types").Timeline} Timeline */
/** `failed`: the part of a folded fan-out's calls that failed, from 0 to 1. */
/** @typedef {{from: number, to: number, kind: string, title: string, failed?: number}} Bar */
/** @typedef {{key: string, depth: number, label: string, state: string, note: string, bars: Bar[], task?: Task, isOpen?: boolean, path: string}} Line */

/** @param {Timeline} timeline @param {number} now @returns {Line} */
export function instanceLine(timeline, now) {
    const [created, started] = [time(timeline.createdTime), time(timeline.startedTime)];
    const end = timeline.endedTime ? time(timeline.endedTime) : now;
    const state = timeline.runtimeStatus.toLowerCase();
    return {
        key: "instance",
        depth: 0,
        label: timeline.name,
        state,
        note: duration(end - created),
        path: timeline.instanceId,
        bars: [
            ...(Number.isFinite(started)
                ? [
                      {
                          from: created,
                          to: started,
                          kind: "queued",
                          title: `waited for its first episode: ${duration(started - created)}`,
                      },
                  ]
                : []),
            {
                from: Number.isFinite(started) ? started : created,
                to: end,
                kind: `instance ${state}`,
                title: `${timeline.runtimeStatus}, ${duration(end - created)}`,
            },
        ],
    };
}

/** @param {Task[]} members @param {number} now @returns {Omit<Line, "key" | "depth" | "path">} */
export function fanOutLine(members, now) {
    /** @type {Record<string, number>} */
    const states = {};
    for (const { state } of members) states[state] = (states[state] ?? 0) + 1;
    const from = Math.min(...members.map((task) => time(task.scheduledTime)));
    const starts = members.map((task) => time(task.startedTime)).filter(Number.isFinite);
    const started = starts.length ? Math.min(...starts) : from;
    const isOpen = members.some((task) => !task.endedTime && task.state !== "cancelled");
    const to = isOpen
        ? now
        : Math.max(from, ...members.map((task) => time(task.endedTime)).filter(Number.isFinite));
    const state = isOpen ? "running" : states.failed ? "failed" : "completed";
    const failed = (states.failed ?? 0) / members.length;
    const parts = ["completed", "running", "queued", "retrying", "failed", "cancelled"]
        .filter((each) => states[each])
        .map((each) => `${count(states[each] ?? 0)} ${each}`);
    return {
        label: `${members[0]?.name} × ${count(members.length)}`,
        state,
        note: parts.join(", "),
        bars: [
            { from, to: started, kind: "queued", title: "queued" },
            { from: started, to, kind: isOpen ? "running" : "completed", title: parts.join(", "), failed },
        ],
    };
}

/** @param {Task} task @param {number} now @returns {Bar[]} */
export function barsOf(task, now) {
    const attempts = task.attempts;
    if (attempts && attempts.length) {
        /** @type {Bar[]} */
        const bars = [];
        attempts.forEach((attempt, index) => {
            bars.push(...barsOf({ ...task, ...attempt, attempts: undefined }, now));
            const next = attempts[index + 1];
            const until = next ? time(next.scheduledTime) : task.state === "retrying" ? now : NaN;
            if (Number.isFinite(until))
                bars.push({
                    from: time(attempt.endedTime),
                    to: until,
                    kind: "pause",
                    title: "waits for its next attempt",
                });
        });
        return bars;
    }
    const scheduled = time(task.scheduledTime);
    const started = time(task.startedTime);
    const end = task.endedTime ? time(task.endedTime) : now;
    const about = (/** @type {string} */ what, /** @type {number} */ from, /** @type {number} */ to) =>
        `${what} ${duration(to - from)}, from ${preciseClock(from)} to ${preciseClock(to)}`;
    if (task.kind === "event" && task.endedTime && !Number.isFinite(scheduled))
        return [{ from: end, to: end, kind: "moment", title: `raised at ${preciseClock(end)}` }];
    if (task.kind === "entitySignal")
        return [
            { from: scheduled, to: scheduled, kind: "moment", title: `sent at ${preciseClock(scheduled)}` },
        ];
    if (["timer", "event", "suspension", "entityCall"].includes(task.kind)) {
        const from = Number.isFinite(scheduled) ? scheduled : started;
        return Number.isFinite(from)
            ? [{ from, to: end, kind: `waiting ${task.state}`, title: about("waited", from, end) }]
            : [];
    }
    if (!Number.isFinite(started))
        return [
            {
                from: scheduled,
                to: end,
                kind: task.endedTime ? task.state : "queued",
                title: about(task.endedTime ? "took" : "queued", scheduled, end),
            },
        ];
    return [
        { from: scheduled, to: started, kind: "queued", title: about("queued", scheduled, started) },
        {
            from: started,
            to: end,
            kind: task.state,
            title: about("ran", started, end) + (task.worker ? `, in worker ${task.worker}` : ""),
        },
    ];
}

/** @param {Task} task */
export function noteOf(task) {
    if (task.kind === "entitySignal" || (task.kind === "event" && task.endedTime)) return "";
    if (task.state === "failed")
        return `${task.maxAttempts ? `attempt ${task.attempt} of ${task.maxAttempts}: ` : ""}${(task.error ?? "").split("\n")[0]}`;
    if (task.state === "retrying")
        return `attempt ${task.attempt} of ${task.maxAttempts} failed, next at ${clock(time(task.due))}`;
    if (task.kind === "timer" && task.state === "waiting") return `due at ${clock(time(task.due))}`;
    if (task.state === "waiting" || task.state === "queued" || task.state === "cancelled") return task.state;
    if (task.state === "running")
        return task.maxAttempts ? `attempt ${task.attempt} of ${task.maxAttempts}` : "running";
    const from = Number.isFinite(time(task.startedTime)) ? time(task.startedTime) : time(task.scheduledTime);
    return Number.isFinite(from) ? duration(time(task.endedTime) - from) : "";
}
