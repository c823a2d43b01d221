/**
 * Map runs: those that have a ledger, and other instances whose custom status has the form {"phase": …, "total": …}.
 *
 * The list comes from the host. If the app serves `maps/{id}`, its answers have the counts of one map and its rate.
 */

import { ask } from "./dialogs.js";
import {
    button,
    changes,
    empty,
    facts,
    h,
    hashOf,
    instanceLink,
    pill,
    replace,
    stateMark,
    svg,
    table,
    toast,
} from "./dom.js";
import { functions, trigger } from "./functions.js";
import { ago, clock, count, counted, duration, time } from "./format.js";
import { read, readPayload } from "./host.js";
import { instances } from "./instances_store.js";

/** @typedef {import("./types").MapRun} MapRun */
/** @typedef {Record<string, any>} Progress */

const HOW = 'Runs of fan_out_map show here, and instances with a custom status {"phase": …, "total": …}.';

/** Whether an instance without a ledger says as much as a map does. @param {string | undefined} customStatus */
export function isLikeMap(customStatus) {
    return /^\{"phase": ?".*"total": ?\d/.test(customStatus ?? "");
}

/** Where the app answers for a map, ``/api/maps/ID``; "" if it does not. @param {string} id @param {string} [verb] */
async function mapUrl(id, verb = "") {
    const tail = `maps/{id}${verb && `/${verb}`}`;
    const route = (await functions()).find(
        (info) => String(trigger(info).route ?? "").replace(/\{[^}]*\}/, "{id}") === tail,
    );
    return route?.invoke_url_template
        ? new URL(route.invoke_url_template).pathname.replace(/(\{|%7B)[^/]*(\}|%7D)/, encodeURIComponent(id))
        : "";
}

/** @param {HTMLElement} main @returns {import("./types").Dispose} */
export function showMaps(main) {
    const list = h("div", { class: "cards" });
    replace(main, h("div", { class: "view-head" }, h("h1", null, "Maps")), list);
    replace(list, "Loading…");
    let hasNews = true;
    async function poll() {
        if (!hasNews) return;
        hasNews = false;
        const runs = await maps();
        if (runs) replace(list, runs.length ? runs.map(mapCard) : empty("No map run yet.", HOW));
        else hasNews = true; // the host may be away
    }
    poll();
    const timer = setInterval(poll, 1000);
    const unsubscribe = instances.subscribe(() => (hasNews = true));
    return () => {
        clearInterval(timer);
        unsubscribe();
    };
}

/** @returns {Promise<MapRun[] | null>} */
function maps() {
    return read("maps", {}).catch(() => null);
}

/** @param {MapRun} run */
function mapCard(run) {
    return h(
        "article",
        { class: "card map-card" },
        h(
            "div",
            { class: "card-head" },
            h(
                "h2",
                null,
                h(
                    "a",
                    { href: hashOf("maps", run.id) },
                    run.activity ? `${run.name} over ${run.activity}` : run.name,
                ),
            ),
            pill(run.status),
            h("span", { class: "muted" }, ago(time(run.created))),
        ),
        bar({
            total: run.total,
            succeeded: (run.done ?? 0) - (run.failed ?? 0),
            failed: run.failed,
            in_flight: run.inFlight,
        }),
        h("p", { class: "sub" }, h("span", { class: "mono" }, run.id), h("span", null, run.phase ?? "")),
    );
}

/** @param {Progress} progress */
function bar(progress) {
    const total = Number(progress.total ?? 0);
    const parts = /** @type {[string, number][]} */ ([
        ["completed", Number(progress.succeeded ?? 0)],
        ["failed", Number(progress.failed ?? 0)],
        ["running", Number(progress.in_flight ?? 0)],
    ]);
    const done = (parts[0]?.[1] ?? 0) + (parts[1]?.[1] ?? 0);
    return h(
        "div",
        null,
        h(
            "div",
            {
                class: "progress",
                role: "progressbar",
                "aria-valuemin": "0",
                "aria-valuemax": String(total),
                "aria-valuenow": String(done),
                "aria-label": "Items that have ended",
            },
            parts.map(([kind, number]) =>
                h("span", {
                    class: `part ${kind}`,
                    style: { width: total ? `${(number / total) * 100}%` : "0" },
                }),
            ),
        ),
        h(
            "p",
            { class: "progress-text" },
            total ? `${count(done)} of ${counted(total, "item")}` : "counting items",
            progress.failed ? h("span", { class: "bad" }, ` · ${count(progress.failed)} failed`) : null,
            progress.in_flight ? ` · ${count(progress.in_flight)} in flight` : null,
        ),
    );
}

/** What the app answers for the map, or its own custom status. @param {string} id @returns {Promise<Progress | null>} */
async function progressOf(id) {
    const url = await mapUrl(id);
    if (url) {
        const response = await fetch(url).catch(() => null);
        if (response?.ok) return response.json();
    }
    try {
        return JSON.parse(await readPayload({ instance: id, of: "customStatus" }));
    } catch {
        return null;
    }
}

/** @param {HTMLElement} main @param {string} id @returns {import("./types").Dispose} */
export function showMap(main, id) {
    const head = h("div");
    const body = h("div", { class: "map" });
    const failures = h("div");
    replace(main, head, body, failures);
    /** @type {[string, number][]} */
    let flight = [];
    let flightAsked = 0;
    /** @type {unknown[] | null} */
    let items = null;
    const hasChanged = changes();
    let phase = "";
    let stopped = false;
    /** @type {MapRun | undefined} */
    let run;

    async function poll() {
        if (stopped) return;
        const progress = await progressOf(id);
        if (stopped) return;
        if (!progress) {
            if (!phase) {
                replace(body, empty(`There is no map ${id}.`, h("a", { href: "#/maps" }, "All maps")));
            }
            setTimeout(poll, 2000); // the host may be away
            return;
        }
        const done = Number(progress.succeeded ?? 0) + Number(progress.failed ?? 0);
        const isOver =
            progress.ended_at || ["completed", "failed", "cancelled", "terminated"].includes(progress.phase);
        if (Date.now() >= flightAsked || (isOver && flightAsked < Infinity))
            await lookAtFlight(progress, Boolean(isOver));
        if (progress.phase !== phase) {
            phase = progress.phase;
            run = (await maps())?.find((each) => each.id === id);
            showHead(progress, run?.name ?? "Map", Boolean(isOver));
        }
        showFailures(progress, Boolean(isOver));
        replace(
            body,
            bar(progress),
            facts(
                [
                    ["Succeeded", count(Number(progress.succeeded ?? 0))],
                    ["Failed", count(Number(progress.failed ?? 0))],
                    [
                        "Left",
                        count(Math.max(0, Number(progress.remaining ?? Number(progress.total ?? 0) - done))),
                    ],
                    [
                        "Rate",
                        progress.rate_per_second
                            ? `${Number(progress.rate_per_second).toFixed(1)} items/s`
                            : "",
                    ],
                    ["Estimated end", progress.estimated_end ? clock(time(progress.estimated_end)) : ""],
                    ["Took", progress.elapsed_seconds ? duration(progress.elapsed_seconds * 1000) : ""],
                ],
                "big",
            ),
            flight.length > 0 &&
                h(
                    "section",
                    { class: "card", "aria-label": "In flight" },
                    h(
                        "div",
                        { class: "card-head" },
                        h("h2", null, "In flight"),
                        h(
                            "span",
                            { class: "muted" },
                            `at most ${count(Math.max(...flight.map(([, number]) => number)))}`,
                        ),
                    ),
                    chart(flight),
                    h(
                        "div",
                        { class: "histogram-axis" },
                        h("span", null, clock(time(flight[0]?.[0]))),
                        h("span", null, clock(time(flight[flight.length - 1]?.[0]))),
                    ),
                ),
        );
        if (!isOver) setTimeout(poll, 1000);
    }

    /** How many items ran at once; asked for again after ten times as long as the answer took. @param {Progress} progress @param {boolean} isOver */
    async function lookAtFlight(progress, isOver) {
        const began = Date.now();
        flight = progress.activity
            ? await read("inFlight", { instance: id, activity: progress.activity }).catch(() => flight)
            : [];
        flightAsked = isOver ? Infinity : Date.now() + Math.max(2000, 10 * (Date.now() - began));
    }

    /** @param {Progress} progress @param {string} name @param {boolean} isOver */
    async function showHead(progress, name, isOver) {
        const [redrive, cancel] = await Promise.all([mapUrl(id, "redrive"), mapUrl(id, "cancel")]);
        const short = Number(progress.failed ?? 0) + Number(progress.not_started ?? progress.remaining ?? 0);
        replace(
            head,
            h(
                "nav",
                { class: "crumbs", "aria-label": "Where this is" },
                h("a", { href: "#/maps" }, "Maps"),
            ),
            h(
                "div",
                { class: "view-head" },
                h(
                    "div",
                    null,
                    h(
                        "h1",
                        null,
                        progress.activity ? `${name} over ${progress.activity}` : name,
                        " ",
                        stateMark(progress.phase ?? ""),
                    ),
                    h(
                        "p",
                        { class: "sub" },
                        instanceLink(run?.instance ?? id, run?.instance ?? id),
                        mapLink("redrive of ", progress.redrive_of),
                        mapLink("redriven by ", progress.redriven_by),
                    ),
                ),
                h(
                    "div",
                    { class: "verbs" },
                    !isOver &&
                        cancel &&
                        button(
                            "Cancel…",
                            () =>
                                send(
                                    cancel,
                                    "Cancel this map?",
                                    "What runs now runs to its end; nothing new is started.",
                                    "Cancel the map",
                                ),
                            { class: "button danger-quiet" },
                        ),
                    isOver &&
                        redrive &&
                        hasOutcome() &&
                        short > 0 &&
                        button(
                            "Redrive…",
                            () =>
                                send(
                                    redrive,
                                    `Run ${counted(short, "item")} again?`,
                                    "A new run takes only what failed or was not started. Its outcome is the whole of both.",
                                    "Redrive",
                                ),
                            { class: "button primary" },
                        ),
                ),
            ),
        );
    }

    /** Whether the app keeps the outcome: not of a map in an orchestrator of one's own. */
    function hasOutcome() {
        return run?.hasOutcome ?? true;
    }

    /** @param {string} url @param {string} title @param {string} text @param {string} confirm */
    async function send(url, title, text, confirm) {
        if (!(await ask({ title, text, confirm }))) return;
        const response = await fetch(url, {
            method: "POST",
            headers: { "Content-Type": "application/json" },
            body: "{}",
        });
        const answer = await response.json().catch(() => ({}));
        if (!response.ok) toast(String(answer.error ?? `The app answered ${response.status}.`), "refused");
        else if (answer.id && answer.id !== id) location.hash = hashOf("maps", answer.id);
        else toast("Done.");
    }

    /** @param {Progress} progress @param {boolean} isOver */
    async function showFailures(progress, isOver) {
        const url = isOver && hasOutcome() ? await mapUrl(id, "outcome") : "";
        const outcome = url
            ? await fetch(url).then(
                  (response) => (response.ok ? response.json() : null),
                  () => null,
              )
            : null;
        const entries = (
            outcome?.unfinished ??
            outcome?.results?.map((/** @type {Progress} */ entry, /** @type {number} */ index) => ({
                index,
                ...entry,
            })) ??
            progress.first_failures ??
            []
        ).filter((/** @type {Progress} */ entry) => entry.error !== undefined || entry.status === "failed");
        if (!entries.length || !hasChanged("failures", entries)) return;
        if (!outcome) items ??= await itemsOf(id);
        const shown = entries.slice(0, 500);
        replace(
            failures,
            h(
                "section",
                { class: "card", "aria-label": "Failures" },
                h(
                    "div",
                    { class: "card-head" },
                    h("h2", null, counted(entries.length, "failure")),
                    entries.length > shown.length &&
                        h("span", { class: "muted" }, `the first ${shown.length}`),
                ),
                table(
                    "Failed items",
                    ["#", "Item", "Attempts", "Error"],
                    shown.map((/** @type {Progress} */ entry) =>
                        h(
                            "tr",
                            null,
                            h("td", { class: "number" }, entry.index),
                            h(
                                "td",
                                { class: "mono" },
                                JSON.stringify(entry.item ?? items?.[entry.index] ?? null),
                            ),
                            h("td", { class: "number" }, entry.attempts ?? ""),
                            h("td", { class: "bad" }, entry.error ?? ""),
                        ),
                    ),
                ),
            ),
        );
    }

    poll();
    return () => {
        stopped = true;
    };
}

/** @param {string} label @param {string | undefined | null} id */
function mapLink(label, id) {
    return id && h("span", null, label, h("a", { href: hashOf("maps", id), class: "mono" }, id));
}

/** The items in the input of the map, if they are there. @param {string} id @returns {Promise<unknown[] | null>} */
async function itemsOf(id) {
    try {
        const input = JSON.parse(await readPayload({ instance: id, of: "input" }));
        return Array.isArray(input.items) ? input.items : null;
    } catch {
        return null;
    }
}

/** @param {[string, number][]} flight */
function chart(flight) {
    const [width, height] = [600, 80];
    const highest = Math.max(1, ...flight.map(([, number]) => number));
    const points = flight.map(
        ([, number], place) =>
            `${(place / Math.max(1, flight.length - 1)) * width},${height - (number / highest) * (height - 6)}`,
    );
    return svg(
        "svg",
        {
            class: "spark",
            viewBox: `0 0 ${width} ${height}`,
            preserveAspectRatio: "none",
            role: "img",
            "aria-label": `At most ${highest} in flight`,
        },
        svg("polygon", { points: `0,${height} ${points.join(" ")} ${width},${height}` }),
        svg("polyline", { points: points.join(" ") }),
    );
}
