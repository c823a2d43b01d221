"""The list of an app's functions, as `func start` prints it: those with a URL first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from types import MappingProxyType

from dfhost.cli.local_times import local_time
from dfhost.cli.style import Style
from dfhost.did_you_mean import nearest
from dfhost.runner.functions import AppInfo, FunctionInfo
from dfhost.settings.app_settings import shown_resolved
from dfhost.timestamps import timestamp

_RUN_BY_DFHOST = {"http", "orchestrator", "activity", "entity", "timer", "queue"}


def function_listing(
    app: AppInfo,
    url: str,
    route_prefix: str,
    task_hub_place: str,
    style: Style,
    next_runs: Mapping[str, datetime] = MappingProxyType({}),
) -> str:
    """Text ready to print. `url`: http://localhost:7071. `task_hub_place`: its file, or that it is in memory.

    `next_runs`: when a timer function runs next, by its name.
    """
    lines = [f"Task hub in {task_hub_place}", "", style("Functions:", "bold"), ""]
    http = [_http(function, url, route_prefix, style) for function in app.http_functions]
    others = [_other(each, style, next_runs.get(each.name)) for each in app.functions if each.kind != "http"]
    lines += [*http, *([""] if http and others else []), *others]
    if not http and not others:
        lines.append("    none: no function is registered with the app")
    left_out = [f"Function {each.name} is disabled." for each in app.disabled]
    left_out += [
        f'Function {each.name} is not in the list "functions" of host.json.' for each in app.excluded
    ]
    lines += ["", *left_out, ""]
    return "\n".join(lines)


def route_listing(app: AppInfo, route_prefix: str) -> Iterator[str]:
    """ "POST /api/start-fanout", one for each HTTP function."""
    for function in app.http_functions:
        methods = ", ".join(_methods(function)) or "any method"
        yield f"{methods} {_path(function, route_prefix)}"


def similar_route(app: AppInfo, route_prefix: str, path: str) -> str:
    """ "Did you mean /api/resize?", "" if no route is near, or if it is the path itself."""
    prefix = f"/{route_prefix}/" if route_prefix else "/"
    paths = {_path(each, route_prefix).removeprefix(prefix) for each in app.http_functions}
    found = nearest(path.removeprefix(prefix), sorted(paths))
    return f"Did you mean {prefix}{found[0]}?" if found and prefix + found[0] != path else ""


def _http(function: FunctionInfo, url: str, route_prefix: str, style: Style) -> str:
    methods = ",".join(_methods(function))
    address = style(f"{url}{_path(function, route_prefix)}", "green")
    return f"    {style(function.name, 'yellow')}: {f'[{methods}] ' if methods else ''}{address}"


def _other(function: FunctionInfo, style: Style, next_run: datetime | None) -> str:
    line = f"    {style(function.name, 'yellow')}: {function.trigger['type']}"
    if function.kind == "timer":
        line += f" ({shown_resolved(function.trigger.get('schedule'))})"
        line += f", next run {local_time(timestamp(next_run))}" if next_run else ""
    elif function.kind == "queue":
        line += f" ({shown_resolved(function.trigger.get('queueName'))})"
    if function.durable_name != function.name:
        line += f", called '{function.durable_name}'"
    if function.kind not in _RUN_BY_DFHOST:
        line += ", not polled here"
    return line


def _methods(function: FunctionInfo) -> list[str]:
    return [str(method).upper() for method in function.trigger.get("methods") or ()]


def _path(function: FunctionInfo, route_prefix: str) -> str:
    route = str(function.trigger.get("route") or function.name).strip("/")
    return f"/{route_prefix}/{route}" if route_prefix else f"/{route}"
