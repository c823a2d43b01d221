/** The page's frame: which view is shown, the live mark, dark or light. */

import { byId, h, replace } from "./dom.js";
import { read } from "./host.js";
import { connect } from "./instances_store.js";
import { showEntities } from "./entities_view.js";
import { showFunctions } from "./functions_view.js";
import { showInstance } from "./instance_view.js";
import { showInstances } from "./instances_view.js";
import { showMap, showMaps } from "./maps_view.js";

/** @typedef {import("./types").Dispose} Dispose */

/** @type {Record<string, {title: string, show: (main: HTMLElement, id: string) => Dispose}>} */
const VIEWS = {
    instances: {
        title: "Instances",
        show: (main, id) => (id ? showInstance(main, id) : showInstances(main)),
    },
    maps: { title: "Maps", show: (main, id) => (id ? showMap(main, id) : showMaps(main)) },
    entities: { title: "Entities", show: showEntities },
    functions: { title: "Functions", show: showFunctions },
};

/** @type {Dispose | undefined} */
let dispose;

function showView() {
    const [, name = "", id = ""] = location.hash.split("/");
    const chosen = name in VIEWS ? name : "instances";
    const view = /** @type {(typeof VIEWS)[string]} */ (VIEWS[chosen]);
    dispose?.();
    replace(
        byId("views"),
        Object.entries(VIEWS).map(([each, { title }]) =>
            h("a", { href: `#/${each}`, "aria-current": each === chosen && "page" }, title),
        ),
    );
    const main = byId("main");
    main.className = `view-${chosen}${id ? "-one" : ""}`;
    replace(main);
    document.title = `${id ? decodeURIComponent(id) : view.title} · dfhost`;
    dispose = view.show(main, decodeURIComponent(id));
    scrollTo(0, 0);
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
