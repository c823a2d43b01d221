/** All instances: found, sorted, chosen, acted on. */

import { VERBS, confirmAndAct, fits, isOpen, startInstance } from "./actions.js";
import { button, changes, empty, h, instanceLink, oncePerFrame, pill, replace, stateMark } from "./dom.js";
import { ago, clock, count, counted, duration, readable, shortIds, time } from "./format.js";
import { Histogram } from "./histogram.js";
import { read } from "./host.js";
import { instances } from "./instances_store.js";
import { VirtualList } from "./virtual_list.js";

/** @typedef {import("./types").Row} Row */

const STATUSES = ["Running", "Pending", "Suspended", "Failed", "Completed", "Terminated"];
const ROW_HEIGHT = 40;
const PERIODS = { "": "Any time", 300: "Last 5 minutes", 3600: "Last hour", 86400: "Last day" };

/** What is chosen; kept while the page is open, so that going back finds the list as it was. */
const chosen = {
    /** @type {Set<string>} */
    statuses: new Set(),
    text: "",
    name: "",
    seconds: "",
    /** @type {[number, number] | null} */
    range: null,
    topOnly: false,
    sort: "created",
    descending: true,
    /** @type {Set<string>} */
    selected: new Set(),
    /** Those that have the text somewhere, payloads included: the host has found them. @type {Map<string, Row> | null} */
    withText: null,
};

/** What open instances wait for, by id, and when that was asked. @type {Map<string, {at: number, sentence: string, unclaimed: string[]}>} */
const waits = new Map();

/** @type {{key: string, label: string, value: (row: Row) => string | number}[]} */
const COLUMNS = [
    { key: "status", label: "Status", value: (row) => row[2] },
    { key: "id", label: "Instance", value: (row) => row[0] },
    { key: "name", label: "Orchestrator", value: (row) => row[1] },
    { key: "created", label: "Created", value: (row) => row[3] },
    { key: "duration", label: "Duration", value: (row) => lasted(row) },
    { key: "custom", label: "Details", value: (row) => row[7] ?? row[6] ?? "" },
];

/** @param {Row} row */
function lasted(row) {
    return (isOpen(row[2]) ? Date.now() : time(row[4])) - time(row[3]);
}

/** @param {HTMLElement} main @returns {import("./types").Dispose} */
export function showInstances(main) {
    /** @type {Row[]} */
    let rows = [];
    const chips = h("div", { class: "chips", role: "group", "aria-label": "Statuses" });
    const find = h("input", {
        type: "search",
        class: "find",
        placeholder: "Find by id, name, custom status or error; Enter looks into payloads, too",
        "aria-label": "Find instances",
        value: chosen.text,
        autocomplete: "off",
        spellcheck: "false",
        oninput: () => {
            chosen.text = find.value;
            chosen.withText = null;
            refresh();
        },
        onkeydown: (/** @type {KeyboardEvent} */ event) => {
            if (event.key === "Enter") searchPayloads();
        },
    });
    const names = h("select", {
        "aria-label": "Orchestrator",
        onchange: () => {
            chosen.name = names.value;
            refresh();
        },
    });
    const period = h(
        "select",
        {
            "aria-label": "Created",
            onchange: () => {
                chosen.seconds = period.value;
                chosen.range = null;
                refresh();
            },
        },
        ["", "300", "3600", "86400"].map((seconds) =>
            h(
                "option",
                { value: seconds, selected: seconds === chosen.seconds },
                PERIODS[/** @type {keyof typeof PERIODS} */ (seconds)],
            ),
        ),
    );
    const top = h("input", {
        type: "checkbox",
        checked: chosen.topOnly,
        onchange: () => {
            chosen.topOnly = top.checked;
            refresh();
        },
    });
    const clear = button(
        "Clear",
        () => {
            Object.assign(chosen, {
                text: "",
                name: "",
                seconds: "",
                range: null,
                withText: null,
                topOnly: false,
            });
            chosen.statuses.clear();
            find.value = period.value = names.value = "";
            top.checked = false;
            refresh();
        },
        { class: "button quiet" },
    );
    const histogram = new Histogram((range) => {
        chosen.range = range;
        refresh();
    });
    const bar = h("div", { class: "selection-bar", role: "region", "aria-label": "Selected instances" });
    const note = h("p", { class: "note", "aria-live": "polite" });
    const head = h("div", { class: "row head", role: "row" });
    const scroller = h(
        "div",
        { class: "table", role: "table", "aria-label": "Instances", tabindex: "0" },
        h("div", { role: "rowgroup", class: "head-group" }, head),
    );
    const nothing = h("div");
    replace(
        main,
        h(
            "div",
            { class: "view-head" },
            h("h1", null, "Instances"),
            button("Start…", () => startInstance(), { class: "button primary" }),
        ),
        chips,
        h(
            "div",
            { class: "filters" },
            find,
            names,
            period,
            h("label", { class: "check" }, top, "no sub-orchestrations"),
            clear,
        ),
        histogram.element,
        bar,
        note,
        scroller,
        nothing,
    );
    const list = new VirtualList({
        scroller,
        rowHeight: ROW_HEIGHT,
        render: (index) => rowElement(/** @type {Row} */ (rows[index]), index),
    });
    const refresh = oncePerFrame(() => {
        rows = sorted(found(true));
        histogram.draw(
            found(false).map((row) => ({ at: time(row[3]), status: row[2] })),
            chosen.range,
        );
        showChips();
        showNames();
        showHead();
        showBar();
        const hasAny = instances.size > 0;
        scroller.hidden = rows.length === 0;
        clear.hidden = !isFiltered();
        note.textContent = noteText(rows.length);
        replace(
            nothing,
            rows.length || !instances.loaded
                ? null
                : hasAny
                  ? empty(
                        "No instance fits.",
                        "Clear the filters, or press Enter in the search to look into inputs and outputs.",
                    )
                  : nothingYet(),
        );
        scroller.setAttribute("aria-rowcount", String(rows.length + 1));
        list.update(rows.length);
    });

    async function searchPayloads() {
        if (!chosen.text.trim()) return;
        const hits = await read("search", { text: chosen.text });
        chosen.withText = new Map(hits.map((/** @type {Row} */ row) => [row[0], row]));
        refresh();
    }

    function showChips() {
        replace(
            chips,
            STATUSES.map((status) =>
                h(
                    "button",
                    {
                        type: "button",
                        class: "chip",
                        "data-status": status,
                        "aria-pressed": chosen.statuses.has(status),
                        onclick: () => {
                            if (!chosen.statuses.delete(status)) chosen.statuses.add(status);
                            refresh();
                        },
                    },
                    h("span", { class: "chip-name" }, status),
                    h("span", { class: "chip-count" }, count(instances.counts[status] ?? 0)),
                ),
            ),
        );
    }

    const hasChanged = changes();
    function showNames() {
        const all = [...new Set([...instances.all].map((row) => row[1]))].sort();
        if (!hasChanged("names", all)) return;
        replace(
            names,
            h("option", { value: "" }, "Any orchestrator"),
            all.map((name) => h("option", { value: name, selected: name === chosen.name }, name)),
        );
    }

    function showHead() {
        const isAll = rows.length > 0 && rows.every((row) => chosen.selected.has(row[0]));
        const all = h("input", {
            type: "checkbox",
            "aria-label": "Select all that are listed",
            checked: isAll,
            onchange: () => {
                for (const row of rows) isAll ? chosen.selected.delete(row[0]) : chosen.selected.add(row[0]);
                refresh();
            },
        });
        replace(
            head,
            h("span", { role: "columnheader", class: "cell pick" }, all),
            COLUMNS.map(({ key, label }) =>
                h(
                    "span",
                    {
                        role: "columnheader",
                        class: `cell ${key}`,
                        "aria-sort":
                            chosen.sort === key ? (chosen.descending ? "descending" : "ascending") : "none",
                    },
                    h(
                        "button",
                        {
                            type: "button",
                            class: "sort",
                            onclick: () => {
                                chosen.descending =
                                    chosen.sort === key
                                        ? !chosen.descending
                                        : key === "created" || key === "duration";
                                chosen.sort = key;
                                refresh();
                            },
                        },
                        label,
                        chosen.sort === key &&
                            h("span", { "aria-hidden": "true" }, chosen.descending ? " ↓" : " ↑"),
                    ),
                ),
            ),
        );
    }

    function showBar() {
        const targets = [...chosen.selected]
            .map((id) => instances.get(id) ?? chosen.withText?.get(id))
            .filter((row) => row !== undefined)
            .map((row) => ({ id: row[0], status: row[2] }));
        if (targets.length !== chosen.selected.size) chosen.selected = new Set(targets.map(({ id }) => id));
        bar.hidden = !targets.length;
        if (!targets.length) return;
        replace(
            bar,
            h("strong", null, `${count(targets.length)} selected`),
            Object.entries(VERBS).map(([verb, { label, danger }]) =>
                button(
                    label,
                    async () => {
                        if (await confirmAndAct(verb, targets)) {
                            chosen.selected.clear();
                            refresh();
                        }
                    },
                    {
                        class: danger ? "button danger-quiet" : "button",
                        disabled: !targets.some(({ status }) => fits(verb, status)),
                    },
                ),
            ),
            button(
                "Select none",
                () => {
                    chosen.selected.clear();
                    refresh();
                },
                { class: "button quiet" },
            ),
        );
    }

    /** @param {Row} row @param {number} index */
    function rowElement(row, index) {
        const [id, name, status, created, , parent] = row;
        const isSelected = chosen.selected.has(id);
        const pick = h("input", {
            type: "checkbox",
            "aria-label": `Select ${id}`,
            checked: isSelected,
            "data-key": `pick ${id}`,
            onchange: () => {
                if (!chosen.selected.delete(id)) chosen.selected.add(id);
                refresh();
            },
        });
        const link = instanceLink(id);
        link.dataset.key = `open ${id}`;
        return h(
            "div",
            { class: "row", role: "row", "aria-rowindex": index + 2, "data-selected": isSelected },
            h("span", { role: "cell", class: "cell pick" }, pick),
            h("span", { role: "cell", class: "cell status" }, pill(status)),
            h(
                "span",
                { role: "cell", class: "cell id" },
                parent && h("span", { class: "muted", title: `A sub-orchestration of ${parent}` }, "↳ "),
                link,
            ),
            h("span", { role: "cell", class: "cell name" }, name),
            h(
                "span",
                { role: "cell", class: "cell created", title: ago(time(created)) },
                clock(time(created)),
            ),
            h("span", { role: "cell", class: "cell duration" }, duration(lasted(row))),
            detailsCell(row),
        );
    }

    /** The error of a failed one; of an open one the custom status, and what it waits for. @param {Row} row */
    function detailsCell(row) {
        const [id, , , , , , custom, error] = row;
        const { sentence: wait = "", unclaimed = [] } = (isOpen(row[2]) && waits.get(id)) || {};
        return h(
            "span",
            { role: "cell", class: "cell custom", title: [error, custom, wait].filter(Boolean).join("\n") },
            unclaimed.map((name) => [stateMark("waiting", `not awaited: ${name}`), " "]),
            error && h("span", { class: "bad" }, error),
            custom && !error && h("span", { class: "mono muted" }, custom),
            custom && wait && " ",
            wait && h("span", { class: "muted" }, shortIds(wait)),
        );
    }

    /** Ask what the open instances in sight wait for. */
    async function lookAtWaits() {
        const now = Date.now();
        const wanted = list
            .inSight()
            .map((index) => /** @type {Row} */ (rows[index]))
            .filter((row) => isOpen(row[2]) && !(now - (waits.get(row[0])?.at ?? 0) < 3000))
            .map((row) => row[0]);
        if (!wanted.length) return;
        for (const id of wanted) waits.set(id, { sentence: "", unclaimed: [], ...waits.get(id), at: now });
        const found = await read("waits", { instances: JSON.stringify(wanted) }).catch(() => ({}));
        for (const [id, { sentence, unclaimed }] of Object.entries(found))
            waits.set(id, { at: now, sentence: readable(sentence), unclaimed });
        list.draw();
    }

    refresh();
    const unsubscribe = instances.subscribe(refresh);
    instances.whenLoaded(() => requestAnimationFrame(() => requestAnimationFrame(lookAtWaits))); // rows are drawn then
    const clockwork = setInterval(() => {
        if (rows.some((row) => isOpen(row[2]))) {
            list.draw();
            lookAtWaits();
        }
    }, 1000);
    return () => {
        unsubscribe();
        clearInterval(clockwork);
        list.dispose();
    };
}

function isFiltered() {
    return Boolean(
        chosen.statuses.size ||
        chosen.text ||
        chosen.name ||
        chosen.seconds ||
        chosen.range ||
        chosen.topOnly,
    );
}

/** Those that the filters let through. @param {boolean} withRange whether the time that was dragged counts */
function found(withRange) {
    const text = chosen.text.trim().toLowerCase();
    const since = chosen.seconds ? Date.now() - Number(chosen.seconds) * 1000 : -Infinity;
    const result = [];
    const older = [...(chosen.withText?.values() ?? [])].filter((row) => !instances.get(row[0]));
    for (const row of [...instances.all, ...older]) {
        if (chosen.statuses.size && !chosen.statuses.has(row[2])) continue;
        if (chosen.name && row[1] !== chosen.name) continue;
        if (chosen.topOnly && row[5]) continue;
        if (
            text &&
            !chosen.withText?.has(row[0]) &&
            !`${row[0]} ${row[1]} ${row[6] ?? ""} ${row[7] ?? ""}`.toLowerCase().includes(text)
        )
            continue;
        if (chosen.seconds || (withRange && chosen.range)) {
            const created = time(row[3]);
            if (created < since) continue;
            if (withRange && chosen.range && (created < chosen.range[0] || created >= chosen.range[1]))
                continue;
        }
        result.push(row);
    }
    return result;
}

/** @param {Row[]} rows */
function sorted(rows) {
    const value = COLUMNS.find(({ key }) => key === chosen.sort)?.value ?? (() => 0);
    const sign = chosen.descending ? -1 : 1;
    const keyed = rows.map((row) => ({ row, key: value(row) }));
    keyed.sort((a, b) => (a.key < b.key ? -sign : a.key > b.key ? sign : 0));
    return keyed.map(({ row }) => row);
}

/** @param {number} shown */
function noteText(shown) {
    if (!instances.loaded) return "Loading…";
    const parts = [];
    if (isFiltered()) parts.push(`${count(shown)} of ${counted(instances.size, "instance")}`);
    if (chosen.range) parts.push(`created from ${clock(chosen.range[0])} to ${clock(chosen.range[1])}`);
    if (chosen.withText)
        parts.push(`${count(chosen.withText.size)} with “${chosen.text}” in a payload, an id or a name`);
    if (instances.isCut)
        parts.push(`the page holds the newest ${count(instances.size)} of ${count(instances.total)}`);
    return parts.join(" · ");
}

function nothingYet() {
    return empty(
        "No instance yet.",
        "Start one here, call one of the app's HTTP functions, or run an orchestrator from the terminal.",
    );
}
