/** What can be done to instances, with the question that comes before it. */

import { h, hashOf, toast } from "./dom.js";
import { ask } from "./dialogs.js";
import { counted } from "./format.js";
import { orchestratorNames } from "./functions.js";
import { act, read } from "./host.js";

/**
 * @typedef {object} Verb
 * @property {string} label
 * @property {string} done
 * @property {string[]} from the states in which it can be done
 * @property {boolean} [danger]
 * @property {boolean} [asksReason]
 * @property {string} effect what happens to one instance
 * @property {string} effects what happens to several
 */

const ASKED = 60; // instances that the host looks at before a rewind
const WARNINGS = 3; // that are shown of them
const OPEN = ["Pending", "Running", "Suspended"];
const ENDED = ["Completed", "Failed", "Terminated"];

/** @type {Record<string, Verb>} */
export const VERBS = {
    suspend: {
        label: "Suspend",
        done: "suspended",
        from: ["Pending", "Running"],
        asksReason: true,
        effect: "Its code does not go on until it is resumed. Activities that run are finished, and their results kept.",
        effects:
            "Their code does not go on until they are resumed. Activities that run are finished, and their results kept.",
    },
    resume: {
        label: "Resume",
        done: "resumed",
        from: ["Suspended"],
        asksReason: true,
        effect: "Its code goes on with everything that has arrived meanwhile.",
        effects: "Their code goes on with everything that has arrived meanwhile.",
    },
    terminate: {
        label: "Terminate",
        done: "terminated",
        from: OPEN,
        danger: true,
        asksReason: true,
        effect: "It ends at once and for good. Its sub-orchestrations and the activities that run are not stopped, as on Azure.",
        effects:
            "Each ends at once and for good. Their sub-orchestrations and the activities that run are not stopped, as on Azure.",
    },
    rewind: {
        label: "Rewind",
        done: "rewound",
        from: ["Failed"],
        asksReason: true,
        effect: "Its failed parts, and those of its sub-orchestrations, run again. What succeeded is kept.",
        effects:
            "Their failed parts, and those of their sub-orchestrations, run again. What succeeded is kept.",
    },
    restart: {
        label: "Restart",
        done: "started again",
        from: ENDED,
        effect: "A new instance starts with the same input. This one stays as it is.",
        effects: "For each, a new instance starts with the same input. These stay as they are.",
    },
    purge: {
        label: "Purge",
        done: "purged",
        from: ENDED,
        danger: true,
        effect: "Its input, output and history are deleted. Its sub-orchestrations stay. This cannot be undone.",
        effects:
            "Their inputs, outputs and histories are deleted. Their sub-orchestrations stay. This cannot be undone.",
    },
};

/** Whether an instance of this status has not ended. @param {string} status */
export function isOpen(status) {
    return OPEN.includes(status);
}

/** Whether the verb fits an instance of this status. @param {string} verb @param {string} status */
export function fits(verb, status) {
    return VERBS[verb]?.from.includes(status) ?? false;
}

/**
 * Ask, then do it to all of `targets` that it fits. The report, or null if the person thought better of it.
 * @param {string} verb
 * @param {{id: string, status: string}[]} targets
 */
export async function confirmAndAct(verb, targets) {
    const { label, done, from, danger, asksReason, effect, effects } = /** @type {Verb} */ (VERBS[verb]);
    const fitting = targets.filter(({ status }) => fits(verb, status));
    const left = targets.length - fitting.length;
    if (!fitting.length) {
        toast(`Nothing to ${verb}: none of them is ${from.join(" or ")}.`, "refused");
        return null;
    }
    const one = fitting.length === 1 ? fitting[0] : null;
    const warnings = verb === "rewind" ? await rewindWarnings(fitting.map(({ id }) => id)) : [];
    const answer = await ask({
        title: one ? `${label} this instance?` : `${label} ${counted(fitting.length, "instance")}?`,
        text: [
            one ? h("p", { class: "mono" }, one.id) : h("p", null, summary(fitting)),
            h("p", null, one ? effect : effects),
            warnings
                .slice(0, WARNINGS)
                .map(([id, warning]) =>
                    h("p", { class: "problem" }, !one && [h("span", { class: "mono" }, id), ": "], warning),
                ),
            warnings.length > WARNINGS &&
                h("p", { class: "problem" }, `The same goes for ${warnings.length - WARNINGS} more.`),
            left > 0 &&
                h(
                    "p",
                    { class: "muted" },
                    `${counted(left, "selected instance")} ${left === 1 ? "is" : "are"} in another state and stay${left === 1 ? "s" : ""} as ${left === 1 ? "it is" : "they are"}.`,
                ),
        ],
        confirm: one ? label : `${label} ${counted(fitting.length, "instance")}`,
        danger,
        fields: asksReason ? [{ name: "reason", label: "Reason (optional)" }] : [],
    });
    if (!answer) return null;
    const report = await act({ action: verb, ids: fitting.map(({ id }) => id), reason: answer.reason });
    if (report?.done) toast(`${counted(report.done, "instance")} ${done}.`);
    return report;
}

/** Why a rewind will not help, with the ids. @param {string[]} ids @returns {Promise<[string, string][]>} */
async function rewindWarnings(ids) {
    const asked = JSON.stringify(ids.slice(0, ASKED));
    return Object.entries(await read("rewind", { instances: asked }).catch(() => ({})));
}

/** ``12 Running, 3 Pending``. @param {{status: string}[]} targets */
function summary(targets) {
    /** @type {Map<string, number>} */
    const counts = new Map();
    for (const { status } of targets) counts.set(status, (counts.get(status) ?? 0) + 1);
    return [...counts].map(([status, number]) => `${number} ${status}`).join(", ");
}

/** Ask for an orchestrator and its input, start it and show the new instance. @param {{name?: string, input?: string}} [given] */
export async function startInstance({ name, input } = {}) {
    const names = await orchestratorNames();
    const answer = await ask({
        title: "Start an orchestration",
        confirm: "Start",
        fields: [
            {
                name: "name",
                label: "Orchestrator",
                choices: names,
                only: names.length > 0,
                value: name,
                required: true,
            },
            {
                name: "input",
                label: "Input (JSON)",
                kind: "json",
                value: input,
                hint: "Leave it empty for no input.",
            },
            { name: "id", label: "Instance id (optional)", hint: "A new one is made if it is empty." },
        ],
    });
    if (!answer) return;
    const report = await act({ action: "start", ...answer });
    if (report?.started[0]) location.hash = hashOf("instances", report.started[0]);
}
