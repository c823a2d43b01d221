"""orchestrators/… and instances/…: start, read, steer, rewind, restart, purge.

Each function is one verb of the extension's HTTP API over the `TaskHub`; it returns the answer or raises what
`answers.refusal` turns into one. Codes and texts: HttpApiHandler in the extension, and recorded answers.
"""

from __future__ import annotations

import asyncio

from dfhost.errors import InstanceExists, InstanceNotFound, WrongState
from dfhost.management import history_json, json_text, status_json
from dfhost.management.json_errors import InvalidJson
from dfhost.management.paging import page_response
from dfhost.management.request import ManagementRequest
from dfhost.management.responses import (
    ENDED,
    SOMETHING_WENT_WRONG,
    ManagementResponse,
    RequestRefused,
    failure_response,
    json_response,
    message_response,
)
from dfhost.task_hub import Instance, InstanceFilter, TaskHub

_LONG_HISTORY = 1000  # events; shaping more would hold up the host's loop for milliseconds
_ARGUMENT = "System.ArgumentException"


class InstanceHandlers:
    def __init__(self, hub: TaskHub, base_path: str) -> None:
        self._hub = hub
        self._base_path = base_path

    # -- starting --------------------------------------------------------------------------------------------
    async def start(
        self, request: ManagementRequest, orchestrator: str, instance_id: str | None
    ) -> ManagementResponse:
        """The body is the input, exactly as posted; none at all means no input, and any content type will do."""
        text = None
        if request.body:
            text = request.text()
            if text.strip():
                self._check_input(text)
        started = await self._hub.start(orchestrator, text, instance_id, request.query.text("version"))
        return await self._started(request, started)

    @staticmethod
    def _check_input(text: str) -> None:
        try:
            json_text.check(text)
        except InvalidJson as error:
            if error.cut_short is None:
                raise
            # Another reader is at work here than for events: what ends too soon is its 500 (recorded).
            words = f"Unexpected end when deserializing {error.cut_short}. {error.place}"
            kind = "Newtonsoft.Json.JsonSerializationException"
            raise RequestRefused(failure_response(500, SOMETHING_WENT_WRONG, words, kind)) from None

    async def restart(self, request: ManagementRequest, instance_id: str) -> ManagementResponse:
        source = self._hub.instance(instance_id)
        if source is None:
            sentence = "InstanceId does not match a valid orchestration instance."
            words = f"No instance with ID '{instance_id}' was found. (Parameter 'instanceId')"
            raise RequestRefused(failure_response(400, sentence, words, _ARGUMENT))
        same_id = None if request.query.flag("restartWithNewInstanceId", True) else source.instance_id
        text = json_text.compact(json_text.embedded(source.input))
        try:
            started = await self._hub.start(source.name, text, same_id, source.version)
        except InstanceExists as error:
            sentence = "A non-terminal instance with this instance ID already exists."
            kind = "DurableTask.Core.Exceptions.OrchestrationAlreadyExistsException"
            raise RequestRefused(failure_response(409, sentence, str(error), kind)) from None
        return await self._started(request, started)

    async def _started(self, request: ManagementRequest, instance_id: str) -> ManagementResponse:
        """The check-status answer; with `timeout` and `pollingInterval` (seconds) the result, if it comes in time."""
        timeout, interval = request.query.seconds("timeout"), request.query.seconds("pollingInterval")
        if timeout is not None and interval is not None:
            if interval > timeout:
                total, retry = (str(each).removesuffix(".0") for each in (timeout, interval))
                sentence = f"Total timeout {total} should be bigger than retry timeout {retry}"
                raise RequestRefused(message_response(400, sentence))
            instance = await self._hub.finished(instance_id, timeout) if timeout > 0 else None
            if instance is not None and instance.status == "Completed":
                return json_response(200, json_text.embedded(instance.output))
            if instance is not None and instance.finished:
                return await self._status_of(request, instance, failed=200)
        body, location = status_json.check_status(
            instance_id, request.origin, self._base_path, request.hub, request.connection
        )
        return json_response(202, body, Location=location, Retry_After="10")

    # -- reading ---------------------------------------------------------------------------------------------
    async def status(self, request: ManagementRequest, instance_id: str) -> ManagementResponse:
        if request.query.flag("explain", False):  # ours: see `TaskHub.explain`
            explanation = await self._hub.explain(instance_id)
            return (
                ManagementResponse(404)
                if explanation is None
                else json_response(200, json_text.encode(explanation))
            )
        failed = 500 if request.query.flag("returnInternalServerErrorOnFailure", False) else 200
        return await self._status_of(request, self._existing(instance_id), failed)

    async def _status_of(
        self, request: ManagementRequest, instance: Instance, failed: int
    ) -> ManagementResponse:
        """`failed`: the status code for an instance that has failed."""
        query = request.query
        show_input = query.flag("showInput", True)
        history = None
        if query.flag("showHistory", False) and instance.status != "Pending":
            history = await self._history(
                instance.instance_id, show_input, query.flag("showHistoryOutput", False)
            )
        body = status_json.status(instance, show_input=show_input, history=history)
        if not instance.finished:
            return json_response(202, body, Location=request.url(self._base_path), Retry_After="5")
        return json_response(failed if instance.status == "Failed" else 200, body)

    async def _history(self, instance_id: str, inputs: bool, outputs: bool) -> str:
        events = self._hub.history(instance_id)

        def shaped() -> str:
            return json_text.encode(history_json.history_json(events, inputs=inputs, outputs=outputs))

        return shaped() if len(events) <= _LONG_HISTORY else await asyncio.to_thread(shaped)

    def list(self, request: ManagementRequest) -> ManagementResponse:
        query = request.query
        where = InstanceFilter(
            created_from=query.moment("createdTimeFrom"),
            created_to=query.moment("createdTimeTo"),
            statuses=query.statuses(),
            prefix=query.text("instanceIdPrefix") or "",
        )
        show_input = query.flag("showInput", True)
        return page_response(
            query,
            request.headers,
            rows=lambda limit, after: self._hub.instances(where, limit, after),
            id_of=lambda instance: instance.instance_id,
            text_of=lambda instance: status_json.status(instance, show_input=show_input),
        )

    # -- steering --------------------------------------------------------------------------------------------
    async def raise_event(
        self, request: ManagementRequest, instance_id: str, event: str
    ) -> ManagementResponse:
        try:
            if request.media_type != "application/json":
                raise RequestRefused(
                    message_response(400, "Only application/json request content is supported")
                )
            data = request.json()
        except (RequestRefused, InvalidJson):
            if self._existing(instance_id).finished:  # that comes before complaints about the body
                return ManagementResponse(410)
            raise
        await self._hub.raise_event(instance_id, event, data)
        return ManagementResponse(202)

    async def terminate(self, request: ManagementRequest, instance_id: str) -> ManagementResponse:
        await self._hub.terminate(instance_id, request.query.text("reason"))
        return ManagementResponse(202)

    async def suspend(self, request: ManagementRequest, instance_id: str) -> ManagementResponse:
        await self._hub.suspend(instance_id, request.query.text("reason"))
        return ManagementResponse(202)

    async def resume(self, request: ManagementRequest, instance_id: str) -> ManagementResponse:
        await self._hub.resume(instance_id, request.query.text("reason"))
        return ManagementResponse(202)

    async def rewind(self, request: ManagementRequest, instance_id: str) -> ManagementResponse:
        try:
            await self._hub.rewind(instance_id, request.query.text("reason"))
        except InstanceNotFound:
            # The dollar sign is the extension's own slip, and clients see it.
            raise _refused(404, f'No orchestration with instance ID "${instance_id}" found.') from None
        except WrongState as error:
            raise _refused(412, str(error)) from None
        return ManagementResponse(202)

    # -- purging ---------------------------------------------------------------------------------------------
    async def purge(self, _request: ManagementRequest, instance_id: str) -> ManagementResponse:
        try:
            deleted = await self._hub.purge(instance_id)
        except WrongState as error:
            raise _refused(412, str(error)) from None
        # Ids that begin with @ may be entities, for which the extension does not look first.
        return _deleted(deleted) if deleted or instance_id.startswith("@") else ManagementResponse(404)

    async def purge_many(self, request: ManagementRequest) -> ManagementResponse:
        """Statuses in which nothing has ended are passed over, and a filter of no status takes everything."""
        query = request.query
        created_from = query.moment("createdTimeFrom")
        if created_from is None:
            raise _refused(400, "Please provide value for 'createdTimeFrom' parameter.")
        where = InstanceFilter(
            created_from=created_from,
            created_to=query.moment("createdTimeTo"),
            statuses=[status for status in query.statuses() if status in ENDED],
        )
        deleted = await self._hub.purge_where(where)
        return _deleted(deleted) if deleted else ManagementResponse(404)

    def _existing(self, instance_id: str) -> Instance:
        instance = self._hub.instance(instance_id)
        if instance is None:
            raise InstanceNotFound(instance_id)
        return instance


def _deleted(count: int) -> ManagementResponse:
    return json_response(200, f'{{"instancesDeleted":{count}}}')


def _refused(status: int, sentence: str) -> RequestRefused:
    """A refusal whose body is the sentence alone, as a JSON string."""
    return RequestRefused(json_response(status, json_text.encode(sentence)))
