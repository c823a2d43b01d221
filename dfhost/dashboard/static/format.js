/** Times, durations, numbers and payloads as people read them. */

const CLOCK = new Intl.DateTimeFormat(undefined, {
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    hour12: false,
});
const DAY = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });

/** Milliseconds since the epoch; NaN for none. @param {string | null | undefined} iso */
export function time(iso) {
    return iso ? Date.parse(iso) : NaN;
}

/** ``14:03:21``, with the day if that is not today. @param {number} at */
export function clock(at) {
    if (!Number.isFinite(at)) return "";
    const moment = new Date(at);
    const today = new Date().toDateString() === moment.toDateString();
    return today ? CLOCK.format(moment) : `${DAY.format(moment)} ${CLOCK.format(moment)}`;
}

/** With milliseconds. @param {number} at */
export function preciseClock(at) {
    return Number.isFinite(at)
        ? `${clock(at)}.${String(new Date(at).getMilliseconds()).padStart(3, "0")}`
        : "";
}

/** ``340 ms``, ``12.4 s``, ``3 min 20 s``, ``2 h 5 min``. @param {number} ms */
export function duration(ms) {
    if (!Number.isFinite(ms)) return "";
    if (ms < 0) ms = 0;
    if (ms < 1000) return `${Math.round(ms)} ms`;
    if (ms < 60_000) return `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`;
    const [days, hours, minutes, seconds] = [
        ms / 86_400_000,
        (ms / 3_600_000) % 24,
        (ms / 60_000) % 60,
        (ms / 1000) % 60,
    ].map(Math.floor);
    if (days) return `${days} d ${hours} h`;
    if (hours) return `${hours} h ${minutes} min`;
    return `${minutes} min ${seconds} s`;
}

/** ``5 s ago``. @param {number} at */
export function ago(at) {
    const ms = Date.now() - at;
    return ms < 1000
        ? "just now"
        : `${duration(ms < 60_000 ? Math.floor(ms / 1000) * 1000 : ms).replace(/\.\d+/, "")} ago`;
}

/** ``1,234``. @param {number} value */
export function count(value) {
    return value.toLocaleString("en");
}

/** ``1 instance``, ``3 instances``. @param {number} value @param {string} one */
export function counted(value, one) {
    return `${count(value)} ${one}${value === 1 ? "" : "s"}`;
}

const TEXTS = /"(?:[^"\\]|\\.)*"/g;

/** JSON laid out over several lines; as it is what is no JSON, or has a number that JavaScript rounds. @param {string} text */
export function pretty(text) {
    if (/\d{16}/.test(text.replace(TEXTS, ""))) return text;
    try {
        const value = JSON.parse(text);
        return typeof value === "string" ? value : JSON.stringify(value, null, 2);
    } catch {
        return text;
    }
}

/**
 * A payload with the objects of the app's classes as ``Order {"id": 1}``; what was cut stays as it is.
 * `dfhost.printable.readable_payload` does the same.
 * @param {string} text @param {(data: string) => string} [layOut] @returns {string}
 */
export function withObjects(text, layOut = (data) => data) {
    const head = /\{\s*"__class__":\s*"([^"\\]*)",\s*"__module__":\s*"[^"\\]*",\s*"__data__":\s*/g;
    let shown = "";
    let end = 0;
    for (let found = head.exec(text); found; found = head.exec(text)) {
        const start = head.lastIndex;
        const stop = valueEnd(text, start);
        const closing = /^\s*\}/.exec(text.slice(stop));
        if (stop < 0 || !closing) continue;
        const data = text.slice(start, stop);
        shown += text.slice(end, found.index);
        shown += `${found[1]} ${withObjects(data.startsWith('"') ? layOut(JSON.parse(data)) : data, layOut)}`;
        end = head.lastIndex = stop + closing[0].length;
    }
    return shown + text.slice(end);
}

/** Where the JSON value ends that begins at `start`; -1 if it was cut. @param {string} text @param {number} start */
function valueEnd(text, start) {
    const token = /"[^"\\]*(?:\\.[^"\\]*)*"|[[\]{}]|[^\s"[\]{},:]+/g;
    token.lastIndex = start;
    let depth = 0;
    for (let found = token.exec(text); found; found = token.exec(text)) {
        if ("[{".includes(found[0])) depth += 1;
        if ("]}".includes(found[0])) depth -= 1;
        if (!depth) return token.lastIndex;
    }
    return -1;
}

/** ``661c245e:90bb082e.3``: a text with its generated ids cut to their first eight digits. @param {string} text */
export function shortIds(text) {
    return text.replace(
        /\b([0-9a-f]{8})(?:[0-9a-f]{24}|(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?![0-9a-f])/g,
        "$1",
    );
}

/** A sentence of the host with its ISO times as clock times. @param {string} sentence */
export function readable(sentence) {
    return sentence.replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, (iso) => clock(time(iso)));
}
