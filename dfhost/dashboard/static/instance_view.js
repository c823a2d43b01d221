/** One instance: what it waits for, its timeline, its history, and what can be done to it. */

import { VERBS, confirmAndAct, fits, isOpen, startInstance } from "./actions.js";
import { ask } from "./dialogs.js";
import {
    button,
    changes,
    copyIdButton,
    empty,
    facts,
    h,
    hashOf,
    instanceLink,
    pill,
    replace,
    sinceElement,
    stateMark,
    table,
    toast,
} from "./dom.js";
import { clock, count, duration, preciseClock, readable, shortIds, time } from "./format.js";
import { codeCallout, mistakes } from "./functions.js";
import { Gantt } from "./gantt.js";
import { act, listen, read, readPayload } from "./host.js";
import { isLikeMap } from "./maps_view.js";
import { payload } from "./payload.js";
import { fitsSequence, sequence } from "./sequence.js";

/** @typedef {import("./types").InstanceView} InstanceView @typedef {import("./types").Task} Task */
/** @typedef {import("./types").Timeline} Timeline */

const PAGE = 100; // history events
const SENTENCES = 5; // of failed tasks; the timeline has the others

/** @param {HTMLElement} main @param {string} id @returns {import("./types").Dispose} */
export function showInstance(main, id) {
    /** @type {InstanceView | null} */
    let view = null;
    let tab = "timeline";
    let start = 0;
    let chosenKey = "";
    const head = h("div");
    const callouts = h("div", { class: "callouts" });
    const tabs = h("div", { class: "tabs", role: "tablist", "aria-label": "Views of this instance" });
    const panel = h("div", { class: "panel", role: "tabpanel", id: "panel" });
    const detail = h("div", { class: "detail" });
    const side = h("aside", { class: "side", "aria-label": "Payloads" });
    const gantt = new Gantt((task, owner) => {
        chosenKey = keyOf(task, owner);
        showDetail(task, owner);
    });
    replace(
        main,
        head,
        callouts,
        tabs,
        h("div", { class: "columns" }, h("div", { class: "wide" }, panel, detail), side),
    );

    let hasChanged = changes();
    /** @type {string[]} */
    let sentences = []; // about the code of all functions
    mistakes().then((found) => {
        sentences = found;
        show();
    });

    function show() {
        if (!view) return;
        const { timeline, explanation, cut } = view;
        const { runtimeStatus, endedTime, failures, error, input, output, customStatus } = timeline;
        const { sentence, waitsFor, unclaimed, maps } = explanation ?? {};
        if (hasChanged("head", [runtimeStatus, endedTime, waitsFor, input, maps?.length])) showHead();
        if (hasChanged("callouts", [sentence, waitsFor, unclaimed, failures, error, sentences])) showCallouts();
        if (hasChanged("side", [input, output, customStatus, error, cut])) showSide();
        gantt.show(timeline);
        showTabs();
        const chosen = timeline.tasks.find((task) => keyOf(task, id) === chosenKey);
        if (chosen && hasChanged("detail", chosen)) showDetail(chosen, id);
    }

    function showHead() {
        if (!view) return;
        const { timeline } = view;
        const status = timeline.runtimeStatus;
        const end = timeline.endedTime ? time(timeline.endedTime) : NaN;
        const created = time(timeline.firstCreatedTime ?? timeline.createdTime);
        const isEntity = id.startsWith("@");
        const maps = view.explanation?.maps ?? [];
        replace(
            head,
            h(
                "nav",
                { class: "crumbs", "aria-label": "Where this is" },
                h("a", { href: "#/instances" }, "Instances"),
                timeline.parentInstanceId && [" / ", instanceLink(timeline.parentInstanceId)],
            ),
            h(
                "div",
                { class: "view-head" },
                h(
                    "div",
                    null,
                    h("h1", null, timeline.name, " ", pill(status)),
                    h(
                        "p",
                        { class: "sub" },
                        h("span", { class: "mono", id: "instance-id" }, id),
                        copyIdButton(id),
                        h("span", null, `created ${clock(created)}`),
                        Number.isFinite(end)
                            ? h("span", null, `took ${duration(end - created)}`)
                            : h("span", null, "open for ", sinceElement(created)),
                        timeline.generation &&
                            h(
                                "span",
                                { title: `continued as new at ${clock(time(timeline.createdTime))}` },
                                `generation ${timeline.generation}`,
                            ),
                        maps.map((map) =>
                            h("a", { href: hashOf("maps", map.id) }, `Map over ${map.activity}`),
                        ),
                        !maps.length &&
                            isLikeMap(timeline.customStatus) &&
                            h("a", { href: hashOf("maps", id) }, "Open as a map"),
                        timeline.version && h("span", null, `version ${timeline.version}`),
                    ),
                ),
                !isEntity &&
                    h(
                        "div",
                        { class: "verbs" },
                        isOpen(status) &&
                            button("Raise event…", raise, {
                                class: awaitedEvents().length ? "button primary" : "button",
                            }),
                        Object.entries(VERBS)
                            .filter(([verb]) => fits(verb, status))
                            .map(([verb, { label, danger }]) =>
                                button(`${label}…`, () => steer(verb), {
                                    class: danger ? "button danger-quiet" : "button",
                                }),
                            ),
                        button("Start again…", startAgain),
                    ),
            ),
        );
    }

    /** The names of the events that the code waits for. */
    function awaitedEvents() {
        return [
            ...new Set(
                (view?.explanation?.waitsFor ?? [])
                    .filter(({ kind }) => kind === "event")
                    .map(({ name }) => name),
            ),
        ];
    }

    function showCallouts() {
        if (!view) return;
        const { timeline, explanation } = view;
        const failures = timeline.failures;
        const more = failures.length - SENTENCES;
        const since = (explanation?.waitsFor ?? [])
            .filter(({ awaited }) => awaited)
            .map((wait) => time(wait.since))
            .filter(Number.isFinite);
        const longest = since.length ? Math.min(...since) : 0;
        const unclaimed = [...new Set((explanation?.unclaimed ?? []).map(({ name }) => name))];
        const awaited = awaitedEvents();
        replace(
            callouts,
            !timeline.endedTime &&
                explanation &&
                h(
                    "div",
                    { class: "callout", role: "note" },
                    h("strong", null, "Now"),
                    h(
                        "p",
                        null,
                        withLinks(explanation),
                        longest && [
                            " ",
                            h("span", { class: "muted" }, "Waiting for ", sinceElement(longest), "."),
                        ],
                    ),
                    reasons(explanation),
                ),
            !timeline.endedTime &&
                unclaimed.length > 0 &&
                h(
                    "div",
                    { class: "callout warning", role: "note" },
                    h("strong", null, "Not awaited"),
                    h(
                        "p",
                        null,
                        unclaimed.length === 1
                            ? "An event has come that nothing waits for: "
                            : "Events have come that nothing waits for: ",
                        unclaimed.map((name, index) => [index > 0 && ", ", h("code", null, name)]),
                        awaited.length > 0 && [
                            ". It waits for ",
                            awaited.map((name, index) => [index > 0 && ", ", h("code", null, name)]),
                            ". Is the name misspelt?",
                        ],
                    ),
                ),
            (timeline.error || failures.length > 0) &&
                h(
                    "div",
                    { class: "callout failed", role: "note" },
                    h(
                        "strong",
                        null,
                        timeline.error
                            ? "Failed"
                            : failures.length === 1
                              ? "A task failed"
                              : `${count(failures.length)} tasks failed`,
                    ),
                    h(
                        "div",
                        null,
                        timeline.cause && h("p", null, timeline.cause),
                        timeline.error &&
                            !namesError(timeline) &&
                            h(
                                "p",
                                { class: timeline.cause ? "muted" : "" },
                                timeline.cause && "On Azure and here its output is: ",
                                timeline.error,
                            ),
                        h(
                            "ul",
                            null,
                            failures.slice(0, SENTENCES).map((sentence) => h("li", null, sentence)),
                            more > 0 &&
                                h("li", { class: "muted" }, `and ${count(more)} more in the timeline`),
                        ),
                        timeline.stack && details("Traceback", timeline.stack),
                    ),
                ),
            codeCallout(sentences.filter((each) => each.startsWith(`${timeline.name} (`))),
        );
    }

    function showSide() {
        if (!view) return;
        const { timeline, cut } = view;
        const whole = (/** @type {string} */ of) => (cut.includes(of) ? { instance: id, of } : null);
        replace(
            side,
            payload("Input", timeline.input, whole("input")),
            timeline.runtimeStatus === "Failed" ? null : payload("Output", timeline.output, whole("output")),
            timeline.customStatus !== undefined &&
                payload("Custom status", timeline.customStatus, whole("customStatus")),
        );
    }

    function showTabs() {
        if (!view) return;
        const { timeline } = view;
        const offered = {
            timeline: "Timeline",
            ...(fitsSequence(timeline) && { sequence: "Sequence" }),
            history: "History",
        };
        if (!(tab in offered)) tab = "timeline";
        const openTab = (/** @type {string} */ key) => {
            tab = key;
            start = 0;
            show();
            /** @type {HTMLElement | null} */ (tabs.querySelector("[aria-selected=true]"))?.focus();
        };
        if (hasChanged("tabs", [offered, tab]))
            replace(
                tabs,
                Object.entries(offered).map(([key, label]) =>
                    h(
                        "button",
                        {
                            type: "button",
                            role: "tab",
                            "aria-selected": String(key === tab),
                            "aria-controls": "panel",
                            tabindex: key === tab ? "0" : "-1",
                            onclick: () => openTab(key),
                            onkeydown: (/** @type {KeyboardEvent} */ event) => {
                                const keys = Object.keys(offered);
                                const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
                                if (by)
                                    openTab(
                                        keys[(keys.indexOf(tab) + by + keys.length) % keys.length] ?? tab,
                                    );
                            },
                        },
                        label,
                    ),
                ),
            );
        detail.hidden = tab !== "timeline";
        const shown = {
            timeline: null,
            sequence: timeline.tasks,
            history: [start, timeline.lastUpdatedTime],
        };
        if (!hasChanged("panel", [tab, shown[/** @type {keyof typeof shown} */ (tab)]])) return;
        if (tab === "history") showHistory();
        else if (tab === "sequence") replace(panel, h("section", { class: "card" }, sequence(timeline)));
        else
            replace(
                panel,
                id.startsWith("@")
                    ? empty("An entity has no timeline.", h("a", { href: "#/entities" }, "Entities"))
                    : gantt.element,
            );
    }

    async function showHistory() {
        const { total, events } = await read("history", { instance: id, start, count: PAGE });
        if (tab !== "history") return;
        const page = (/** @type {number} */ from) => {
            start = from;
            show();
        };
        replace(
            panel,
            h(
                "section",
                { class: "card", "aria-label": "History" },
                h(
                    "div",
                    { class: "card-head" },
                    h("h2", null, "History"),
                    h(
                        "span",
                        { class: "muted" },
                        total
                            ? `${start + 1}–${start + events.length} of ${count(total)} events`
                            : "no events",
                    ),
                    h(
                        "div",
                        { class: "button-group" },
                        button("First", () => page(0), { class: "button small", disabled: start === 0 }),
                        button("Previous", () => page(Math.max(0, start - PAGE)), {
                            class: "button small",
                            disabled: start === 0,
                        }),
                        button("Next", () => page(start + PAGE), {
                            class: "button small",
                            disabled: start + PAGE >= total,
                        }),
                        button("Last", () => page(Math.floor((total - 1) / PAGE) * PAGE), {
                            class: "button small",
                            disabled: start + PAGE >= total,
                        }),
                    ),
                ),
                table(
                    "Events",
                    ["#", "Time", "Event", "Task", "Name", "What it holds"],
                    events.map((/** @type {Record<string, any>} */ event, /** @type {number} */ index) =>
                        historyRow(event, start + index),
                    ),
                ),
            ),
        );
    }

    /** @param {Task} task @param {string} owner */
    function showDetail(task, owner) {
        hasChanged("detail", task);
        const whole = (/** @type {string} */ of) =>
            task.truncated?.includes(of) && task.taskId !== undefined
                ? { instance: owner, of, task: task.taskId }
                : null;
        const [scheduled, started, ended] = [
            time(task.scheduledTime),
            time(task.startedTime),
            time(task.endedTime),
        ];
        const known = /** @type {[string, import("./types").Child][]} */ ([
            ["Scheduled", preciseClock(scheduled)],
            [
                "Queued",
                Number.isFinite(started - scheduled) && task.kind !== "timer"
                    ? duration(started - scheduled)
                    : "",
            ],
            ["Started", task.kind === "timer" ? "" : preciseClock(started)],
            ["Ended", preciseClock(ended)],
            [
                task.attempts && task.attempts.length > 1 ? "Took, with pauses" : "Ran",
                Number.isFinite(ended - started) ? duration(ended - started) : "",
            ],
            ["Due", preciseClock(time(task.due))],
            ["Attempt", task.maxAttempts ? `${task.attempt} of ${task.maxAttempts}` : ""],
            [
                "Item",
                task.index === undefined
                    ? ""
                    : `[${task.index}] of ${count(task.fanOutSize ?? 0)}, counted from [0]`,
            ],
            ["HTTP status", task.httpStatus ?? ""],
            ["Worker process", task.worker ?? ""],
            [
                "Entity",
                task.kind.startsWith("entity") && task.instanceId
                    ? [
                          h(
                              "a",
                              {
                                  class: "mono",
                                  href: hashOf("entities", task.instanceId),
                                  title: task.instanceId,
                              },
                              shortIds(task.instanceId),
                          ),
                          " ",
                          copyIdButton(task.instanceId),
                      ]
                    : "",
            ],
            [
                "Sub-orchestration",
                task.kind === "subOrchestration" && task.instanceId
                    ? [instanceLink(task.instanceId), " ", copyIdButton(task.instanceId)]
                    : "",
            ],
        ]);
        replace(
            detail,
            h(
                "section",
                { class: "card detail-card", "aria-label": `Task ${task.label}` },
                h(
                    "div",
                    { class: "card-head" },
                    h("h2", null, shortIds(task.label || task.kind)),
                    stateMark(task.state),
                    button(
                        "Close",
                        () => {
                            chosenKey = "";
                            replace(detail);
                        },
                        { class: "button small quiet" },
                    ),
                ),
                facts(known),
                task.error && payload("Error", task.error, whole("error"), "error"),
                task.stack && payload("Traceback", task.stack, whole("stack")),
                h(
                    "div",
                    { class: "payload-pair" },
                    payload("Input", task.input, whole("input")),
                    task.error || task.kind === "entitySignal"
                        ? null
                        : payload("Result", task.result, whole("result")),
                ),
            ),
        );
    }

    // -- acting ----------------------------------------------------------------------------------------------------

    /** @param {string} verb */
    async function steer(verb) {
        const report = await confirmAndAct(verb, [{ id, status: view?.timeline.runtimeStatus ?? "" }]);
        if (report?.started[0]) location.hash = hashOf("instances", report.started[0]);
        if (verb === "purge" && report?.done) location.hash = "#/instances";
    }

    async function raise() {
        const awaited = awaitedEvents();
        const answer = await ask({
            title: "Raise an event",
            text: awaited.length
                ? h(
                      "p",
                      null,
                      "It waits for ",
                      awaited.map((name, index) => [index > 0 && ", ", h("code", null, name)]),
                      ".",
                  )
                : h(
                      "p",
                      { class: "muted" },
                      "It waits for no event now. One that comes early is kept for it.",
                  ),
            confirm: "Raise",
            fields: [
                {
                    name: "event",
                    label: "Event",
                    choices: awaited,
                    value: awaited[0] ?? "",
                    required: true,
                    awaited: awaitedEvents,
                },
                { name: "data", label: "Data (JSON)", kind: "json" },
            ],
        });
        if (answer && (await act({ action: "raise", ids: [id], ...answer }))?.done)
            toast(`Event ${answer.event} raised.`);
    }

    async function startAgain() {
        const input = view?.cut.includes("input")
            ? await readPayload({ instance: id, of: "input" })
            : view?.timeline.input;
        let text = input ?? "";
        try {
            text = JSON.stringify(JSON.parse(text), null, 2);
        } catch {
            /* as it is */
        }
        await startInstance({ name: view?.timeline.name, input: text });
    }

    const stop = listen(
        { instance: id },
        {
            instance(/** @type {InstanceView} */ sent) {
                if (!view) replace(callouts);
                view = sent;
                show();
            },
            gone() {
                view = null;
                hasChanged = changes(); // it may be started again
                for (const part of [head, tabs, panel, detail, side]) replace(part);
                replace(
                    callouts,
                    empty(
                        `There is no instance ${id}.`,
                        "It may have been purged.",
                        h("a", { href: "#/instances" }, "All instances"),
                    ),
                );
            },
        },
    );
    return () => {
        stop();
        gantt.dispose();
    };
}

/** @param {Task} task @param {string} owner */
function keyOf(task, owner) {
    return `${owner} ${task.taskId ?? `${task.name} ${task.endedTime ?? "open"}`}`;
}

/** Whether one of its failed tasks has the error with which it failed. @param {Timeline} timeline */
function namesError({ error, tasks }) {
    const failed = tasks.filter(({ state }) => state === "failed");
    return failed.some((task) => task.error && error?.includes(task.error.split("\n")[0] ?? ""));
}

/** What the children and entities wait for that the instance waits for. @param {import("./types").Explanation} explanation */
function reasons(explanation) {
    /** @type {import("./types").Child[]} */
    const items = explanation.waitsFor.flatMap(({ explanation: below }) =>
        below ? [h("li", null, shortIds(below.name), ": ", withLinks(below), reasons(below))] : [],
    );
    return items.length > 0 && h("ul", { class: "reasons" }, items);
}

/** The sentence, with the ids of children and entities as links. @param {import("./types").Explanation} explanation */
function withLinks(explanation) {
    /** @type {import("./types").Child[]} */
    let parts = [explanation.sentence];
    for (const wait of explanation.waitsFor) {
        const id = wait.instanceId;
        if (!id) continue;
        const href = hashOf(id.startsWith("@") ? "entities" : "instances", id);
        parts = parts.flatMap((part) => {
            if (typeof part !== "string" || !part.includes(id)) return [part];
            const [before = "", ...rest] = part.split(id);
            return [before, h("a", { href, class: "mono", title: id }, shortIds(id)), rest.join(id)];
        });
    }
    return parts.map((part) => (typeof part === "string" ? shortIds(readable(part)) : part));
}

/** @param {string} title @param {string} text */
function details(title, text) {
    return h("details", null, h("summary", null, title), h("pre", { class: "payload", tabindex: "0" }, text));
}

const EVENT_NAMES = /** @type {Record<number, string>} */ ({
    0: "ExecutionStarted",
    1: "ExecutionCompleted",
    3: "ExecutionTerminated",
    4: "TaskScheduled",
    5: "TaskCompleted",
    6: "TaskFailed",
    7: "SubOrchestrationInstanceCreated",
    8: "SubOrchestrationInstanceCompleted",
    9: "SubOrchestrationInstanceFailed",
    10: "TimerCreated",
    11: "TimerFired",
    12: "OrchestratorStarted",
    13: "OrchestratorCompleted",
    14: "EventSent",
    15: "EventRaised",
    16: "ContinueAsNew",
    17: "GenericEvent",
    19: "ExecutionSuspended",
    20: "ExecutionResumed",
});

/** @param {Record<string, any>} event @param {number} number */
function historyRow(event, number) {
    const {
        EventType,
        Timestamp,
        EventId,
        TaskScheduledId,
        TimerId,
        Name,
        Input,
        Result,
        Reason,
        Data,
        FireAt,
        InstanceId,
    } = event;
    const task = TaskScheduledId ?? TimerId ?? (EventId >= 0 ? EventId : "");
    const held = FireAt
        ? `fires at ${preciseClock(time(FireAt))}`
        : String(Reason ?? Result ?? Input ?? Data ?? "");
    return h(
        "tr",
        { "data-kind": EVENT_NAMES[EventType] },
        h("td", { class: "number" }, number),
        h("td", { class: "number" }, preciseClock(time(Timestamp))),
        h("td", null, EVENT_NAMES[EventType] ?? EventType),
        h("td", { class: "number" }, task),
        h("td", null, InstanceId && EventType === 7 ? instanceLink(InstanceId, Name) : (Name ?? "")),
        h("td", { class: "held mono" }, held.length > 160 ? details(`${held.slice(0, 160)}…`, held) : held),
    );
}
