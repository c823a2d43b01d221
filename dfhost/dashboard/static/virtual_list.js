/** A list of thousands of rows of one height: only those in sight are elements. */

import { h } from "./dom.js";

const BEYOND = 8; // rows that are drawn above and below what is in sight

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
        /** @type {Map<number, HTMLElement>} the elements of the rows in sight, by number */
        this.drawn = new Map();
        this.body = h("div", { class: "virtual-body", role: "rowgroup" });
        scroller.append(this.body);
        scroller.addEventListener("scroll", () => this.place(), { passive: true });
        this.observer = new ResizeObserver(() => this.place());
        this.observer.observe(scroller);
        // A row that is replaced between the press and the release of a button gets no click.
        this.isPressed = false;
        this.body.addEventListener("pointerdown", () => (this.isPressed = true));
        this.release = () => {
            if (!this.isPressed) return;
            this.isPressed = false;
            setTimeout(() => this.draw());
        };
        addEventListener("pointerup", this.release);
        addEventListener("pointercancel", this.release);
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
        const first = Math.max(0, Math.floor(top / this.rowHeight) - BEYOND);
        const end = Math.ceil((top + this.scroller.clientHeight) / this.rowHeight) + BEYOND;
        return Array.from(
            { length: Math.max(0, Math.min(this.length, end) - first) },
            (_, place) => first + place,
        );
    }

    /** Draw the rows anew. */
    draw() {
        if (this.isPressed) return;
        this.drawn.clear();
        this.place();
    }

    /** Have the rows in sight in the page; those that were there before stay the same elements. */
    place() {
        const rows = new Map(
            this.inSight().map((index) => [index, this.drawn.get(index) ?? this.rowAt(index)]),
        );
        const focused = /** @type {HTMLElement | null} */ (document.activeElement);
        const key = focused && this.body.contains(focused) ? focused.dataset.key : undefined;
        this.drawn = rows;
        this.body.replaceChildren(...rows.values());
        if (key === undefined) return;
        const again = this.body.querySelector(`[data-key="${CSS.escape(key)}"]`);
        /** @type {HTMLElement | null} */ (again)?.focus({ preventScroll: true });
    }

    /** @param {number} index */
    rowAt(index) {
        const row = this.render(index);
        row.style.top = `${index * this.rowHeight}px`;
        return row;
    }

    dispose() {
        this.observer.disconnect();
        removeEventListener("pointerup", this.release);
        removeEventListener("pointercancel", this.release);
    }
}
