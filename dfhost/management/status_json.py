"""The extension's JSON shapes: an instance's status, its links, an entity in a list.

Joined from texts that are ready: nothing that the store holds is parsed and written again. Key order is the
extension's. Decides nothing: no codes, no routes.
"""

from __future__ import annotations

from datetime import datetime, timezone

from dfhost.management.json_text import embedded, encode
from dfhost.management.query import url_encoded
from dfhost.task_hub import Entity, Instance

#: Behind the instance's URL, in the order of the check-status payload; all take the query of `Links`.
_LINKS = (
    ("statusQueryGetUri", "?"),
    ("sendEventPostUri", "/raiseEvent/{eventName}?"),
    ("terminatePostUri", "/terminate?reason={text}&"),
    ("purgeHistoryDeleteUri", "?"),
    ("restartPostUri", "/restart?"),
    ("suspendPostUri", "/suspend?reason={text}&"),
    ("resumePostUri", "/resume?reason={text}&"),
)


def status(instance: Instance, *, show_input: bool = True, history: str | None = None) -> str:
    """`history`: the JSON of historyEvents, left out if None."""
    return (
        f'{{"name":{encode(instance.name)},"instanceId":{encode(instance.instance_id)},'
        f'"runtimeStatus":"{instance.status}",'
        f'"input":{embedded(instance.input) if show_input else "null"},'
        f'"customStatus":{embedded(instance.custom_status)},"output":{embedded(instance.output)},'
        f'"createdTime":"{_whole_seconds(instance.created_at)}",'
        f'"lastUpdatedTime":"{_whole_seconds(instance.updated_at)}"'
        + (f',"historyEvents":{history}}}' if history is not None else "}")
    )


def check_status(instance_id: str, origin: str, base_path: str, hub: str, connection: str) -> tuple[str, str]:
    """The body of a start's answer and its Location.

    Eight keys: unlike the SDK's own check-status response it has no rewindPostUri (recorded).
    """
    instance = f"{origin}{base_path}/instances/{url_encoded(instance_id)}"
    query = f"taskHub={url_encoded(hub)}&connection={url_encoded(connection)}"
    links = ",".join(f'"{name}":{encode(instance + middle + query)}' for name, middle in _LINKS)
    return f'{{"id":{encode(instance_id)},{links}}}', f"{instance}?{query}"


def entity(entity: Entity, *, show_state: bool) -> str:
    return (
        f'{{"entityId":{{"name":{encode(entity.name)},"key":{encode(entity.key)}}},'
        f'"lastOperationTime":"{_precise(entity.last_operation)}",'
        f'"state":{embedded(entity.state) if show_state else "null"}}}'
    )


def _whole_seconds(at: datetime) -> str:
    return _utc(at).isoformat()[:19] + "Z"


def _precise(at: datetime) -> str:
    """As Newtonsoft writes a DateTime: no zeros at the end of the fraction."""
    return _utc(at).isoformat(timespec="microseconds")[:26].rstrip("0").rstrip(".") + "Z"


def _utc(at: datetime) -> datetime:
    return at if at.tzinfo is None or at.tzinfo is timezone.utc else at.astimezone(timezone.utc)
