/** Who called whom, from top to bottom: a diagram for instances with few tasks. */

import { h, svg } from "./dom.js";
import { duration, preciseClock, time, withObjects } from "./format.js";

/** @typedef {import("./types").Task} Task @typedef {import("./types").Timeline} Timeline */

const MOST = 40; // tasks; beyond, the Gantt says more
const COLUMN = 176;
const STEP = 30;
const TOP = 52;

/** @param {Timeline} timeline */
export function fitsSequence(timeline) {
    return timeline.tasks.length > 0 && timeline.tasks.length <= MOST;
}

/** @param {Timeline} timeline @returns {HTMLElement} */
export function sequence(timeline) {
    const own = timeline.name;
    const names = [...new Set(timeline.tasks.map(partner))];
    const home = 95;
    const x = (/** @type {string} */ name) => home + (names.indexOf(name) + 1) * COLUMN;
    const arrows = timeline.tasks.flatMap((task) => arrowsOf(task)).sort((a, b) => a.at - b.at);
    const height = TOP + (arrows.length + 1) * STEP;
    const width = home + names.length * COLUMN + home;
    const lifelines = [{ name: own, at: home }, ...names.map((name) => ({ name, at: x(name) }))].map(
        ({ name, at }) => [
            svg("line", { x1: at, x2: at, y1: 34, y2: height - 8, class: "lifeline" }),
            svg("rect", { x: at - 82, y: 6, width: 164, height: 28, rx: 6, class: "actor" }),
            svg("text", { x: at, y: 25, "text-anchor": "middle", class: "actor-name" }, cut(name, 22)),
        ],
    );
    const shapes = arrows.map(({ name, label, isBack, kind, at }, index) => {
        const y = TOP + index * STEP + 14;
        const [from, to] = isBack ? [x(name), home] : [home, x(name)];
        const room = Math.floor(Math.abs(to - from) / 7.2);
        return svg(
            "g",
            { class: `arrow ${kind}` },
            svg("title", null, `${preciseClock(at)} ${label}`),
            svg("line", {
                x1: from,
                x2: to + (to > from ? -5 : 5),
                y1: y,
                y2: y,
                "stroke-dasharray": isBack ? "4 3" : null,
            }),
            svg("path", {
                d:
                    to > from
                        ? `M${to - 7},${y - 4}L${to},${y}L${to - 7},${y + 4}`
                        : `M${to + 7},${y - 4}L${to},${y}L${to + 7},${y + 4}`,
            }),
            svg("text", { x: (from + to) / 2, y: y - 5, "text-anchor": "middle" }, cut(label, room)),
        );
    });
    return h(
        "div",
        { class: "sequence", tabindex: "0", role: "region", "aria-label": "Sequence diagram" },
        svg(
            "svg",
            {
                width,
                height,
                viewBox: `0 0 ${width} ${height}`,
                role: "img",
                "aria-label": `${own} and what it calls`,
            },
            lifelines,
            shapes,
        ),
    );
}

/** @param {Task} task */
function partner(task) {
    if (task.kind === "timer") return "timer";
    if (task.kind === "event" || task.kind === "suspension") return "outside";
    if (task.kind === "httpCall") return "HTTP";
    return task.kind.startsWith("entity") ? (task.instanceId ?? task.name) : task.name;
}

/** @param {Task} task @returns {{name: string, label: string, isBack: boolean, kind: string, at: number}[]} */
function arrowsOf(task) {
    const name = partner(task);
    const place = task.index === undefined ? "" : `[${task.index}] `;
    const calls = task.attempts?.length ? task.attempts : [task];
    const arrows = calls.flatMap((call, index) => {
        const start = time(call.scheduledTime);
        const end = time(call.endedTime);
        const again = index ? `attempt ${index + 1} ` : "";
        const what =
            {
                timer: "until " + preciseClock(time(task.due)),
                httpCall: task.name,
                event: `waits for ${task.name}`,
            }[task.kind] ??
            (task.kind.startsWith("entity") ? `${task.name} ${brief(task.input)}` : brief(task.input));
        return [
            Number.isFinite(start) && {
                name,
                label: `${place}${again}${what}`,
                isBack: false,
                kind: "",
                at: start,
            },
            Number.isFinite(end) &&
                task.kind !== "entitySignal" && {
                    name,
                    isBack: true,
                    at: end,
                    kind: call.state === "failed" ? "failed" : "",
                    label:
                        place +
                        (call.state === "failed"
                            ? brief(call.error)
                            : task.kind === "event"
                              ? `${task.name} ${brief(task.result)}`
                              : `${brief(task.result)} ${Number.isFinite(start) ? `(${duration(end - start)})` : ""}`),
                },
        ];
    });
    return /** @type {ReturnType<typeof arrowsOf>} */ (arrows.filter(Boolean));
}

/** @param {string | undefined} text */
function brief(text) {
    return text === undefined || text === "null" ? "" : (withObjects(text).split("\n")[0] ?? "");
}

/** @param {string} text @param {number} most */
function cut(text, most) {
    return text.length <= most ? text : `${text.slice(0, most - 1)}…`;
}
