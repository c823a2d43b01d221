/** Entities: their state, what waits in their queues, and a way to signal one. */

import { ask } from "./dialogs.js";
import {
    button,
    changes,
    empty,
    h,
    hashOf,
    instanceLink,
    oncePerFrame,
    replace,
    sinceElement,
    stateMark,
    table,
    toast,
} from "./dom.js";
import { ago, count, counted, readable, time } from "./format.js";
import { durableName, functions, trigger } from "./functions.js";
import { act, read } from "./host.js";
import { instances } from "./instances_store.js";
import { payload } from "./payload.js";

/** @typedef {import("./types").Entity} Entity */

const SHOWN = 1000; // entities

/** @param {HTMLElement} main @param {string} chosen @returns {import("./types").Dispose} */
export function showEntities(main, chosen) {
    /** @type {Entity[] | null} */
    let entities = null;
    let text = "";
    const find = h("input", {
        type: "search",
        class: "find",
        placeholder: "Find by name, key or state",
        "aria-label": "Find entities",
        oninput: () => {
            text = find.value.toLowerCase();
            draw();
        },
    });
    const list = h("div", { class: "wide" });
    const detail = h("aside", { class: "side", "aria-label": "Entity" });
    replace(
        main,
        h(
            "div",
            { class: "view-head" },
            h("h1", null, "Entities"),
            button("Signal…", () => signal("", ""), { class: "button primary" }),
        ),
        h("div", { class: "filters" }, find),
        h("div", { class: "columns" }, list, detail),
    );

    async function load() {
        entities = await read("entities").catch(() => entities);
        draw();
        await showDetail();
    }

    const draw = oncePerFrame(() => {
        if (!entities) return;
        const shown = entities.filter(
            ({ id, state }) => !text || `${id} ${state ?? ""}`.toLowerCase().includes(text),
        );
        if (!shown.length) {
            replace(
                list,
                entities.length
                    ? empty("No entity fits.")
                    : empty("No entity yet.", "One appears with the first signal or call that it gets."),
            );
            return;
        }
        replace(
            list,
            h(
                "div",
                { class: "card" },
                table(
                    "Entities",
                    ["Entity", "Key", "State", "Runs", "Queue", "Last operation"],
                    shown.slice(0, SHOWN).map(entityRow),
                ),
                shown.length > SHOWN &&
                    h(
                        "p",
                        { class: "muted" },
                        `The first ${count(SHOWN)} of ${count(shown.length)}; the search finds the others.`,
                    ),
            ),
        );
    });

    /** @param {Entity} entity */
    function entityRow({ id, name, key, state, waiting, runs, lastOperation }) {
        return h(
            "tr",
            { "data-selected": id === chosen },
            h("td", null, h("a", { href: hashOf("entities", id) }, name)),
            h("td", { class: "mono" }, key),
            h(
                "td",
                { class: "mono held" },
                state === null ? h("span", { class: "muted" }, "none") : state.slice(0, 120),
            ),
            h("td", { class: "mono" }, runs),
            h("td", { class: waiting ? "number busy" : "number" }, count(waiting)),
            h("td", { class: "number" }, lastOperation ? ago(time(lastOperation)) : ""),
        );
    }

    const hasChanged = changes();
    async function showDetail() {
        const entity = entities?.find(({ id }) => id === chosen);
        if (!entity) {
            if (chosen && entities) replace(detail, empty(`There is no entity ${chosen}.`));
            return;
        }
        const explanation = await read("explain", { instance: entity.id }).catch(() => null);
        if (!hasChanged("detail", [entity, explanation])) return;
        const queue = explanation?.waitsFor ?? [];
        replace(
            detail,
            h(
                "section",
                { class: "card" },
                h("div", { class: "card-head" }, h("h2", { class: "mono" }, entity.id)),
                h(
                    "div",
                    { class: entity.waiting ? "callout warning" : "callout" },
                    h("p", null, readable(explanation?.sentence ?? "")),
                ),
                h(
                    "div",
                    { class: "verbs" },
                    button("Signal…", () => signal(entity.name, entity.key)),
                ),
                payload("State", entity.state),
                h("h3", null, counted(queue.length, "operation"), " in its queue"),
                h(
                    "ol",
                    { class: "queue" },
                    queue
                        .slice(0, 100)
                        .map((/** @type {import("./types").Wait} */ each) =>
                            h(
                                "li",
                                null,
                                stateMark(each.state),
                                " ",
                                h("span", { class: "mono" }, each.label),
                                " ",
                                h(
                                    "span",
                                    { class: "muted" },
                                    each.since && ["for ", sinceElement(time(each.since))],
                                    each.instanceId && [", called by ", instanceLink(each.instanceId)],
                                ),
                            ),
                        ),
                ),
            ),
        );
    }

    /** @param {string} name @param {string} key */
    async function signal(name, key) {
        const names = (await functions())
            .filter((info) => trigger(info).type === "entityTrigger")
            .map(durableName);
        const answer = await ask({
            title: "Signal an entity",
            text: h(
                "p",
                { class: "muted" },
                "One operation is put into its queue. Nothing waits for the answer.",
            ),
            confirm: "Signal",
            fields: [
                {
                    name: "entity",
                    label: "Entity",
                    choices: names,
                    only: names.length > 0,
                    value: names.find((each) => each.toLowerCase() === name) ?? name,
                    required: true,
                },
                { name: "key", label: "Key", value: key },
                { name: "operation", label: "Operation", required: true },
                { name: "input", label: "Input (JSON)", kind: "json" },
            ],
        });
        if (answer && (await act({ action: "signal", ...answer }))?.done) {
            toast(`${answer.operation} sent.`);
            location.hash = hashOf("entities", `@${(answer.entity ?? "").toLowerCase()}@${answer.key}`);
        }
    }

    load();
    return instances.follow(load);
}
