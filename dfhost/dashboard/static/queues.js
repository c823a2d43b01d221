/** The storage queues: all of them in a table, the messages of one, and what can be done to these. */

import { ask } from "./dialogs.js";
import { button, changes, h, hashOf, replace, stateMark, table, toast } from "./dom.js";
import { clock, count, counted, time } from "./format.js";
import { act, read } from "./host.js";
import { payload } from "./payload.js";

/** @typedef {import("./types").Queue} Queue @typedef {import("./types").QueueMessage} QueueMessage */

const POISON = "-poison"; // ends the name of a queue with messages that a function was given in vain
const STAY = "What functions work on stays.";

/** @param {string} name */
export function queueLink(name) {
    return h("a", { class: "mono", href: hashOf("queues", name) }, name);
}

/** Links to the functions that take its messages. @param {Queue} queue */
function takers({ functions }) {
    if (!functions.length) return h("span", { class: "muted" }, "no function");
    return functions.map((name, index) => [
        index > 0 && ", ",
        h("a", { href: hashOf("functions", name) }, name),
    ]);
}

/** How many messages nothing works on. @param {Queue} queue */
function waiting({ messages, running }) {
    return messages - running;
}

/** @param {Queue[]} queues @param {string} chosen */
export function queuesTable(queues, chosen) {
    return table(
        "Queues",
        ["Queue", "Waiting", "Running", "Taken by"],
        queues.map((queue) => {
            const waits = waiting(queue);
            const isPoisoned = waits > 0 && queue.name.endsWith(POISON);
            return h(
                "tr",
                { "data-selected": queue.name === chosen },
                h("td", null, queueLink(queue.name)),
                h(
                    "td",
                    { class: waits ? "number busy" : "number" },
                    isPoisoned ? stateMark("failed", count(waits)) : count(waits),
                ),
                h("td", { class: "number" }, count(queue.running)),
                h("td", null, takers(queue)),
            );
        }),
    );
}

/**
 * Fills `side` with one queue; what is returned brings it up to date.
 * @param {HTMLElement} side
 * @param {string} name
 * @param {() => void} reload called after an action
 * @returns {(queues: Queue[]) => Promise<void>}
 */
export function showQueueIn(side, name, reload) {
    const none = { name, messages: 0, running: 0, functions: [] };
    const origin = name.endsWith(POISON) ? name.slice(0, -POISON.length) : "";
    /** @type {Queue} */
    let queue = none;
    /** @type {string[]} */
    let others = [];
    // The buttons stay the same while a queue changes: one that is replaced under the mouse is not clicked.
    const moves = button(
        origin ? `Move back to ${origin}…` : "Move…",
        () => move(queue, origin, others).then(reload),
        { class: origin ? "button primary" : "button", hidden: true },
    );
    const puts = button("Put a message…", () => put(queue).then(reload), { hidden: true });
    const deletes = button("Delete…", () => clear(queue).then(reload), {
        class: "button danger-quiet",
        hidden: true,
    });
    const about = h("p", { class: "muted" });
    const list = h("ol", { class: "messages", "aria-label": "Messages" });
    const rest = h("p", { class: "note" });
    replace(
        side,
        h(
            "section",
            { class: "card" },
            h("div", { class: "card-head" }, h("h2", { class: "mono" }, name)),
            about,
            h("div", { class: "verbs" }, moves, puts, deletes),
            list,
            rest,
        ),
    );
    const hasChanged = changes();
    return async (queues) => {
        /** @type {QueueMessage[] | null} */
        const messages = await read("messages", { queue: name }).catch(() => null);
        if (!messages) return; // the host is away
        queue = queues.find((each) => each.name === name) ?? none;
        others = queues.map((each) => each.name).filter((each) => each !== name);
        puts.hidden = false; // from now on it is known which functions take the message
        moves.hidden = deletes.hidden = !waiting(queue);
        if (hasChanged("functions", queue.functions)) {
            replace(
                about,
                queue.functions.length > 0
                    ? ["Taken by ", takers(queue), "."]
                    : "No function takes its messages.",
            );
        }
        if (hasChanged("messages", [messages, queue.messages])) {
            replace(
                list,
                messages.map((message) => messageItem(name, message)),
            );
            replace(
                rest,
                !messages.length && "It has no messages.",
                queue.messages > messages.length &&
                    `The oldest ${messages.length} of ${count(queue.messages)}.`,
            );
        }
    };
}

/** @param {string} queue @param {QueueMessage} message */
function messageItem(queue, { id, text, isCut, insertedAt, visibleAt, dequeueCount, isRunning }) {
    const isDue = !isRunning && time(visibleAt) > Date.now();
    return h(
        "li",
        null,
        payload(`Message of ${clock(time(insertedAt))}`, text, isCut ? { queue, message: id } : null, "text"),
        h(
            "p",
            { class: "sub" },
            isRunning && stateMark("running"),
            isDue && stateMark("retrying", `due ${clock(time(visibleAt))}`),
            `dequeue count ${dequeueCount}`,
        ),
    );
}

/** @param {Queue} queue */
async function put({ name, functions }) {
    const answer = await ask({
        title: "Put a message",
        text: [
            h("p", { class: "mono" }, name),
            h(
                "p",
                null,
                functions.length
                    ? `${functions.join(" or ")} takes it; the console shows how that ends.`
                    : "No function takes messages from this queue.",
            ),
        ],
        confirm: "Put",
        fields: [{ name: "message", label: "Message", kind: "long", required: true }],
    });
    if (answer && (await act({ action: "put", queue: name, ...answer }))?.done)
        toast(`Message put into ${name}.`);
}

/** @param {Queue} queue @param {string} to the queue that is preselected @param {string[]} others */
async function move(queue, to, others) {
    const answer = await ask({
        title: `Move ${counted(waiting(queue), "message")}?`,
        text: [
            h("p", { class: "mono" }, queue.name),
            h("p", null, "They count as new in the other queue. ", queue.running > 0 && STAY),
        ],
        confirm: "Move",
        fields: [{ name: "to", label: "Into the queue", choices: others, value: to, required: true }],
    });
    const report = answer && (await act({ action: "move", queue: queue.name, ...answer }));
    if (report && !report.refused.length) toast(`${counted(report.done, "message")} moved to ${answer.to}.`);
}

/** @param {Queue} queue */
async function clear(queue) {
    const messages = counted(waiting(queue), "message");
    const answer = await ask({
        title: `Delete ${messages}?`,
        text: [
            h("p", { class: "mono" }, queue.name),
            h("p", null, "This cannot be undone. ", queue.running > 0 && STAY),
        ],
        confirm: `Delete ${messages}`,
        danger: true,
    });
    const report = answer && (await act({ action: "clear", queue: queue.name }));
    if (report && !report.refused.length) toast(`${counted(report.done, "message")} deleted.`);
}
