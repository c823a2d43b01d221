/** The tasks of an instance over time, drawn: fan-outs folded, attempts and children below. `gantt_lines` has what a line says. */

import { button, h, oncePerFrame, replace } from "./dom.js";
import { clock, duration, shortIds, time } from "./format.js";
import { barsOf, fanOutLine, instanceLine, noteOf } from "./gantt_lines.js";
import { read } from "./host.js";
import { VirtualList } from "./virtual_list.js";

/** @typedef {import("./types").Task} Task @typedef {import("./types").Timeline} Timeline */
/** @typedef {import("./gantt_lines").Line} Line */

const ROW_HEIGHT = 30;
const FOLDED_FROM = 9; // calls of a fan-out; fewer are shown one by one
const TICK_PADDING = 8; // pixels
const TICK_LETTER = 7; // likewise, at most
const FAILURES_SHOWN = 5; // of a folded fan-out
const ICONS = /** @type {Record<string, string>} */ ({
    activity: "ƒ",
    subOrchestration: "↳",
    timer: "◷",
    event: "✉",
    entityCall: "◆",
    entitySignal: "◇",
    httpCall: "⇄",
    suspension: "‖",
});

export class Gantt {
    /** @param {(task: Task, instanceId: string) => void} onselect */
    constructor(onselect) {
        this.onselect = onselect;
        /** @type {Timeline | null} */
        this.timeline = null;
        /** @type {Map<string, Timeline>} the timelines of children that are unfolded */
        this.children = new Map();
        /** @type {Set<string>} */
        this.unfolded = new Set();
        /** @type {Line[]} */
        this.lines = [];
        this.zoom = 1;
        this.selected = "";
        this.from = 0;
        this.to = 1;
        this.axis = h(
            "div",
            { class: "gantt-axis", role: "row" },
            // Until the first timeline has come. A row must not be empty.
            h("span", { class: "gantt-label", role: "columnheader", "aria-label": "Task" }),
            h("span", { class: "gantt-track", role: "columnheader", "aria-label": "Time" }),
        );
        this.scroller = h(
            "div",
            { class: "gantt", role: "treegrid", "aria-label": "Timeline", tabindex: "0" },
            this.axis,
        );
        this.list = new VirtualList({
            scroller: this.scroller,
            rowHeight: ROW_HEIGHT,
            render: (index) => this.line(index),
        });
        this.legend = h(
            "div",
            { class: "legend" },
            ["queued", "running", "completed", "failed", "waiting"].map((kind) =>
                h("span", null, h("i", { class: `key ${kind}` }), kind),
            ),
        );
        this.element = h(
            "section",
            { class: "card", "aria-label": "Timeline" },
            h(
                "div",
                { class: "card-head" },
                h("h2", null, "Timeline"),
                this.legend,
                h(
                    "div",
                    { class: "button-group", role: "group", "aria-label": "Zoom" },
                    button("−", () => this.setZoom(this.zoom / 1.6), {
                        "aria-label": "Zoom out",
                        class: "button small",
                    }),
                    button("Fit", () => this.setZoom(1), { class: "button small" }),
                    button("+", () => this.setZoom(this.zoom * 1.6), {
                        "aria-label": "Zoom in",
                        class: "button small",
                    }),
                ),
            ),
            this.scroller,
        );
        this.scroller.addEventListener(
            "wheel",
            (event) => {
                if (!event.ctrlKey && !event.metaKey) return;
                event.preventDefault();
                this.setZoom(this.zoom * (event.deltaY < 0 ? 1.25 : 0.8), event.clientX);
            },
            { passive: false },
        );
        this.scroller.addEventListener("scroll", () => this.drawAxis(), { passive: true });
        this.scroller.addEventListener("keydown", (event) => this.onkey(event));
        this.redraw = oncePerFrame(() => this.draw());
        this.clockwork = setInterval(() => {
            if (this.timeline && !this.timeline.endedTime) this.redraw();
        }, 500);
    }

    /** @param {Timeline} timeline */
    show(timeline) {
        this.timeline = timeline;
        for (const id of this.children.keys()) this.loadChild(id);
        this.redraw();
    }

    dispose() {
        clearInterval(this.clockwork);
        this.list.dispose();
    }

    /** @param {number} zoom @param {number} [around] where the pointer is, in pixels of the window */
    setZoom(zoom, around) {
        const track = () => this.list.body.scrollWidth - this.labelWidth();
        const box = this.scroller.getBoundingClientRect();
        const offset =
            (around ?? box.left + this.labelWidth() + (box.width - this.labelWidth()) / 2) -
            box.left -
            this.labelWidth();
        const share = (this.scroller.scrollLeft + offset) / track();
        this.zoom = Math.min(2000, Math.max(1, zoom));
        this.draw();
        this.scroller.scrollLeft = share * track() - offset;
    }

    labelWidth() {
        return parseFloat(getComputedStyle(this.scroller).getPropertyValue("--label")) || 280;
    }

    /** @param {KeyboardEvent} event */
    onkey(event) {
        if (event.key === "+" || event.key === "=") this.setZoom(this.zoom * 1.6);
        else if (event.key === "-") this.setZoom(this.zoom / 1.6);
        else if (event.key === "0") this.setZoom(1);
        else if (event.key === "ArrowDown" || event.key === "ArrowUp")
            this.step(event.key === "ArrowDown" ? 1 : -1);
        else return;
        event.preventDefault();
    }

    /** @param {number} by */
    step(by) {
        const now = this.lines.findIndex((line) => line.key === this.selected);
        const next = this.lines[Math.min(this.lines.length - 1, Math.max(0, now + by))];
        if (!next) return;
        const top = this.lines.indexOf(next) * ROW_HEIGHT;
        if (top < this.scroller.scrollTop) this.scroller.scrollTop = top;
        if (top > this.scroller.scrollTop + this.scroller.clientHeight - 3 * ROW_HEIGHT)
            this.scroller.scrollTop = top - this.scroller.clientHeight + 3 * ROW_HEIGHT;
        this.choose(next);
    }

    /** @param {Line} line */
    choose(line) {
        this.selected = line.key;
        if (line.task) this.onselect(line.task, line.path);
        this.redraw();
    }

    // -- lines ---------------------------------------------------------------------------------------------------

    draw() {
        const timeline = this.timeline;
        if (!timeline) return;
        const now = timeline.endedTime ? time(timeline.endedTime) : Date.now();
        this.from = time(timeline.createdTime);
        this.to = Math.max(now, this.from + 1);
        this.lines = [instanceLine(timeline, now), ...this.taskLines(timeline, 1, "", now)];
        for (const line of this.lines)
            for (const bar of line.bars) this.to = Math.max(this.to, Math.min(bar.to, now));
        this.scroller.style.setProperty("--zoom", String(this.zoom));
        this.drawAxis();
        this.list.update(this.lines.length);
    }

    /** @param {Timeline} timeline @param {number} depth @param {string} path @param {number} now @returns {Line[]} */
    taskLines(timeline, depth, path, now) {
        /** @type {Line[]} */
        const lines = [];
        /** @type {Set<number>} */
        const folded = new Set();
        timeline.tasks.forEach((task, index) => {
            if (task.fanOut === undefined || (task.fanOutSize ?? 0) < FOLDED_FROM) {
                lines.push(...this.linesOf(task, `${path}/${index}`, depth, timeline.instanceId, now));
                return;
            }
            if (folded.has(task.fanOut)) return;
            folded.add(task.fanOut);
            const members = timeline.tasks
                .map((each, place) => ({ each, place }))
                .filter(({ each }) => each.fanOut === task.fanOut);
            const key = `${path}/fan-out ${task.fanOut}`;
            const isOpen = this.unfolded.has(key);
            lines.push({
                ...fanOutLine(
                    members.map(({ each }) => each),
                    now,
                ),
                key,
                depth,
                isOpen,
                path: timeline.instanceId,
            });
            const shown = isOpen
                ? members
                : members.filter(({ each }) => each.state === "failed").slice(0, FAILURES_SHOWN);
            for (const { each, place } of shown)
                lines.push(...this.linesOf(each, `${path}/${place}`, depth + 1, timeline.instanceId, now));
        });
        return lines;
    }

    /** @param {Task} task @param {string} key @param {number} depth @param {string} path @param {number} now @returns {Line[]} */
    linesOf(task, key, depth, path, now) {
        const hasChild = task.kind === "subOrchestration" && task.instanceId && task.childStatus;
        const hasMore = hasChild || (task.attempts?.length ?? 0) > 1;
        const isOpen = hasMore ? this.unfolded.has(key) : undefined;
        /** @type {Line[]} */
        const lines = [
            {
                key,
                depth,
                label: task.label || task.kind,
                state: task.state,
                note: noteOf(task),
                bars: barsOf(task, now),
                task,
                isOpen,
                path,
            },
        ];
        if (!isOpen) return lines;
        for (const attempt of (task.attempts?.length ?? 0) > 1 ? (task.attempts ?? []) : []) {
            lines.push({
                key: `${key}/attempt ${attempt.attempt}`,
                depth: depth + 1,
                label: `attempt ${attempt.attempt}`,
                state: attempt.state,
                note: attempt.error ?? "",
                path,
                bars: barsOf({ ...task, ...attempt, attempts: undefined }, now),
                task,
            });
        }
        if (hasChild) {
            const child = this.children.get(/** @type {string} */ (task.instanceId));
            if (child) lines.push(...this.taskLines(child, depth + 1, key, now));
            else this.loadChild(/** @type {string} */ (task.instanceId));
        }
        return lines;
    }

    /** @param {string} id */
    async loadChild(id) {
        const known = this.children.get(id);
        if (known?.endedTime) return;
        const view = await read("instance", { instance: id }).catch(() => null);
        if (view) this.children.set(id, view.timeline);
        this.redraw();
    }

    /** @param {Line} line */
    toggle(line) {
        if (!this.unfolded.delete(line.key)) this.unfolded.add(line.key);
        this.draw();
    }

    // -- elements ------------------------------------------------------------------------------------------------

    /** @param {number} at */
    share(at) {
        return ((at - this.from) / (this.to - this.from)) * 100;
    }

    drawAxis() {
        const width = Math.max(1, this.scroller.clientWidth - this.labelWidth()) * this.zoom;
        const step = niceStep(((this.to - this.from) * 90) / width);
        const ticks = [];
        const [left, right] = [
            this.scroller.scrollLeft / width,
            (this.scroller.scrollLeft + this.scroller.clientWidth) / width,
        ];
        const extent = this.to - this.from;
        const first = Math.max(0, Math.floor((left * (this.to - this.from)) / step) - 2);
        for (
            let at = first * step;
            at <= Math.min(this.to - this.from, right * (this.to - this.from) + 2 * step);
            at += step
        ) {
            const label = at === 0 ? "0" : duration(at).replace(/\.0+ /, " ");
            if ((1 - at / extent) * width < TICK_PADDING + label.length * TICK_LETTER) break; // it would be cut
            ticks.push(h("span", { class: "tick", style: { left: `${(at / extent) * 100}%` } }, label));
        }
        replace(
            this.axis,
            h(
                "span",
                { class: "gantt-label", role: "columnheader" },
                h("span", { class: "muted" }, `from ${clock(this.from)}`),
            ),
            h("span", { class: "gantt-track", role: "columnheader", "aria-label": "Time" }, ticks),
        );
    }

    /** @param {number} index */
    line(index) {
        const line = /** @type {Line} */ (this.lines[index]);
        const fold =
            line.isOpen === undefined
                ? h("span", { class: "fold" })
                : h(
                      "button",
                      {
                          type: "button",
                          class: "fold",
                          "aria-label": line.isOpen ? "Fold" : "Unfold",
                          "data-key": `fold ${line.key}`,
                          onclick: (/** @type {Event} */ event) => {
                              event.stopPropagation();
                              this.toggle(line);
                          },
                      },
                      line.isOpen ? "▾" : "▸",
                  );
        return h(
            "div",
            {
                class: "gantt-row",
                role: "row",
                "aria-level": line.depth + 1,
                "aria-expanded": line.isOpen === undefined ? null : String(line.isOpen),
                "data-state": line.state,
                "data-selected": line.key === this.selected,
                onclick: () =>
                    line.task ? this.choose(line) : line.isOpen !== undefined && this.toggle(line),
            },
            h(
                "span",
                {
                    class: "gantt-label",
                    role: "rowheader",
                    title: line.label, // with whole ids
                    style: { paddingLeft: `${line.depth * 16}px` },
                },
                fold,
                h("span", { class: "state-dot", "data-state": line.state }),
                line.task
                    ? h(
                          "button",
                          {
                              type: "button",
                              class: "label-button",
                              "data-key": `label ${line.key}`,
                              onclick: (/** @type {Event} */ event) => {
                                  event.stopPropagation();
                                  this.choose(line);
                              },
                          },
                          h("span", { class: "icon", "aria-hidden": "true" }, ICONS[line.task.kind] ?? ""),
                          shortIds(line.label),
                      )
                    : h("span", { class: "label-text" }, line.label),
            ),
            h(
                "span",
                { class: "gantt-track", role: "gridcell" },
                line.bars.map((bar) => {
                    const left = this.share(bar.from);
                    const width = Math.max(0, this.share(bar.to) - left);
                    return h(
                        "span",
                        {
                            class: `bar ${bar.kind}`,
                            title: bar.title,
                            style: { left: `${left}%`, width: `max(3px, ${width}%)` },
                        },
                        bar.failed ? h("i", { style: { height: `max(3px, ${bar.failed * 100}%)` } }) : null,
                    );
                }),
                noteElement(line, this),
            ),
        );
    }
}

/** What is said of a line: behind its bars, else in the widest, else before them. @param {Line} line @param {Gantt} gantt */
function noteElement(line, gantt) {
    if (!line.note || !line.bars.length) return null;
    const start = gantt.share(Math.min(...line.bars.map((bar) => bar.from)));
    const end = gantt.share(Math.max(...line.bars.map((bar) => bar.to)));
    if (end < 65)
        return h(
            "span",
            { class: "bar-note", style: { left: `${end}%`, maxWidth: `${100 - end}%` } },
            line.note,
        );
    const isOfLast = (line.task?.attempts?.length ?? 0) > 1; // what is said is of the last attempt
    const widest = (isOfLast ? line.bars.slice(-1) : line.bars)
        .filter(({ kind }) => !kind.startsWith("queued"))
        .sort((a, b) => b.to - b.from - (a.to - a.from))[0];
    const width = widest ? gantt.share(widest.to) - gantt.share(widest.from) : 0;
    if (widest && width > 22) {
        const kind = widest.kind.startsWith("waiting") ? "bar-note in-light" : "bar-note in";
        return h(
            "span",
            { class: kind, style: { left: `${gantt.share(widest.from)}%`, maxWidth: `${width}%` } },
            line.note,
        );
    }
    if (start < 8) return null; // there is no room
    return h(
        "span",
        { class: "bar-note", style: { right: `${100 - start}%`, maxWidth: `${start}%` } },
        line.note,
    );
}

/** 1, 2 or 5 times a power of ten, or so many seconds, minutes, hours; at least `wanted` milliseconds. @param {number} wanted */
function niceStep(wanted) {
    const steps = [
        1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 15_000, 30_000, 60_000, 120_000,
        300_000, 600_000, 1_800_000, 3_600_000, 7_200_000, 21_600_000, 43_200_000,
    ];
    return steps.find((step) => step >= wanted) ?? Math.ceil(wanted / 86_400_000) * 86_400_000;
}
