/** All instances, kept up to date by the host for as long as the page is open; the views share it. */

import { listen } from "./host.js";

/** @typedef {import("./types").Row} Row @typedef {import("./types").Snapshot} Snapshot */

/** @type {Map<string, Row>} */
let rows = new Map();
/** @type {Record<string, number>} */
let counts = {};
let limit = Infinity;
let loaded = false;
/** @type {Set<() => void>} */
const listeners = new Set();

export const instances = {
    /** @returns {Iterable<Row>} */
    get all() {
        return rows.values();
    },
    get counts() {
        return counts;
    },
    get total() {
        return Object.values(counts).reduce((sum, each) => sum + each, 0);
    },
    get size() {
        return rows.size;
    },
    /** Whether the host has sent them yet. */
    get loaded() {
        return loaded;
    },
    /** Whether there are more than the page holds. */
    get isCut() {
        return rows.size >= limit;
    },
    /** @param {string} id */
    get(id) {
        return rows.get(id);
    },
    /** `listener` is called after every commit of the host. @param {() => void} listener @returns {() => void} */
    subscribe(listener) {
        listeners.add(listener);
        return () => listeners.delete(listener);
    },
    /** `load` is called soon after commits, twice a second at most. @param {() => void} load @returns {() => void} */
    follow(load) {
        /** @type {ReturnType<typeof setTimeout> | undefined} */
        let next;
        const unsubscribe = instances.subscribe(() => {
            next ??= setTimeout(() => {
                next = undefined;
                load();
            }, 500);
        });
        return () => {
            unsubscribe();
            clearTimeout(next);
        };
    },
    /** `act` is called once the host has sent them, or at once if it has. @param {() => void} act */
    whenLoaded(act) {
        if (loaded) return act();
        const stop = instances.subscribe(() => {
            stop();
            act();
        });
    },
};

/** @type {() => void} */
let stop;

export function connect() {
    stop?.();
    stop = listen(
        {},
        {
            all(/** @type {Snapshot} */ snapshot) {
                rows = new Map(snapshot.rows.map((row) => [row[0], row]));
                limit = snapshot.limit;
                loaded = true;
                show(snapshot);
            },
            changed(/** @type {Snapshot} */ snapshot) {
                const before = instances.total;
                for (const row of snapshot.rows) rows.set(row[0], row);
                show(snapshot);
                // Others than we have: some were purged. Which ones only the host knows.
                if (instances.isCut ? instances.total < before : instances.total !== rows.size) connect();
            },
        },
    );
}

/** @param {Snapshot} snapshot */
function show(snapshot) {
    counts = snapshot.counts;
    for (const listener of listeners) listener();
}
