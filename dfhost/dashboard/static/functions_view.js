/** The functions of the app, with a form to try each, and its storage queues. */

import { startInstance } from "./actions.js";
import { button, changes, empty, h, hashOf, replace, stateMark, toast } from "./dom.js";
import { clock, duration, pretty, time } from "./format.js";
import {
    codeCallout,
    durableName,
    forgetFunctions,
    functions,
    mistakes,
    timers,
    trigger,
} from "./functions.js";
import { read } from "./host.js";
import { instances } from "./instances_store.js";
import { queueLink, queuesTable, showQueueIn } from "./queues.js";

/** @typedef {import("./types").FunctionInfo} FunctionInfo @typedef {import("./types").Queue} Queue */

const KINDS = /** @type {[string, string][]} */ ([
    ["httpTrigger", "HTTP"],
    ["orchestrationTrigger", "Orchestrators"],
    ["activityTrigger", "Activities"],
    ["entityTrigger", "Entities"],
    ["timerTrigger", "Timers"],
    ["", "Other triggers"],
]);

/** @param {HTMLElement} main @param {string} chosen @returns {import("./types").Dispose} */
export function showFunctions(main, chosen) {
    return show(main, chosen, "");
}

/** @param {HTMLElement} main @param {string} name of a storage queue @returns {import("./types").Dispose} */
export function showQueue(main, name) {
    return show(main, "", name);
}

/** @param {HTMLElement} main @param {string} chosen a function, or none @param {string} chosenQueue */
function show(main, chosen, chosenQueue) {
    const list = h("div", { class: "wide" });
    const side = h("aside", { class: "side", "aria-label": chosenQueue ? "Queue" : "Try a function" });
    const queuesCard = h("div", { class: "card" });
    const updateQueue = chosenQueue ? showQueueIn(side, chosenQueue, load) : null;
    const hasChanged = changes();
    /** @type {Queue[]} */
    let queues = [];
    async function load() {
        queues = await read("queues").catch(() => queues);
        queuesCard.hidden = !queues.length;
        if (hasChanged("queues", queues)) {
            replace(queuesCard, cardHead("Queues", queues.length), queuesTable(queues, chosenQueue));
        }
        await updateQueue?.(queues);
    }
    replace(
        main,
        h("div", { class: "view-head" }, h("h1", null, "Functions")),
        h("div", { class: "columns" }, list, side),
    );
    forgetFunctions();
    Promise.all([functions(), mistakes(), timers(), load()]).then(([all, sentences, runs]) => {
        if (!all.length) {
            replace(list, queuesCard, empty("The app has no functions."));
            return;
        }
        const known = KINDS.map(([type]) => type).filter(Boolean);
        replace(
            list,
            codeCallout(sentences),
            queuesCard,
            KINDS.map(([type, title]) => {
                const members = all.filter((info) =>
                    type ? trigger(info).type === type : !known.includes(String(trigger(info).type)),
                );
                return (
                    members.length > 0 &&
                    h(
                        "section",
                        { class: "card", "aria-label": title },
                        cardHead(title, members.length),
                        h(
                            "ul",
                            { class: "function-list" },
                            members.map((info) =>
                                h(
                                    "li",
                                    { "data-selected": info.name === chosen },
                                    h("a", { href: hashOf("functions", info.name) }, durableName(info)),
                                    " ",
                                    about(info, queues, runs[info.name]),
                                    info.isDisabled && h("span", { class: "pill" }, "disabled"),
                                ),
                            ),
                        ),
                    )
                );
            }),
        );
        const info = all.find(({ name }) => name === chosen);
        if (!chosenQueue) replace(side, info ? tryCard(info, queues) : empty("Choose a function to try it."));
    });
    return instances.follow(load);
}

/** @param {string} title @param {number} number */
function cardHead(title, number) {
    return h("div", { class: "card-head" }, h("h2", null, title), h("span", { class: "muted" }, number));
}

/** The queue from which the function takes messages. @param {FunctionInfo} info @param {Queue[]} queues */
function queueOf(info, queues) {
    return queues.find((queue) => queue.functions.includes(info.name));
}

/** @param {FunctionInfo} info @param {Queue[]} queues @param {import("./types").TimerInfo} [timer] */
function about(info, queues, timer) {
    const queue = queueOf(info, queues);
    const shown = queue ? ["queue ", queueLink(queue.name)] : triggerOf(info, timer);
    return h("span", { class: "muted mono" }, shown);
}

/** @param {FunctionInfo} info @param {import("./types").TimerInfo} [timer] */
function triggerOf(info, timer) {
    if (timer) return timer.schedule + (timer.nextRun ? `, next run ${clock(time(timer.nextRun))}` : "");
    const { type, methods, schedule, queueName, path } = trigger(info);
    if (type === "httpTrigger")
        return `${(methods ?? ["any"]).join(" ")} ${info.invoke_url_template ? new URL(info.invoke_url_template).pathname.replace(/%7B/g, "{").replace(/%7D/g, "}") : "not reachable"}`;
    return String(schedule ?? queueName ?? path ?? (info.name === durableName(info) ? "" : info.name));
}

/** @param {FunctionInfo} info @param {Queue[]} queues */
function tryCard(info, queues) {
    const type = String(trigger(info).type);
    const title = h(
        "div",
        { class: "card-head" },
        h("h2", null, durableName(info)),
        h("span", { class: "muted" }, type),
    );
    if (info.isDisabled) return h("section", { class: "card" }, title, h("p", null, "It is disabled."));
    if (type === "httpTrigger") return h("section", { class: "card" }, title, tryHttp(info));
    if (type === "orchestrationTrigger") {
        return h(
            "section",
            { class: "card" },
            title,
            h("p", { class: "muted" }, "Starts a new instance."),
            button("Start…", () => startInstance({ name: durableName(info) }), { class: "button primary" }),
        );
    }
    if (type === "entityTrigger")
        return h(
            "section",
            { class: "card" },
            title,
            h(
                "p",
                null,
                "Signal one of its entities under ",
                h("a", { href: "#/entities" }, "Entities"),
                ".",
            ),
        );
    const queue = queueOf(info, queues);
    return h(
        "section",
        { class: "card" },
        title,
        queue &&
            h("p", null, "It takes the messages of ", queueLink(queue.name), ". Run gives it one directly."),
        tryOther(info, type),
    );
}

/** @param {FunctionInfo} info */
function tryHttp(info) {
    if (!info.invoke_url_template)
        return h("p", null, "No request can reach it: another function takes its route.");
    const methods = /** @type {string[]} */ (trigger(info).methods ?? ["GET", "POST", "PUT", "DELETE"]);
    const template = decodeURIComponent(new URL(info.invoke_url_template).pathname);
    const method = h(
        "select",
        { "aria-label": "Method" },
        methods.map((each) => h("option", { value: each.toUpperCase() }, each.toUpperCase())),
    );
    const path = h("input", {
        class: "mono",
        "aria-label": "Path and query",
        value: template,
        spellcheck: "false",
    });
    const body = h("textarea", {
        class: "mono",
        rows: 6,
        "aria-label": "Body (JSON)",
        spellcheck: "false",
        placeholder: "Body, sent as application/json",
    });
    const answer = h("div", { "aria-live": "polite" });
    const send = button(
        "Send",
        async () => {
            if (/[{}]/.test(path.value)) {
                toast("Put values in place of the braces in the path.", "refused");
                return;
            }
            send.setAttribute("disabled", "");
            const began = performance.now();
            try {
                const hasBody = !["GET", "HEAD"].includes(method.value) && body.value.trim();
                const response = await fetch(path.value, {
                    method: method.value,
                    ...(hasBody && { headers: { "Content-Type": "application/json" }, body: body.value }),
                });
                const text = await response.text();
                const started = response.status === 202 ? startedId(text) : "";
                replace(
                    answer,
                    h(
                        "p",
                        { class: "sub" },
                        stateMark(
                            response.ok ? "completed" : "failed",
                            `${response.status} ${response.statusText}`,
                        ),
                        h("span", null, duration(performance.now() - began)),
                        started && h("a", { href: hashOf("instances", started) }, "Open the instance"),
                    ),
                    h(
                        "pre",
                        { class: "payload", tabindex: "0", "aria-label": "Response" },
                        pretty(text) || "(empty)",
                    ),
                );
            } catch {
                toast("The host does not answer.", "refused");
            }
            send.removeAttribute("disabled");
        },
        { class: "button primary" },
    );
    return h(
        "div",
        { class: "try" },
        h("div", { class: "try-line" }, method, path),
        body,
        h("div", { class: "verbs" }, send),
        answer,
    );
}

/** The id in the answer of a starter. @param {string} text */
function startedId(text) {
    try {
        return String(JSON.parse(text).id ?? "");
    } catch {
        return "";
    }
}

/** @param {FunctionInfo} info @param {string} type */
function tryOther(info, type) {
    const input = h("textarea", {
        class: "mono",
        rows: 6,
        "aria-label": "Input",
        spellcheck: "false",
        placeholder:
            type === "activityTrigger"
                ? "Its input as JSON"
                : type === "timerTrigger"
                  ? "A timer needs no input"
                  : "The message, as text",
    });
    const answer = h("div", { "aria-live": "polite" });
    const run = button(
        "Run",
        async () => {
            const response = await fetch(`/admin/functions/${encodeURIComponent(info.name)}`, {
                method: "POST",
                headers: { "Content-Type": "application/json" },
                body: JSON.stringify({ input: input.value }),
            });
            const text = await response.text();
            replace(
                answer,
                h(
                    "p",
                    null,
                    response.ok
                        ? "It was called. The console shows how it ends."
                        : (JSON.parse(text || "{}").Message ?? `The host answered ${response.status}.`),
                ),
            );
        },
        { class: "button primary" },
    );
    return h("div", { class: "try" }, input, h("div", { class: "verbs" }, run), answer);
}
