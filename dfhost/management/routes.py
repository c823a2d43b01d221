"""Every route of the management API, in one table.

The host mounts the table twice: under ``/runtime/webhooks/durabletask`` for everyone, and under ``/durabletask/``
for the SDK's durable client. In the extension both paths lead to one HttpApiHandler, too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from dfhost.did_you_mean import nearest
from dfhost.management import entities, instances
from dfhost.management.request import ManagementRequest
from dfhost.management.responses import ManagementResponse
from dfhost.task_hub import TaskHub

# Takes the task hub, the request, and one text for each parameter in the path.
Handler = Callable[..., Awaitable[ManagementResponse]]

ANY_METHOD = "GET PUT POST DELETE OPTIONS"  # what the Functions host lets through


async def make_primary(hub: TaskHub, request: ManagementRequest) -> ManagementResponse:
    """There is one host, and it is the primary one."""
    return ManagementResponse(200)


#: Methods, path below the mount (its literals ignore case), handler.
ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("POST", "orchestrators/{name}", instances.start),
    ("POST", "orchestrators/{name}/{instanceId}", instances.start),
    ("GET", "instances", instances.list_instances),
    ("DELETE", "instances", instances.purge_many),
    ("GET", "instances/{instanceId}", instances.get_status),
    ("DELETE", "instances/{instanceId}", instances.purge),
    ("POST", "instances/{instanceId}/raiseEvent/{eventName}", instances.raise_event),
    ("POST", "instances/{instanceId}/suspend", instances.suspend),
    ("POST", "instances/{instanceId}/resume", instances.resume),
    ("POST", "instances/{instanceId}/terminate", instances.terminate),
    ("POST", "instances/{instanceId}/rewind", instances.rewind),
    ("POST", "instances/{instanceId}/restart", instances.restart),
    ("GET", "entities", entities.list_entities),
    ("GET", "entities/{name}", entities.list_entities),
    ("GET", "entities/{name}/{key}", entities.get_state),
    ("POST DELETE", "entities", entities.signal),
    ("POST DELETE", "entities/{name}", entities.signal),
    ("POST DELETE", "entities/{name}/{key}", entities.signal),
    (ANY_METHOD, "makePrimary", make_primary),
)


def find_route(method: str, segments: list[str]) -> tuple[Handler, list[str]] | None:
    """The handler for a path, and the values of the path's parameters; None if no route fits."""
    for path, handler in _INDEX.get((method, segments[0].lower(), len(segments)), ()):
        values = []
        for part, segment in zip(path, segments, strict=True):
            if part[0] == "{":
                values.append(segment)
            elif part != segment.lower():
                break
        else:
            return handler, values
    return None


def why_no_route(segments: list[str]) -> str:
    """Why `find_route` returns None for a path, in words."""
    methods: set[str] = set()
    misspelt: dict[str, list[str]] = {}  # a segment -> what the routes have there that fit otherwise
    longer = []
    for taken, route, _ in ROUTES:
        parts = route.split("/")
        pairs = zip(parts, segments, strict=False)
        wrong = [(part, given) for part, given in pairs if part[0] != "{" and part.lower() != given.lower()]
        if len(parts) == len(segments) and not wrong:
            methods.update(taken.split())
        elif len(parts) == len(segments) and len(wrong) == 1:
            misspelt.setdefault(wrong[0][1], []).append(wrong[0][0])
        elif len(parts) > len(segments) > 0 and not wrong:
            longer.append(route)
    if methods:
        return f"this path takes {' and '.join(sorted(methods))} only"
    for given, names in misspelt.items():
        if found := nearest(given, names):
            return f"did you mean '{found[0]}'?"
    if segments[:1] == ["orchestrators"] and len(segments) > 3:
        return "there is no such path; an instance id cannot contain '/'"
    return "there is no such path" + (f", but {longer[0]}" if longer else "")


# (method, first segment, number of segments) -> the paths that remain, as segments in lower case
_INDEX: dict[tuple[str, str, int], list[tuple[list[str], Handler]]] = {}
for _methods, _path, _handler in ROUTES:
    _segments = _path.lower().split("/")
    for _method in _methods.split():
        _INDEX.setdefault((_method, _segments[0], len(_segments)), []).append((_segments, _handler))
