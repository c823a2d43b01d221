/** When instances were created: bars over time, stacked by status. Dragging over them chooses a time. */

import { h, replace, svg } from "./dom.js";
import { clock, counted } from "./format.js";

const BARS = 60;
const HEIGHT = 56;
const ORDER = ["Failed", "Terminated", "Suspended", "Pending", "Running", "Completed"];

export class Histogram {
    /** @param {(range: [number, number] | null) => void} onrange */
    constructor(onrange) {
        this.onrange = onrange;
        this.from = 0;
        this.width = 1; // of a bar, in milliseconds
        this.chart = /** @type {SVGSVGElement} */ (
            svg("svg", {
                class: "histogram",
                viewBox: `0 0 ${BARS * 10} ${HEIGHT}`,
                preserveAspectRatio: "none",
                role: "img",
            })
        );
        this.axis = h("div", { class: "histogram-axis" });
        this.element = h("div", { class: "histogram-box" }, this.chart, this.axis);
        /** @type {number | null} */
        let dragFrom = null;
        const place = (/** @type {PointerEvent} */ event) => {
            const box = this.chart.getBoundingClientRect();
            return Math.min(
                BARS - 1,
                Math.max(0, Math.floor(((event.clientX - box.left) / box.width) * BARS)),
            );
        };
        this.chart.addEventListener("pointerdown", (event) => {
            dragFrom = place(event);
            this.chart.setPointerCapture(event.pointerId);
        });
        this.chart.addEventListener("pointerup", (event) => {
            if (dragFrom === null) return;
            const first = Math.min(dragFrom, place(event));
            const last = Math.max(dragFrom, place(event));
            dragFrom = null;
            this.onrange([this.from + first * this.width, this.from + (last + 1) * this.width]);
        });
    }

    /** @param {{at: number, status: string}[]} created @param {[number, number] | null} range the time that is chosen */
    draw(created, range) {
        let from = Infinity;
        let to = -Infinity;
        for (const { at } of created) {
            if (at < from) from = at;
            if (at > to) to = at;
        }
        this.element.hidden = created.length < 2;
        if (created.length < 2) return;
        const span = Math.max(to - from, 1000);
        this.from = from;
        this.width = (span + 1) / BARS;
        /** @type {Map<string, number>[]} */
        const bars = Array.from({ length: BARS }, () => new Map());
        for (const { at, status } of created) {
            const bar = bars[Math.min(BARS - 1, Math.floor((at - from) / this.width))];
            bar?.set(status, (bar.get(status) ?? 0) + 1);
        }
        const highest = Math.max(
            ...bars.map((bar) => [...bar.values()].reduce((sum, each) => sum + each, 0)),
        );
        const shapes = bars.flatMap((bar, index) => {
            let y = HEIGHT;
            const isOut =
                range &&
                (from + (index + 1) * this.width <= range[0] || from + index * this.width >= range[1]);
            return ORDER.filter((status) => bar.has(status)).map((status) => {
                const height = Math.max(1.5, ((bar.get(status) ?? 0) / highest) * (HEIGHT - 2));
                y -= height;
                return svg("rect", {
                    x: index * 10 + 1,
                    y,
                    width: 8,
                    height,
                    "data-status": status,
                    class: isOut ? "out" : null,
                });
            });
        });
        replace(this.chart, shapes);
        this.chart.setAttribute(
            "aria-label",
            `${counted(created.length, "instance")} created from ${clock(from)} to ${clock(to)}`,
        );
        replace(
            this.axis,
            h("span", null, clock(from)),
            h("span", { class: "muted" }, "created · drag to choose a time"),
            h("span", null, clock(to)),
        );
    }
}
