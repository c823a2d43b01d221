/** A payload, laid out and ready to copy; what was cut is fetched on demand. */

import { button, h, replace, toast } from "./dom.js";
import { pretty, withObjects } from "./format.js";
import { readPayload } from "./host.js";

/**
 * @param {string} title
 * @param {string | undefined | null} text
 * @param {Record<string, string | number> | null} [whole] the query that fetches the whole text, if this is cut
 * @param {string} [kind] "error" for a failure, "text" for what is shown as it is and not laid out
 */
export function payload(title, text, whole, kind) {
    const shown = h("pre", {
        class: kind === "error" ? "payload error" : "payload",
        tabindex: "0",
        "aria-label": title,
    });
    const laidOut = (/** @type {string} */ value) => (kind === "text" ? value : pretty(value));
    const fill = (/** @type {string} */ value) =>
        replace(shown, kind === "text" ? value : withObjects(pretty(value), pretty));
    const copy = button(
        "Copy",
        async () => {
            const value = whole ? await readPayload(whole) : (text ?? "");
            await navigator.clipboard.writeText(laidOut(value)).then(
                () => toast(`${title} copied.`),
                () => toast("The browser does not allow it here; select the text.", "refused"),
            );
        },
        { class: "button small quiet" },
    );
    const more =
        whole &&
        button(
            "Show all",
            async () => {
                fill(await readPayload(whole));
                more?.remove();
            },
            { class: "button small quiet" },
        );
    if (text === undefined || text === null) replace(shown, h("span", { class: "muted" }, "none"));
    else if (whole) replace(shown, text, "…");
    else fill(text);
    return h(
        "section",
        { class: "payload-box", "aria-label": title },
        h(
            "div",
            { class: "payload-head" },
            h("h3", null, title),
            more,
            text !== undefined && text !== null && copy,
        ),
        shown,
    );
}
