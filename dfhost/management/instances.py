"""The handlers of ``orchestrators/…`` and ``instances/…``: start, read, steer, rewind, restart and purge.

Each handler is one call of the extension's HTTP API over the `TaskHub`. It returns the response, or raises an
error that `responses.error_response` turns into one. Codes and texts: the extension's HttpApiHandler, and
recorded responses.
"""

from __future__ import annotations

import json
from functools import partial

from dfhost.errors import InstanceExists, InstanceNotFound, WrongState
from dfhost.management import history_json, json_text, status_json
from dfhost.management.filters import list_filter, purge_filter
from dfhost.management.json_errors import InvalidJson
from dfhost.management.off_loop import off_loop
from dfhost.management.paging import page_response
from dfhost.management.request import ManagementRequest
from dfhost.management.responses import (
    SOMETHING_WENT_WRONG,
    ManagementResponse,
    RequestRefused,
    failure_response,
    json_response,
    message_response,
)
from dfhost.management.urls import check_status_json
from dfhost.task_hub import TaskHub
from dfhost.task_hub_values import Instance
from dfhost.timeline.timeline_json import timeline_json

_FORM = "application/x-www-form-urlencoded"


# -- starting ------------------------------------------------------------------------------------------------
async def start(
    hub: TaskHub, request: ManagementRequest, name: str, instance_id: str | None = None
) -> ManagementResponse:
    """The body is the input, exactly as posted. No body means no input; any content type but a form's will do."""
    text = None
    if request.body and request.media_type == _FORM:
        # The Functions host reads a form itself, and nothing of it is left for the extension (recorded).
        text = ""
        request.warn(
            f"The input of {name} was sent as {_FORM}, which is what curl -d does. On Azure the body of such a "
            "start is lost, and the orchestration fails; so it does here. Add -H 'Content-Type: application/json'."
        )
    elif request.body:
        text = request.text()
        if text.strip():
            text = await off_loop(len(text), partial(_checked_input, text))
    started = await hub.start(name, text, instance_id, request.query.text("version"))
    return await _check_status_response(hub, request, started)


def _checked_input(text: str) -> str:
    try:
        return json_text.checked(text)
    except InvalidJson as error:
        if error.cut_short is None:
            raise
        # The extension reads inputs with another reader than events: a text that ends too soon is a 500 (recorded).
        sentence = f"Unexpected end when deserializing {error.cut_short}. {error.place}"
        kind = "Newtonsoft.Json.JsonSerializationException"
        raise RequestRefused(failure_response(500, SOMETHING_WENT_WRONG, sentence, kind)) from None


async def restart(hub: TaskHub, request: ManagementRequest, instance_id: str) -> ManagementResponse:
    source = hub.instance(instance_id)
    if source is None:
        message = "InstanceId does not match a valid orchestration instance."
        exception = f"No instance with ID '{instance_id}' was found. (Parameter 'instanceId')"
        raise RequestRefused(failure_response(400, message, exception, "System.ArgumentException"))
    same_id = not request.query.flag("restartWithNewInstanceId", True)
    text = await off_loop(_size(source), lambda: json_text.compact(json_text.embedded(source.input)))
    try:
        started = await hub.restart(instance_id, same_id=same_id, input=text)
    except InstanceExists as error:
        message = "A non-terminal instance with this instance ID already exists."
        kind = "DurableTask.Core.Exceptions.OrchestrationAlreadyExistsException"
        raise RequestRefused(failure_response(409, message, str(error), kind)) from None
    return await _check_status_response(hub, request, started)


async def _check_status_response(
    hub: TaskHub, request: ManagementRequest, instance_id: str
) -> ManagementResponse:
    """The links of a new instance.

    With `timeout` and `pollingInterval` (seconds), its result instead, if the instance ends within `timeout`.
    """
    timeout, interval = request.query.seconds("timeout"), request.query.seconds("pollingInterval")
    if timeout is not None and interval is not None:
        if interval > timeout:
            total, retry = (str(each).removesuffix(".0") for each in (timeout, interval))
            sentence = f"Total timeout {total} should be bigger than retry timeout {retry}"
            raise RequestRefused(message_response(400, sentence))
        instance = await hub.wait_until_ended(instance_id, timeout) if timeout > 0 else None
        if instance is not None and instance.status == "Completed":
            return json_response(200, json_text.embedded(instance.output))
        if instance is not None and instance.has_ended:
            return await _status_response(hub, request, instance, failed=200)
    body, location = check_status_json(instance_id, request.origin, request.hub_name, request.connection)
    return json_response(202, body, Location=location, Retry_After="10")


# -- reading -------------------------------------------------------------------------------------------------
async def get_status(hub: TaskHub, request: ManagementRequest, instance_id: str) -> ManagementResponse:
    if request.query.flag("explain", False):  # dfhost's own: see `inspection/explain.explain`
        explanation = await hub.explain(instance_id)
        if explanation is None:
            return ManagementResponse(404)
        size = len(explanation["waitsFor"]) * 500
        return await off_loop(size, lambda: json_response(200, json_text.encode(explanation)))
    if request.query.flag("timeline", False):  # likewise: see `timeline_json`
        timeline = await hub.timeline(instance_id)
        if timeline is None:
            return ManagementResponse(404)
        limit = request.query.number("limit", 0) or None
        return await off_loop(
            len(timeline.tasks) * 500,
            lambda: json_response(200, json_text.encode(timeline_json(timeline, limit))),
        )
    if request.query.flag("rewindWarning", False):  # likewise
        found = _existing(hub, instance_id)
        answer = {"instanceId": found.instance_id, "name": found.name, "runtimeStatus": found.status}
        warning = await hub.rewind_warning(instance_id)
        return json_response(200, json_text.encode(answer | {"rewindWarning": warning}))
    failed = 500 if request.query.flag("returnInternalServerErrorOnFailure", False) else 200
    return await _status_response(hub, request, _existing(hub, instance_id), failed)


async def _status_response(
    hub: TaskHub, request: ManagementRequest, instance: Instance, failed: int
) -> ManagementResponse:
    """`failed`: the status code for an instance that has failed."""
    query = request.query
    show_input = query.flag("showInput", True)
    history = episodes = None
    if query.flag("showHistory", False) and instance.status != "Pending":
        show_output = query.flag("showHistoryOutput", False)
        show_rewound = query.flag("showRewound", False)  # dfhost's own
        history, episodes = await _history_texts(
            hub, instance.instance_id, show_input, show_output, show_rewound
        )
        if not query.flag("showEpisodes", False):  # dfhost's own
            episodes = None

    def response() -> ManagementResponse:
        body = status_json.status(instance, show_input=show_input, history=history, episodes=episodes)
        if not instance.has_ended:
            return json_response(202, body, Location=request.url, Retry_After="5")
        return json_response(failed if instance.status == "Failed" else 200, body)

    return await off_loop(_size(instance) + len(history or ""), response)


async def _history_texts(
    hub: TaskHub, instance_id: str, inputs: bool, outputs: bool, rewound: bool
) -> tuple[str, str]:
    """The events and the episodes, see `ShownHistory`."""
    texts = hub.history(instance_id)

    def format_events() -> tuple[str, str]:
        events = map(json.loads, texts)
        shown = history_json.history_json(events, inputs=inputs, outputs=outputs, rewound=rewound)
        # One by one: no other thread runs while the encoder works.
        return f"[{','.join(map(json_text.encode, shown.events))}]", json_text.encode(shown.episodes)

    return await off_loop(sum(map(len, texts)), format_events)


def _size(instance: Instance) -> int:
    """The length of its payloads."""
    return len(instance.input or "") + len(instance.output or "")


async def list_instances(hub: TaskHub, request: ManagementRequest) -> ManagementResponse:
    where = list_filter(request)
    show_input = request.query.flag("showInput", True)
    exact_times = request.query.flag("exactTimes", False)  # dfhost's own
    return await page_response(
        request.query,
        request.headers,
        rows=lambda limit, after: hub.instances(where, limit, after, exact_times),
        id_of=lambda instance: instance.instance_id,
        size_of=_size,
        text_of=lambda instance: status_json.status(instance, show_input=show_input, exact_times=exact_times),
    )


# -- steering ------------------------------------------------------------------------------------------------
async def raise_event(
    hub: TaskHub, request: ManagementRequest, instance_id: str, event_name: str
) -> ManagementResponse:
    try:
        if request.media_type != "application/json":
            raise RequestRefused(message_response(400, "Only application/json request content is supported"))
        data = await request.json()
    except (RequestRefused, InvalidJson):
        if _existing(hub, instance_id).has_ended:  # the extension looks at the instance before the body
            return ManagementResponse(410)
        raise
    await hub.raise_event(instance_id, event_name, data)
    return ManagementResponse(202)


async def terminate(hub: TaskHub, request: ManagementRequest, instance_id: str) -> ManagementResponse:
    await hub.terminate(instance_id, request.query.text("reason"))
    return ManagementResponse(202)


async def suspend(hub: TaskHub, request: ManagementRequest, instance_id: str) -> ManagementResponse:
    await hub.suspend(instance_id, request.query.text("reason"))
    return ManagementResponse(202)


async def resume(hub: TaskHub, request: ManagementRequest, instance_id: str) -> ManagementResponse:
    await hub.resume(instance_id, request.query.text("reason"))
    return ManagementResponse(202)


async def rewind(hub: TaskHub, request: ManagementRequest, instance_id: str) -> ManagementResponse:
    try:
        await hub.rewind(instance_id, request.query.text("reason"))
    except InstanceNotFound:
        # The dollar sign is the extension's own mistake, and clients see it.
        raise _refused(404, f'No orchestration with instance ID "${instance_id}" found.') from None
    except WrongState as error:
        raise _refused(412, str(error)) from None
    return ManagementResponse(202)


# -- purging -------------------------------------------------------------------------------------------------
async def purge(hub: TaskHub, request: ManagementRequest, instance_id: str) -> ManagementResponse:
    try:
        deleted = await hub.purge(instance_id)
    except WrongState as error:
        raise _refused(412, str(error)) from None
    # An id that begins with @ may be an entity's; the extension does not check that an entity exists.
    return _deleted(deleted) if deleted or instance_id.startswith("@") else ManagementResponse(404)


async def purge_many(hub: TaskHub, request: ManagementRequest) -> ManagementResponse:
    where = purge_filter(request)
    if where is None:
        raise _refused(400, "Please provide value for 'createdTimeFrom' parameter.")
    deleted = await hub.purge_where(where)
    return _deleted(deleted) if deleted else ManagementResponse(404)


def _existing(hub: TaskHub, instance_id: str) -> Instance:
    instance = hub.instance(instance_id)
    if instance is None:
        raise InstanceNotFound(instance_id)
    return instance


def _deleted(count: int) -> ManagementResponse:
    return json_response(200, f'{{"instancesDeleted":{count}}}')


def _refused(status: int, sentence: str) -> RequestRefused:
    """A refusal whose body is the sentence alone, as a JSON string."""
    return RequestRefused(json_response(status, json_text.encode(sentence)))
