/** The functions of the app, as the host lists them under /admin/functions. */

import { h } from "./dom.js";
import { read } from "./host.js";

/** @typedef {import("./types").FunctionInfo} FunctionInfo */

/** @type {Promise<FunctionInfo[]> | undefined} */
let known;

/** @returns {Promise<FunctionInfo[]>} */
export function functions() {
    known ??= fetch("/admin/functions").then(
        (response) => (response.ok ? response.json() : []),
        () => {
            forgetFunctions(); // the host is away; the next who asks tries again
            return [];
        },
    );
    return known;
}

/** Read them again: the app may have been reloaded. */
export function forgetFunctions() {
    known = undefined;
}

/** Sentences about code that does not do what it seems to do. @returns {Promise<string[]>} */
export function mistakes() {
    return read("mistakes").catch(() => []);
}

/**
 * The schedules of timer functions, with what `%SETTING%` stands for, and their next runs, by name.
 *
 * @returns {Promise<Record<string, import("./types").TimerInfo>>}
 */
export function timers() {
    return read("timers").catch(() => ({}));
}

/** @param {string[]} sentences those of `mistakes` */
export function codeCallout(sentences) {
    return (
        sentences.length > 0 &&
        h(
            "div",
            { class: "callout warning", role: "note" },
            h("strong", null, "Code"),
            h(
                "div",
                null,
                sentences.map((sentence) => h("p", null, sentence)),
            ),
        )
    );
}

/** The binding that starts a function. @param {FunctionInfo} info */
export function trigger(info) {
    return (
        info.config.bindings.find((binding) => String(binding.type).toLowerCase().endsWith("trigger")) ?? {
            type: "",
        }
    );
}

/** @param {FunctionInfo} info the name that orchestrators and clients use */
export function durableName(info) {
    const { orchestration, activity, entityName } = trigger(info);
    return String(orchestration || activity || entityName || info.name);
}

export async function orchestratorNames() {
    const all = await functions();
    return all
        .filter((info) => trigger(info).type === "orchestrationTrigger" && !info.isDisabled)
        .map(durableName);
}
