"""Commands become history events and work: activities, timers, children, requests to entities.

`CommandRecorder` fills in the `Episode`; a command that could never be carried out is refused with a sentence.
"""

from __future__ import annotations

import json
import uuid
from json.encoder import encode_basestring_ascii as quote
from urllib.parse import urlsplit

from dfhost.engine import actions as act
from dfhost.engine import history as h
from dfhost.engine import versions
from dfhost.engine.actions import Action
from dfhost.engine.entities import MessageSorter, entity_request
from dfhost.engine.episode import (
    EntityMessage,
    Episode,
    ScheduledActivity,
    ScheduledChild,
    ScheduledTimer,
    TaskAttempt,
)
from dfhost.engine.execution_info import ExecutionInfo
from dfhost.engine.failures import clean
from dfhost.engine.interpreter import ActionInterpreter
from dfhost.engine.options import EngineOptions, FunctionRegistry
from dfhost.engine.tasks import Command
from dfhost.timestamps import padded


class CommandRefused(Exception):
    """The command can never be carried out. `str()`: why, in Azure's words. `cause`: a shorter sentence, if any."""

    def __init__(self, reason: str, cause: str | None = None) -> None:
        super().__init__(reason)
        self.cause = cause


class CommandRecorder:
    """For one episode. `sorter` keeps the order of the execution's messages to entities."""

    def __init__(
        self,
        episode: Episode,
        info: ExecutionInfo,
        sorter: MessageSorter,
        registry: FunctionRegistry,
        options: EngineOptions,
    ) -> None:
        self._episode = episode
        self._info = info
        self._sorter = sorter
        self._registry = registry
        self._options = options

    def record_commands(self, interpreter: ActionInterpreter) -> None:
        """Record what the interpreter has issued, as much as one episode may. Raises CommandRefused."""
        for command in interpreter.take_commands(self._options.commands_per_episode):
            task = command.task
            if task.action_type in act.WITH_RETRY:
                attempt = TaskAttempt(command.id, task.first_id, task.attempt, task.max_attempts)
                self._episode.attempts.append(attempt)
            if task.action_type == act.CALL_HTTP:
                self._record_http_call(command, interpreter)
            elif command.event_type == h.TASK_SCHEDULED:
                self._record_activity(command)
            elif command.event_type == h.TIMER_CREATED:
                self._record_timer(command)
            elif command.event_type == h.SUB_ORCHESTRATION_CREATED:
                self._record_child(command)
            else:
                request_id = self._record_entity_request(command)
                if task.action_type == act.CALL_ENTITY:
                    interpreter.entity_call_sent(command.id, request_id)

    def _record_activity(self, command: Command) -> None:
        action = command.task.action
        name = action["functionName"]
        self._require_function("activity", name)
        self._schedule(command, name, action.get("input") or "null")

    def _record_http_call(self, command: Command, interpreter: ActionInterpreter) -> None:
        action = command.task.action
        request = action["httpRequest"]
        if not is_uri(str(request["uri"])):
            # The extension cannot even read the orchestrator's reply, so no `except` sees this.
            path = f"{act.path_to(action, interpreter.actions)}.httpRequest.uri"
            raise CommandRefused(
                f"Error converting value {json.dumps(request['uri'])} to type 'System.Uri'. Path '{path}'."
            )
        self._schedule(command, act.HTTP_ACTIVITY, json.dumps(request))

    def _schedule(self, command: Command, name: str, input: str) -> None:
        stored = f"[{quote(input)}]" if self._options.store_inputs else None
        episode = self._episode
        episode.events.append(h.task_scheduled(episode.at, command.id, name, stored))
        task = command.task
        attempts = (
            (task.attempt, task.max_attempts, task.retry_after) if task.action_type in act.WITH_RETRY else ()
        )
        episode.activities.append(ScheduledActivity(command.id, name, input, *attempts))

    def _record_timer(self, command: Command) -> None:
        assert command.fire_at is not None
        fire_at = padded(command.fire_at)
        self._episode.events.append(h.timer_created(self._episode.at, command.id, fire_at))
        self._episode.timers.append(ScheduledTimer(command.id, fire_at))

    def _record_child(self, command: Command) -> None:
        info, options, at = self._info, self._options, self._episode.at
        action = command.task.action
        name = action["functionName"]
        wanted = action.get("instanceId")
        child_id = wanted if wanted and wanted.strip() else f"{info.execution_id}:{command.id}"
        version = action.get("version") or options.default_version
        self._require_startable(action, child_id, version)
        input = action.get("input")
        encoded = None if input is None else quote(input)
        execution_id = uuid.uuid5(uuid.NAMESPACE_OID, f"{info.execution_id}:{command.id}").hex
        started = h.execution_started(
            at,
            instance_id=child_id,
            execution_id=execution_id,
            name=name,
            version=version,
            input=encoded,
            parent=h.parent_instance(
                instance_id=info.instance_id,
                execution_id=info.execution_id,
                name=info.name,
                task_id=command.id,
                version=info.version,
            ),
            restart_count=None,
        )
        stored = encoded if options.store_inputs else None
        self._episode.events.append(
            h.sub_orchestration_created(at, command.id, name, child_id, action.get("version"), stored)
        )
        self._episode.children.append(
            ScheduledChild(command.id, child_id, execution_id, name, version, encoded, started)
        )

    def _require_startable(self, action: Action, child_id: str, version: str | None) -> None:
        """Raises CommandRefused for a child that could never start."""
        name, info, options = action["functionName"], self._info, self._options
        self._require_function("orchestrator", name)
        parent_id = info.parent.instance_id if info.parent else ""
        if child_id.startswith("@") or child_id.lower() in (info.instance_id.lower(), parent_id.lower()):
            raise CommandRefused(
                f"{act.describe(action)} asks for the instance id '{child_id}', which can never start: an id "
                "must not begin with @ nor be that of the caller or its parent."
            )
        _require_storable(child_id)
        if options.version_failure != "Fail" and not versions.fits(version, options):
            raise CommandRefused(versions.never_runs(name, version, options))

    def _record_entity_request(self, command: Command) -> str:
        """A call or a signal; returns the request's id."""
        info, at, action = self._info, self._episode.at, command.task.action
        entity_id = action["instanceId"]
        self._require_function("entity", entity_id[1:].partition("@")[0])
        _require_storable(entity_id)
        request_id = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{info.execution_id}:{command.id}"))
        request = entity_request(
            operation=action["operation"],
            input=action.get("input"),
            request_id=request_id,
            at=at,
            signal=command.task.action_type == act.SIGNAL_ENTITY,
            caller=(info.instance_id, info.execution_id),
            order=self._sorter.label(entity_id, at),
        )
        self._episode.events.append(h.event_sent(at, command.id, entity_id, "op", request))
        self._episode.entity_messages.append(EntityMessage(entity_id, request))
        return request_id

    def _require_function(self, kind: str, name: str) -> None:
        if missing := self._registry.explain_missing(kind, name):
            raise CommandRefused(missing, self._registry.suggest(kind, name))


def is_uri(text: str) -> bool:
    """Whether .NET's Uri, absolute or relative, can be made of `text`; the extension reads a call_http with it."""
    try:
        parts = urlsplit(text)
        _ = parts.port  # raises ValueError for one that is no port
    except ValueError:
        return False
    return parts.scheme.lower() not in ("http", "https", "ftp") or bool(parts.hostname)


def _require_storable(instance_id: str) -> None:
    """No database can hold half of a surrogate pair."""
    cleaned = clean(instance_id)
    if cleaned != instance_id:
        raise CommandRefused(f"The instance id '{cleaned}' has half of a surrogate pair in it.")
