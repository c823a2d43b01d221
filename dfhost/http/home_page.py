"""The page at ``/``: what the app has. A browser gets links; whatever it cannot open stands as a command or name."""

from __future__ import annotations

import html
from collections.abc import Iterable

from dfhost.dashboard.dashboard import PATH as DASHBOARD
from dfhost.http.function_routes import Route, RouteTable
from dfhost.management.urls import WEBHOOKS_PATH
from dfhost.runner.app_runner import HttpReply
from dfhost.runner.functions import AppInfo, FunctionInfo
from dfhost.settings.app_settings import shown_resolved


def home_page(app: AppInfo, routes: RouteTable[FunctionInfo], origin: str, has_dashboard: bool) -> HttpReply:
    """`origin`: scheme and host as the browser used them."""
    sections = {
        "HTTP": [_http_entry(route, origin) for route in _declared(app, routes)],
        "Orchestrators": _escaped(app.orchestrators.names),
        "Activities": _escaped(app.activities.names),
        "Entities": _escaped(app.entities.names),
        "Timers": _escaped(
            f"{each.name} ({shown_resolved(each.trigger.get('schedule'))})" for each in app.timers
        ),
        "Queues": _escaped(
            f"{each.name} ({shown_resolved(each.trigger.get('queueName'))})" for each in app.queue_functions
        ),
        "Other triggers, not polled": _escaped(f"{each.name} ({each.kind})" for each in app.others),
    }
    lists = "".join(
        f"<h2>{title}</h2><ul><li>{'<li>'.join(entries)}</ul>"
        for title, entries in sections.items()
        if entries
    )
    look = f'<link rel="stylesheet" href="{DASHBOARD}/dashboard.css">' if has_dashboard else ""
    dashboard = f'<p><a class="button primary" href="{DASHBOARD}">Dashboard</a></p>' if has_dashboard else ""
    page = (
        "<!doctype html><html lang=en><meta charset=utf-8><title>dfhost</title>"
        f'<meta name=viewport content="width=device-width, initial-scale=1">{look}<main class=start>'
        f"<h1>{html.escape(app.root.name)}</h1>"
        "<p>This function app runs on dfhost, the local durable host for Python.</p>"
        f'{dashboard}{lists}<p><a href="{WEBHOOKS_PATH}/instances">Instances</a> · '
        '<a href="/admin/host/status">Status</a></p>\n'
    )
    return HttpReply(200, [("Content-Type", "text/html")], page.encode())


def _declared(app: AppInfo, routes: RouteTable[FunctionInfo]) -> list[Route[FunctionInfo]]:
    """The routes in the order in which the app declares its functions."""
    by_name = {route.name: route for route in routes.routes}
    return [by_name[function.name] for function in app.http_functions if function.name in by_name]


def _http_entry(route: Route[FunctionInfo], origin: str) -> str:
    url, methods = f"/{route.template}", sorted(route.methods or ())
    address, name = html.escape(origin + url), html.escape(route.name)
    if methods and "GET" not in methods:
        return f"<code>curl -X {methods[0]} '{address}'</code> {name}"
    if "{" in url:
        return f"<code>{address}</code> {name}"
    return f'<code><a href="{html.escape(url)}">{address}</a></code> {name}'


def _escaped(names: Iterable[str]) -> list[str]:
    return [html.escape(name) for name in names]
