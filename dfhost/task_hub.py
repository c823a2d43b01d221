"""`TaskHub`: the operations on instances and entities that clients have.

The management API is a thin layer of HTTP over them. Writes return only after their commit; reads see every commit.
Payloads are texts, mostly JSON, exactly as stored; they are not decoded here.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from dfhost.clock import Clock
from dfhost.dispatch.dispatchers import Dispatchers
from dfhost.engine import history as h
from dfhost.engine.entities import ENTITY_EXISTS_STATUS, EntityId, entity_request
from dfhost.errors import IdTooLong, InstanceNotFound, UnknownFunction, WrongState
from dfhost.inspection.descendants import rewind_warning, timelines_below
from dfhost.inspection.explain import explain
from dfhost.inspection.live_timeline import code_state, live_timeline
from dfhost.settings import Settings
from dfhost.store.instance_row import InstanceRow
from dfhost.store.overview import ListedInstance, Overview
from dfhost.store.store import Store
from dfhost.task_hub_values import Entity, Instance, InstanceFilter, MapRun
from dfhost.timeline.model import Timeline
from dfhost.timestamps import timestamp

_MAX_ID_LENGTH = 1024  # characters: what Azure Storage takes as a key
_LONGEST_COMMIT = timedelta(seconds=2)  # of a change, once it is made


class TaskHub:
    """Every method raises nothing but `HostError`s; its docstring names them."""

    def __init__(
        self, name: str, store: Store, dispatchers: Dispatchers, settings: Settings, clock: Clock
    ) -> None:
        self.name = name
        self._store = store
        self._dispatchers = dispatchers
        self._settings = settings
        self._clock = clock

    # -- reading ---------------------------------------------------------------------------------------------
    def instance(self, instance_id: str) -> Instance | None:
        row = self._store.instance(instance_id)
        return None if row is None else Instance.of(row)

    def history(self, instance_id: str) -> list[str]:
        """The history events of the newest generation, as the JSON that the extension writes (EventType is a number).

        Events that have arrived but are not processed yet come last.
        """
        return self._store.history(instance_id)

    def instances(
        self, where: InstanceFilter, limit: int, after: str = "", with_first: bool = False
    ) -> list[Instance]:
        """At most `limit` instances ordered by id, those whose id is greater than `after`.

        `with_first`: with `Instance.first_created_at`.
        """
        rows = self._store.instances(
            after=after,
            limit=limit,
            prefix=where.prefix,
            statuses=where.statuses,
            created_from=_iso(where.created_from),
            created_to=_iso(where.created_to),
        )
        first = self._store.first_created([row.instance_id for row in rows]) if with_first else {}
        return [Instance.of(row, first.get(row.instance_id)) for row in rows]

    def entity(self, name: str, key: str) -> Entity | None:
        row = self._store.entity(str(EntityId(name, key)))
        return None if row is None else Entity.of(row)

    def entities(
        self,
        name: str | None,
        last_operation_from: datetime | None,
        last_operation_to: datetime | None,
        limit: int,
        after: str = "",
        with_new: bool = False,
    ) -> list[Entity]:
        """Ordered by instance id (``@name@key``); `after` is such an id.

        `with_new`: also those that have no state yet, since their first operation has not ended.
        """
        rows = self._store.entities(
            after=after,
            limit=limit,
            prefix="@" if name is None else str(EntityId(name, "")),
            updated_from=_iso(last_operation_from),
            updated_to=_iso(last_operation_to),
            custom_status=None if with_new else ENTITY_EXISTS_STATUS,
        )
        return [Entity.of(row) for row in rows if row.custom_status in (ENTITY_EXISTS_STATUS, None)]

    def open_instance_ids(self) -> list[str]:
        """The ids of the orchestrations that have not ended."""
        return self._store.open_instance_ids()

    @property
    def commits(self) -> int:
        """How many there were: what one has read is still true while this has not grown."""
        return self._store.commits

    def committed_up_to(self) -> str:
        """A moment, as ISO text: whoever reads from now on finds all changes of instances that are older.

        A change has the time at which its episode began, and code may run for long.
        """
        at = timestamp(self._clock.now() - _LONGEST_COMMIT)
        return min(at, self._dispatchers.orchestrations.uncommitted_since or at)

    async def overview(self, changed_since: str = "", limit: int = -1) -> Overview:
        """The newest instances that were updated at `changed_since` (ISO text) or later, and counts of all."""
        return await self._store.overview(changed_since, limit)

    async def search(self, text: str, limit: int) -> list[ListedInstance]:
        """The newest instances that have `text` in their id, name or payloads, whatever its case."""
        return await self._store.search(text, limit)

    async def maps(self, ended_since: str = "", limit: int = -1) -> list[MapRun]:
        """The newest maps of instances that run, or were updated at `ended_since` (ISO text) or later."""
        return [MapRun.of(row) for row in await self._store.maps(ended_since, limit)]

    def queue_lengths(self) -> dict[str, int]:
        """How many operations each entity (``@name@key``) has not processed, if any."""
        return self._store.queue_lengths()

    async def explain(self, instance_id: str, most: int | None = None) -> dict[str, Any] | None:
        """What the instance waits for and why, ready for JSON, with at most so many waits; None if there is none."""
        return await explain(instance_id, self._store, self._dispatchers, self._clock.now(), most)

    async def timeline(self, instance_id: str) -> Timeline | None:
        """All tasks of the instance, ended and open; None if there is no such instance."""
        instance = await self._dispatchers.orchestrations.replays.inspect(instance_id)
        stored = self._store.timeline(instance_id)
        if stored is None:
            return None
        code = code_state(None if instance is None or instance.busy else instance, stored)
        return await live_timeline(stored, code, self._dispatchers)

    def timelines_below(self, instance_id: str) -> AsyncIterator[Timeline]:
        """The timelines of the instance and its descendants."""
        return timelines_below(instance_id, self.timeline)

    async def rewind_warning(self, instance_id: str) -> str:
        """Why a rewind will not help a failed instance; "" if it may."""
        row = self._store.instance(instance_id)
        failed = row is not None and row.status == "Failed"
        return await rewind_warning(instance_id, self.timeline) if failed else ""

    # -- writing ---------------------------------------------------------------------------------------------
    async def start(
        self,
        orchestrator: str,
        input: str | None,
        instance_id: str | None = None,
        version: str | None = None,
        *,
        source_id: str | None = None,
    ) -> str:
        """Create an instance; returns its id (32 hex digits unless given). InstanceExists if that one has not ended.

        An unknown orchestrator is accepted and fails then; UnknownFunction for one that is disabled, IdTooLong: all
        as on the extension. `source_id`: the instance that is restarted.
        """
        if disabled := self._dispatchers.registry.explain_disabled("orchestrator", orchestrator):
            raise UnknownFunction(disabled)
        if instance_id is not None and len(instance_id) > _MAX_ID_LENGTH:
            raise IdTooLong(len(instance_id), _MAX_ID_LENGTH)
        instance_id = instance_id or uuid.uuid4().hex
        execution_id = str(uuid.uuid4())  # with dashes, unlike a child's (recorded)
        version = version or self._settings.default_version
        at = self._clock.timestamp()
        started = partial(
            h.execution_started,
            at,
            instance_id=instance_id,
            execution_id=execution_id,
            name=orchestrator,
            version=version,
            input=input,
            source_id=source_id,
        )
        row = InstanceRow(
            instance_id, execution_id, orchestrator, version, "Pending", input, None, None, at, at
        )
        await self._store.start_instance(
            row, lambda count: started(restart_count=count), self._settings.any_state_overridable
        )
        return instance_id

    async def restart(self, instance_id: str, *, same_id: bool = False, input: str | None = None) -> str:
        """Start it anew, with its first input unless there is another; returns the new instance's id.

        InstanceNotFound, and what `start` raises.
        """
        source = self.instance(instance_id)
        if source is None:
            raise InstanceNotFound(instance_id)
        new_id = source.instance_id if same_id else None
        input = source.input if input is None else input
        return await self.start(source.name, input, new_id, source.version, source_id=source.instance_id)

    async def wait_until_ended(self, instance_id: str, timeout: float) -> Instance | None:
        """The instance once it has ended, or as it is after `timeout` seconds; None if it does not exist."""
        found = self.instance(instance_id)
        if found is None or found.has_ended:
            return found
        completion = self._dispatchers.orchestrations.completions.wait_for(instance_id)
        await asyncio.wait((completion,), timeout=timeout)
        completion.cancel()
        return self.instance(instance_id)

    async def raise_event(self, instance_id: str, name: str, data: str) -> None:
        """InstanceNotFound; WrongState if it has ended. `data`: JSON text."""
        await self._store.post_event(
            instance_id, h.event_raised(self._clock.timestamp(), name, data), _check_running
        )

    async def terminate(self, instance_id: str, reason: str | None) -> None:
        """InstanceNotFound; WrongState if it has ended. Its children go on, as on the extension."""
        at = self._clock.timestamp()
        await self._store.terminate_instance(instance_id, at=at, reason=reason, check=_check_running)

    async def suspend(self, instance_id: str, reason: str | None) -> None:
        """InstanceNotFound; WrongState if it has ended or is suspended already."""

        def check(row: InstanceRow) -> None:
            _check_running(row)
            if row.status == "Suspended":
                raise WrongState(
                    f"Cannot suspend the orchestration instance {row.instance_id} because instance is in the "
                    "Suspended state.",
                    row.status,
                )

        await self._store.post_event(instance_id, h.suspended(self._clock.timestamp(), reason), check)

    async def resume(self, instance_id: str, reason: str | None) -> None:
        """InstanceNotFound; WrongState if it has ended or is not suspended."""

        def check(row: InstanceRow) -> None:
            _check_running(row)
            if row.status != "Suspended":
                raise WrongState(
                    f"Cannot resume the orchestration instance {row.instance_id} because instance is in the "
                    f"{row.status} state.",
                    row.status,
                )

        await self._store.post_event(instance_id, h.resumed(self._clock.timestamp(), reason), check)

    async def rewind(self, instance_id: str, reason: str | None) -> None:
        """InstanceNotFound; WrongState unless it has failed."""

        def check(row: InstanceRow) -> None:
            if row.status != "Failed":
                raise WrongState(
                    f'This orchestration has status {row.status}, but only orchestrations in the "Failed" state can '
                    "be rewound.",
                    row.status,
                )

        await self._store.rewind(instance_id, at=self._clock.timestamp(), reason=reason, check=check)

    async def purge(self, instance_id: str) -> int:
        """1 if it was purged, 0 if there was none. WrongState if it has not ended; entities can always be purged."""

        def check(row: InstanceRow) -> None:
            if not row.has_ended and not row.is_entity:
                raise WrongState(
                    "Only orchestrations in a terminal state can be purged, but the orchestration with instance ID "
                    f"{instance_id} has status {row.status}",
                    row.status,
                )

        return await self._store.purge(instance_id, check)

    async def purge_where(self, where: InstanceFilter) -> int:
        """How many were purged: all that match the filter, running instances and entities included."""
        return await self._store.purge_where(_iso(where.created_from), _iso(where.created_to), where.statuses)

    async def signal_entity(self, name: str, key: str, operation: str, input: str | None) -> None:
        """Send one operation, without a response. UnknownFunction if no entity function has this name."""
        if missing := self._dispatchers.registry.explain_missing("entity", name):
            raise UnknownFunction(missing)
        at = self._clock.timestamp()
        request = entity_request(
            operation=operation, input=input, request_id=str(uuid.uuid4()), at=at, signal=True
        )
        await self._store.signal_entity(str(EntityId(name, key)), request, at)


def _check_running(row: InstanceRow) -> None:
    if row.has_ended:
        raise WrongState(f"The instance '{row.instance_id}' has ended ({row.status}).", row.status)


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else timestamp(moment)
