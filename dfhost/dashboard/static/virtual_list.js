/** A list of thousands of rows of one height: only those in sight are elements. */

import { h } from "./dom.js";

export class VirtualList {
    /**
     * @param {object} options
     * @param {HTMLElement} options.scroller the element that scrolls
     * @param {number} options.rowHeight pixels
     * @param {(index: number) => HTMLElement} options.render
     */
    constructor({ scroller, rowHeight, render }) {
        this.scroller = scroller;
        this.rowHeight = rowHeight;
        this.render = render;
        this.length = 0;
        this.body = h("div", { class: "virtual-body", role: "rowgroup" });
        scroller.append(this.body);
        this.draw = this.draw.bind(this);
        scroller.addEventListener("scroll", this.draw, { passive: true });
        this.observer = new ResizeObserver(this.draw);
        this.observer.observe(scroller);
    }

    /** Show this many rows, drawn anew. @param {number} length */
    update(length) {
        this.length = length;
        this.body.style.height = `${length * this.rowHeight}px`;
        this.draw();
    }

    /** The numbers of the rows that are drawn: those in sight, and a few beyond. */
    inSight() {
        const top = this.scroller.scrollTop - this.body.offsetTop;
        const beyond = 8;
        const first = Math.max(0, Math.floor(top / this.rowHeight) - beyond);
        const last = Math.min(
            this.length,
            Math.ceil((top + this.scroller.clientHeight) / this.rowHeight) + beyond,
        );
        return Array.from({ length: Math.max(0, last - first) }, (_, place) => first + place);
    }

    draw() {
        const focused = /** @type {HTMLElement | null} */ (
            this.body.contains(document.activeElement) ? document.activeElement : null
        );
        const key = focused?.dataset.key;
        const rows = this.inSight().map((index) => {
            const row = this.render(index);
            row.style.top = `${index * this.rowHeight}px`;
            return row;
        });
        this.body.replaceChildren(...rows);
        if (key)
            /** @type {HTMLElement | null} */ (
                this.body.querySelector(`[data-key="${CSS.escape(key)}"]`)
            )?.focus({ preventScroll: true });
    }

    dispose() {
        this.observer.disconnect();
    }
}
