/** The page's frame: which view is shown, the live mark, dark or light. */

import { byId, h, replace } from "./dom.js";
import { read } from "./host.js";
import { connect } from "./instances_store.js";
import { showEntities } from "./entities_view.js";
import { showFunctions, showQueue } from "./functions_view.js";
import { showInstance } from "./instance_view.js";
import { showInstances } from "./instances_view.js";
import { showMap, showMaps } from "./maps_view.js";

/** @typedef {import("./types").Dispose} Dispose */

/** `within`: the view among whose links it is. @type {Record<string, {title: string, show: (main: HTMLElement, id: string) => Dispose, within?: string}>} */
const VIEWS = {
    instances: {
        title: "Instances",
        show: (main, id) => (id ? showInstance(main, id) : showInstances(main)),
    },
    maps: { title: "Maps", show: (main, id) => (id ? showMap(main, id) : showMaps(main)) },
    entities: { title: "Entities", show: showEntities },
    functions: { title: "Functions", show: showFunctions },
    queues: { title: "Queues", show: showQueue, within: "functions" },
};

/** @type {Dispose | undefined} */
let dispose;

function showView() {
    const [, name = "", encoded = ""] = location.hash.split("/");
    const chosen = Object.hasOwn(VIEWS, name) ? name : "instances";
    const id = decoded(encoded);
    const view = /** @type {(typeof VIEWS)[string]} */ (VIEWS[chosen]);
    const current = view.within ?? chosen;
    dispose?.();
    replace(
        byId("views"),
        Object.entries(VIEWS)
            .filter(([, { within }]) => !within)
            .map(([each, { title }]) =>
                h("a", { href: `#/${each}`, "aria-current": each === current && "page" }, title),
            ),
    );
    const main = byId("main");
    main.className = `view-${chosen}${id ? "-one" : ""}`;
    replace(main);
    document.title = `${id || view.title} · dfhost`;
    dispose = view.show(main, id);
    scrollTo(0, 0);
}

/** An id out of the hash; what somebody has typed there need not be encoded. @param {string} text */
function decoded(text) {
    try {
        return decodeURIComponent(text);
    } catch {
        return text;
    }
}

/** The link that skips the head of the page: its hash would name another view. @param {Event} event */
function skipToContent(event) {
    event.preventDefault();
    byId("main").focus();
}

/** Auto, light, dark: the next one at each click; kept for this browser. */
function offerThemes() {
    const THEMES = ["auto", "light", "dark"];
    const button = byId("theme");
    let theme = localStorage.getItem("dfhost-theme") ?? "auto";
    const apply = () => {
        document.documentElement.dataset.theme = theme;
        button.textContent = { auto: "◐", light: "☀", dark: "☾" }[theme] ?? "◐";
        button.setAttribute("aria-label", `Theme: ${theme}`);
        button.title = `Theme: ${theme}`;
    };
    button.addEventListener("click", () => {
        theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length] ?? "auto";
        localStorage.setItem("dfhost-theme", theme);
        apply();
    });
    apply();
}

offerThemes();
byId("skip").addEventListener("click", skipToContent);
connect();
addEventListener("hashchange", showView);
showView();
read("hub").then(
    ({ app, hub }) => {
        byId("app-name").textContent = app;
        byId("app-name").title = `Task hub ${hub}`;
    },
    () => {}, // the host is away, and the page says so
);
