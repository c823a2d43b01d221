"""`TaskHub`: everything the outside may ask of the task hub.

The management API is a thin layer of HTTP over these verbs, so is the command line. Writes return only
after the commit behind them; reads see every commit. Payloads are texts, mostly JSON, exactly as stored:
decoding them is the caller's business.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from dfhost.app.functions import App
from dfhost.engine import history as h
from dfhost.engine.entities import ENTITY_EXISTS_STATUS, EntityId, entity_request, is_entity_id, stored_state
from dfhost.errors import UnknownFunction, WrongState
from dfhost.settings import Settings
from dfhost.store.events import InstanceRow
from dfhost.store.store import Store
from dfhost.worker.clock import now
from dfhost.worker.explain import explain
from dfhost.worker.worker import Worker


@dataclass(frozen=True, slots=True)
class Instance:
    """One row of the task hub: an orchestration instance, or an entity (its id starts with ``@``).

    `status` is the extension's runtime status: Pending, Running, Suspended, Completed, Failed, Terminated.
    `input`, `output` and `custom_status` are stored texts (JSON, or plain words such as a failure), or None.
    Times are UTC.
    """

    instance_id: str
    execution_id: str
    name: str
    version: str | None
    status: str
    input: str | None
    output: str | None
    custom_status: str | None
    created_at: datetime
    updated_at: datetime

    @property
    def finished(self) -> bool:
        return self.status in ("Completed", "Failed", "Terminated", "Canceled")


@dataclass(frozen=True, slots=True)
class InstanceFilter:
    """Which instances: bounds are inclusive, an empty `statuses` means any, `prefix` is case-sensitive."""

    created_from: datetime | None = None
    created_to: datetime | None = None
    statuses: Sequence[str] = ()
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class Entity:
    """An entity: `state` is the JSON text it stored, `last_operation` the time of its newest batch (UTC)."""

    name: str
    key: str
    state: str | None
    last_operation: datetime


class TaskHub:
    """The verbs. Every coroutine raises nothing but `HostError`s, each named with it."""

    def __init__(self, name: str, app: App, store: Store, worker: Worker, settings: Settings) -> None:
        self.name = name
        self._app = app
        self._store = store
        self._worker = worker
        self._settings = settings

    # -- reading ---------------------------------------------------------------------------------------------
    def instance(self, instance_id: str) -> Instance | None:
        row = self._store.row(instance_id)
        return None if row is None else _instance(row)

    def history(self, instance_id: str) -> list[dict[str, Any]]:
        """The history events of the newest generation in wire form (PascalCase, EventType an int).

        What has arrived but was not processed yet comes last.
        """
        if is_entity_id(instance_id):
            return []
        return [json.loads(text) for text in self._store.history(instance_id)]

    def instances(self, where: InstanceFilter, limit: int, after: str = "") -> list[Instance]:
        """At most `limit` instances ordered by id, those whose id is greater than `after`."""
        rows = self._store.rows(
            after=after,
            limit=limit,
            prefix=where.prefix,
            statuses=where.statuses,
            created_from=_text(where.created_from),
            created_to=_text(where.created_to),
        )
        return [_instance(row) for row in rows]

    def entity(self, name: str, key: str) -> Entity | None:
        row = self._store.row(str(EntityId(name, key)))
        return None if row is None else _entity(row)

    def entities(
        self,
        name: str | None,
        last_operation_from: datetime | None,
        last_operation_to: datetime | None,
        limit: int,
        after: str = "",
    ) -> list[Entity]:
        """Ordered by instance id (``@name@key``); `after` is such an id."""
        rows = self._store.rows(
            after=after,
            limit=limit,
            prefix="@" if name is None else str(EntityId(name, "")),
            updated_from=_text(last_operation_from),
            updated_to=_text(last_operation_to),
            custom_status=ENTITY_EXISTS_STATUS,
        )
        return [_entity(row) for row in rows]

    async def explain(self, instance_id: str) -> dict[str, Any] | None:
        """What the instance waits for and why (JSON-able), None if there is no such instance."""
        return await explain(instance_id, self._store, self._worker)

    # -- writing ---------------------------------------------------------------------------------------------
    async def start(
        self, orchestrator: str, input: str | None, instance_id: str | None = None, version: str | None = None
    ) -> str:
        """A new instance and its id (32 hex digits unless given). InstanceExists if one of that id lives.

        An unknown orchestrator is accepted and then fails, as on the extension.
        """
        instance_id = instance_id or uuid.uuid4().hex
        execution_id = str(uuid.uuid4())  # with dashes, unlike a child's (recorded)
        version = version or self._settings.default_version
        at = now()
        event = partial(
            h.execution_started,
            at,
            instance_id=instance_id,
            execution_id=execution_id,
            name=orchestrator,
            version=version,
            input=input,
        )
        row = InstanceRow(
            instance_id, execution_id, orchestrator, version, "Pending", input, None, None, at, at
        )
        await self._store.start_instance(
            row, lambda generation: event(generation=generation).text, self._settings.any_state_overridable
        )
        return instance_id

    async def finished(self, instance_id: str, timeout: float) -> Instance | None:
        """The instance once it has ended, or as it is after `timeout` seconds; None if it does not exist."""
        found = self.instance(instance_id)
        if found is None or found.finished:
            return found
        ended = self._worker.orchestrations.end_of(instance_id)
        await asyncio.wait((ended,), timeout=timeout)
        ended.cancel()
        return self.instance(instance_id)

    async def raise_event(self, instance_id: str, name: str, data: str) -> None:
        """InstanceNotFound; WrongState if it has ended. `data`: JSON text."""
        await self._deliver(instance_id, h.event_raised(now(), name, data), _must_live)

    async def terminate(self, instance_id: str, reason: str | None) -> None:
        """InstanceNotFound; WrongState if it has ended. Children go on, as on the extension."""
        at = now()
        await self._store.end_instance(
            instance_id,
            at=at,
            status="Terminated",
            output=reason,
            events=[
                h.orchestrator_started(at).text,
                h.execution_terminated(at, reason).text,
                h.execution_completed(at, -1, "Terminated", reason).text,
                h.orchestrator_completed(at).text,
            ],
            allowed=_must_live,
            tell_parent=lambda row: (
                None
                if row.parent is None
                else h.sub_orchestration_failed(at, row.parent.task_id, reason, None).text
            ),
        )

    async def suspend(self, instance_id: str, reason: str | None) -> None:
        """InstanceNotFound; WrongState if it has ended or is suspended already."""

        def allowed(row: InstanceRow) -> None:
            _must_live(row)
            if row.status == "Suspended":
                raise WrongState(
                    f"Cannot suspend the orchestration instance {row.instance_id} because instance is in the "
                    "Suspended state.",
                    row.status,
                )

        await self._deliver(instance_id, h.suspended(now(), reason), allowed)

    async def resume(self, instance_id: str, reason: str | None) -> None:
        """InstanceNotFound; WrongState if it has ended or is not suspended."""

        def allowed(row: InstanceRow) -> None:
            _must_live(row)
            if row.status != "Suspended":
                raise WrongState(
                    f"Cannot resume the orchestration instance {row.instance_id} because instance is in the "
                    f"{row.status} state.",
                    row.status,
                )

        await self._deliver(instance_id, h.resumed(now(), reason), allowed)

    async def rewind(self, instance_id: str, reason: str | None) -> None:
        """InstanceNotFound; WrongState unless it has failed."""

        def allowed(row: InstanceRow) -> None:
            if row.status != "Failed":
                raise WrongState(
                    f'This orchestration has status {row.status}, but only orchestrations in the "Failed" state can '
                    "be rewound.",
                    row.status,
                )

        at = now()
        wake = h.generic(at, reason).text
        await self._store.rewind(instance_id, at=at, wake=wake, allowed=allowed)

    async def purge(self, instance_id: str) -> int:
        """1 once it is gone, 0 if there was none. WrongState while it lives (entities may always go)."""

        def allowed(row: InstanceRow) -> None:
            if not row.finished and not is_entity_id(instance_id):
                raise WrongState(
                    "Only orchestrations in a terminal state can be purged, but the orchestration with instance ID "
                    f"{instance_id} has status {row.status}",
                    row.status,
                )

        return await self._store.purge(instance_id, allowed)

    async def purge_where(self, where: InstanceFilter) -> int:
        """How many are gone. Deletes what the filter says, running instances and entities included."""
        return await self._store.purge_where(
            _text(where.created_from), _text(where.created_to), where.statuses
        )

    async def signal_entity(self, name: str, key: str, operation: str, input: str | None) -> None:
        """One operation, one way. UnknownFunction if no entity function has this name."""
        if refusal := self._worker.known.refuse("entity", name):
            raise UnknownFunction(refusal)
        at = now()
        request = entity_request(
            operation=operation, input=input, request_id=str(uuid.uuid4()), at=at, signal=True
        )
        await self._store.signal_entity(str(EntityId(name, key)), request, at)

    async def _deliver(
        self, instance_id: str, event: h.Event, allowed: Callable[[InstanceRow], None]
    ) -> None:
        await self._store.deliver(instance_id, event.text, allowed)


def _must_live(row: InstanceRow) -> None:
    if row.finished:
        raise WrongState(f"The instance '{row.instance_id}' has ended ({row.status}).", row.status)


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else h.timestamp(moment)


def _instance(row: InstanceRow) -> Instance:
    created, updated = h.moment(row.created_at), h.moment(row.updated_at)
    return Instance(
        row.instance_id, row.execution_id, row.name, row.version, row.status, row.input, row.output,
        row.custom_status, created, updated,
    )  # fmt: skip


def _entity(row: InstanceRow) -> Entity:
    name, key = EntityId.parse(row.instance_id)
    return Entity(name, key, stored_state(row.input), h.moment(row.updated_at))
