/** Elements without HTML texts: whatever is shown becomes a text node. */

import { duration, shortIds } from "./format.js";

/** @typedef {import("./types").Child} Child */

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element: `on…` properties are listeners, `class`, `data-…`, `aria-…` and others attributes; false and null leave one out.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, any> | null} [properties]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, properties, ...children) {
    const element = document.createElement(tag);
    assign(element, properties);
    append(element, children);
    return element;
}

/**
 * @param {string} tag
 * @param {Record<string, any> | null} [properties]
 * @param {...Child} children
 * @returns {SVGElement}
 */
export function svg(tag, properties, ...children) {
    const element = /** @type {SVGElement} */ (document.createElementNS(SVG, tag));
    assign(element, properties);
    append(element, children);
    return element;
}

/** @param {Element} element @param {Record<string, any> | null | undefined} properties */
function assign(element, properties) {
    for (const [name, value] of Object.entries(properties ?? {})) {
        if (value === false || value === null || value === undefined) continue;
        if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
        else if (name === "style") Object.assign(/** @type {HTMLElement} */ (element).style, value);
        else if (name === "value") /** @type {HTMLInputElement} */ (element).value = value;
        else element.setAttribute(name, value === true ? "" : String(value));
    }
}

/** @param {Node} parent @param {Child[]} children */
function append(parent, children) {
    for (const child of /** @type {any[]} */ (children).flat(Infinity)) {
        if (child === null || child === undefined || child === false) continue;
        parent.appendChild(child instanceof Node ? child : document.createTextNode(String(child)));
    }
}

/** Show `children` in place of what is in `parent`. @param {Element} parent @param {...Child} children */
export function replace(parent, ...children) {
    parent.replaceChildren();
    append(parent, children);
}

/** The element with this id. @param {string} id */
export function byId(id) {
    const found = document.getElementById(id);
    if (!found) throw new Error(`no element ${id}`);
    return found;
}

/** A button. @param {string} label @param {() => void} onclick @param {Record<string, any>} [properties] */
export function button(label, onclick, properties) {
    return h("button", { type: "button", class: "button", onclick, ...properties }, label);
}

/** A status as a coloured word. @param {string} status */
export function pill(status) {
    return h("span", { class: "pill", "data-status": status }, status);
}

/** The state of a task, an operation or a map as a coloured word. @param {string} state @param {string} [label] */
export function stateMark(state, label) {
    return h("span", { class: "pill", "data-state": state }, label ?? state);
}

/** Names and values side by side, without those that have no value. @param {[string, Child][]} all @param {string} [kind] */
export function facts(all, kind) {
    return h(
        "dl",
        { class: kind ? `facts ${kind}` : "facts" },
        all
            .filter(([, value]) => value !== "")
            .map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value))),
    );
}

/** A table in a box of its own that scrolls. @param {string} title @param {string[]} columns @param {HTMLElement[]} rows */
export function table(title, columns, rows) {
    const heads = columns.map((label) => h("th", { scope: "col" }, label));
    return h(
        "div",
        { class: "table-box", tabindex: "0", role: "region", "aria-label": title },
        h("table", null, h("thead", null, h("tr", null, heads)), h("tbody", null, rows)),
    );
}

/** The hash of the page under which one thing of a view is shown. @param {"instances" | "maps" | "entities" | "functions" | "queues"} view @param {string} id */
export function hashOf(view, id) {
    return `#/${view}/${encodeURIComponent(id)}`;
}

/** A link to an instance, by the short form of its id if there is no label. @param {string} id @param {string} [label] */
export function instanceLink(id, label) {
    return h("a", { class: "mono", href: hashOf("instances", id), title: id }, label ?? shortIds(id));
}

/** Copies a whole id of which the short form is shown, as a rule. @param {string} id */
export function copyIdButton(id) {
    return button("Copy id", () => navigator.clipboard.writeText(id).then(() => toast("Id copied.")), {
        class: "button small quiet",
    });
}

/** What is shown where there is nothing. @param {string} title @param {...Child} hints */
export function empty(title, ...hints) {
    return h(
        "div",
        { class: "empty" },
        h("p", { class: "empty-title" }, title),
        hints.map((hint) => h("p", null, hint)),
    );
}

/** `update` at most once a frame, however often this is called. @param {() => void} update */
export function oncePerFrame(update) {
    let asked = false;
    return () => {
        if (asked) return;
        asked = true;
        requestAnimationFrame(() => {
            asked = false;
            update();
        });
    };
}

/**
 * Says whether what a part of a view shows has changed since it was asked last: what is not drawn anew keeps its
 * selection and its scroll position.
 * @returns {(part: string, value: unknown) => boolean}
 */
export function changes() {
    /** @type {Map<string, string>} */
    const seen = new Map();
    return (part, value) => {
        const text = JSON.stringify(value);
        if (seen.get(part) === text) return false;
        seen.set(part, text);
        return true;
    };
}

/** A short message that goes away by itself. @param {string} text @param {"done" | "refused"} [kind] */
export function toast(text, kind = "done") {
    const shown = h("div", { class: "toast", "data-kind": kind }, text);
    byId("toasts").append(shown);
    setTimeout(() => shown.remove(), kind === "done" ? 4000 : 12000);
}

/** How long something has lasted; goes on counting. @param {number} since */
export function sinceElement(since) {
    return h("span", { "data-since": since }, duration(Date.now() - since));
}

setInterval(() => {
    for (const shown of document.querySelectorAll("[data-since]")) {
        shown.textContent = duration(Date.now() - Number(shown.getAttribute("data-since")));
    }
}, 1000);
