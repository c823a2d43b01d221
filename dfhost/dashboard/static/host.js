/** Everything that goes to the host and comes from it. */

import { byId, toast } from "./dom.js";

/** @typedef {import("./types").ActionReport} ActionReport */

let token = document.querySelector("meta[name=dashboard-token]")?.getAttribute("content") ?? "";

/** @param {string} path @param {Record<string, string | number>} [query] */
function address(path, query) {
    const values = new URLSearchParams(
        Object.entries(query ?? {}).map(([name, value]) => [name, String(value)]),
    );
    return `/dashboard/api/${path}${query ? `?${values}` : ""}`;
}

/** @param {string} path @param {Record<string, string | number>} [query] @returns {Promise<any>} */
export async function read(path, query) {
    const response = await fetch(address(path, query));
    if (!response.ok) throw new Error((await response.json()).error);
    return response.json();
}

/** A whole payload as text. @param {Record<string, string | number>} query */
export async function readPayload(query) {
    const response = await fetch(address("payload", query));
    return response.ok ? response.text() : "";
}

/**
 * Have the host do something; what it refuses is shown. Null if it could not be asked at all.
 * @param {Record<string, unknown>} action
 * @returns {Promise<ActionReport | null>}
 */
export async function act(action) {
    const send = () =>
        fetch(address("actions"), {
            method: "POST",
            headers: { "Content-Type": "application/json", "X-Dashboard-Token": token },
            body: JSON.stringify(action),
        });
    try {
        let response = await send();
        if (response.status === 403) {
            // The host was started anew, and its page has another token.
            const page = await (await fetch("/dashboard")).text();
            token = /name="dashboard-token" content="([^"]+)"/.exec(page)?.[1] ?? "";
            response = await send();
        }
        const report = await response.json();
        if (!response.ok) throw new Error(report.error);
        for (const each of report.refused.slice(0, 3)) toast(`${each.id}: ${each.why}`, "refused");
        if (report.refused.length > 3) toast(`${report.refused.length - 3} more were refused.`, "refused");
        return report;
    } catch (error) {
        toast(
            error instanceof TypeError
                ? "The host does not answer."
                : String(/** @type {Error} */ (error).message),
            "refused",
        );
        return null;
    }
}

/**
 * Listen to a stream while the page is in sight: a browser has six connections to a host, for all its tabs together.
 * It connects again by itself if the host was away.
 * @param {Record<string, string>} query
 * @param {Record<string, (data: any) => void>} handlers by the name of the message
 * @returns {() => void} stops listening
 */
export function listen(query, handlers) {
    /** @type {EventSource | null} */
    let source = null;
    function connectIfSeen() {
        if (document.hidden) {
            source?.close();
            source = null;
        } else if (!source) {
            source = new EventSource(address("stream", query));
            source.onopen = () => showLive(true);
            source.onerror = () => showLive(false);
            for (const [name, handle] of Object.entries(handlers)) {
                source.addEventListener(name, (event) => handle(JSON.parse(event.data)));
            }
        }
    }
    connectIfSeen();
    document.addEventListener("visibilitychange", connectIfSeen);
    return () => {
        document.removeEventListener("visibilitychange", connectIfSeen);
        source?.close();
    };
}

/** @param {boolean} isLive */
function showLive(isLive) {
    const shown = byId("live");
    shown.dataset.live = String(isLive);
    shown.textContent = isLive ? "Live" : "Host is away";
}
