/** Questions to the person: a confirmation that says what will happen, or a few fields. */

import { button, h, replace } from "./dom.js";

/** @typedef {import("./types").Child} Child */
/**
 * @typedef {object} Field
 * @property {string} name
 * @property {string} label
 * @property {string} [value]
 * @property {"long" | "json"} [kind] long: a larger field; json: one that must hold JSON, or nothing
 * @property {string[]} [choices] offered, or with `only` the only ones
 * @property {boolean} [only]
 * @property {boolean} [required]
 * @property {string} [hint]
 * @property {() => string[]} [awaited] the names that something waits for; about any other the person is asked once
 */

const ALTERNATIVES = 3;
let numbers = 0;

/**
 * The values of the fields by name, or null if the person does not go on.
 * @param {{title: string, text?: Child, confirm: string, danger?: boolean, fields?: Field[]}} question
 * @returns {Promise<Record<string, string> | null>}
 */
export function ask({ title, text, confirm, danger, fields = [] }) {
    return new Promise((resolve) => {
        const titleId = `dialog-${(numbers += 1)}`;
        const problem = h("p", { class: "problem", role: "alert" });
        const inputs = fields.map((field) => ({ field, ...fieldElements(field) }));
        const go = h(
            "button",
            {
                type: "submit",
                class: danger ? "button danger" : "button primary",
                autofocus: !fields.length,
            },
            confirm,
        );
        /** @type {Record<string, string> | null} */
        let answer = null;
        let doubted = ""; // the value that was asked about

        /** What is to be asked about the values, if that was not asked before. @returns {import("./types").Child} */
        function doubt() {
            for (const { field, input } of inputs) {
                const awaited = field.awaited?.() ?? [];
                if (!awaited.length || awaited.includes(input.value) || input.value === doubted) continue;
                doubted = input.value;
                const take = (/** @type {string} */ name) => {
                    input.value = name;
                    settle();
                    go.focus();
                };
                return [
                    `Nothing waits for ${input.value} now. Did you mean `,
                    awaited
                        .slice(0, ALTERNATIVES)
                        .map((name, index) => [
                            index > 0 && " or ",
                            button(name, () => take(name), { class: "button small" }),
                        ]),
                    "?",
                ];
            }
            return null;
        }

        function settle() {
            doubted = "";
            replace(problem);
            go.textContent = confirm;
        }

        const form = h(
            "form",
            {
                oninput: settle,
                onsubmit(/** @type {Event} */ event) {
                    event.preventDefault();
                    const wrong = inputs
                        .map(({ field, input }) => wrongWith(field, input.value))
                        .find(Boolean);
                    if (wrong) {
                        problem.textContent = wrong;
                        return;
                    }
                    const question = doubt();
                    if (question) {
                        replace(problem, question);
                        go.textContent = `${confirm} anyway`;
                        return;
                    }
                    answer = Object.fromEntries(inputs.map(({ field, input }) => [field.name, input.value]));
                    dialog.close();
                },
            },
            h("h2", { id: titleId }, title),
            text && h("div", { class: "dialog-text" }, text),
            inputs.map(({ element }) => element),
            problem,
            h(
                "div",
                { class: "dialog-buttons" },
                h("button", { type: "button", class: "button", onclick: () => dialog.close() }, "Cancel"),
                go,
            ),
        );
        const dialog = h(
            "dialog",
            {
                "aria-labelledby": titleId,
                onclose() {
                    dialog.remove();
                    resolve(answer);
                },
                onclick(/** @type {Event} */ event) {
                    if (event.target === dialog) dialog.close(); // beside it
                },
            },
            form,
        );
        document.body.append(dialog);
        dialog.showModal();
    });
}

/** @param {Field} field */
function fieldElements(field) {
    const id = `field-${(numbers += 1)}`;
    const list =
        field.choices && !field.only
            ? h(
                  "datalist",
                  { id: `${id}-list` },
                  field.choices.map((each) => h("option", { value: each })),
              )
            : null;
    /** @type {HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement} */
    let input;
    if (field.only && field.choices) {
        input = h(
            "select",
            { id },
            field.choices.map((each) => h("option", { value: each }, each)),
        );
        if (field.value) input.value = field.value;
    } else if (field.kind) {
        input = h("textarea", { id, rows: 6, spellcheck: "false", class: "mono", value: field.value ?? "" });
    } else {
        input = h("input", {
            id,
            list: list && `${id}-list`,
            value: field.value ?? "",
            autocomplete: "off",
            spellcheck: "false",
        });
    }
    const hint = field.hint && h("p", { class: "hint" }, field.hint);
    return {
        input,
        element: h("div", { class: "field" }, h("label", { for: id }, field.label), input, list, hint),
    };
}

/** @param {Field} field @param {string} value */
function wrongWith(field, value) {
    if (field.required && !value.trim()) return `${field.label} is missing.`;
    if (field.kind === "json" && value.trim()) {
        try {
            JSON.parse(value);
        } catch (error) {
            return `${field.label} is not JSON: ${/** @type {Error} */ (error).message}. A text needs quotes.`;
        }
    }
    return "";
}
