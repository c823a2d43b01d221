/** The functions of the app, as the host lists them under /admin/functions. */

/** @typedef {import("./types").FunctionInfo} FunctionInfo */

/** @type {Promise<FunctionInfo[]> | undefined} */
let known;

/** @returns {Promise<FunctionInfo[]>} */
export function functions() {
    known ??= fetch("/admin/functions").then(
        (response) => (response.ok ? response.json() : []),
        () => {
            forgetFunctions(); // the host is away; the next who asks tries again
            return [];
        },
    );
    return known;
}

/** Read them again: the app may have been reloaded. */
export function forgetFunctions() {
    known = undefined;
}

/** The binding that starts a function. @param {FunctionInfo} info */
export function trigger(info) {
    return (
        info.config.bindings.find((binding) => String(binding.type).toLowerCase().endsWith("trigger")) ?? {
            type: "",
        }
    );
}

/** @param {FunctionInfo} info the name that orchestrators and clients use */
export function durableName(info) {
    const { orchestration, activity, entityName } = trigger(info);
    return String(orchestration || activity || entityName || info.name);
}

export async function orchestratorNames() {
    const all = await functions();
    return all
        .filter((info) => trigger(info).type === "orchestrationTrigger" && !info.isDisabled)
        .map(durableName);
}
